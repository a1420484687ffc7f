"""What ranking studies give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.runs.results import RunResult

if TYPE_CHECKING:
    from nasrec.rank import Interval, Table
    from nasrec.rank.contrast import Contrast
    from nasrec.rank.study import Ranked

__all__ = ["AlgorithmComparisonRun", "RankRun", "Ranking", "plain"]


@dataclass(frozen=True)
class Ranking:
    """How one supernet's scores agree with the truth.

    Attributes:
        name: of the supernet.
        finetune: steps of the last layer before scoring.
        traits: how the scores came about.
        statistics: by name, see `nasrec.rank.STATISTICS`.
        truth: test log loss of every architecture, trained from scratch.
        predicted: its validation log loss by the shared weights.
    """

    name: str
    finetune: int
    traits: Mapping[str, str | int]
    statistics: Mapping[str, Interval]
    truth: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True)
class RankRun(RunResult):
    """A ranking study."""

    @property
    def architectures(self) -> int:
        """Trained from scratch."""
        return int(self.report["architectures"])

    @cached_property
    def ranked(self) -> tuple[Ranking, ...]:
        """Each supernet, without and with fine-tuning."""
        return tuple(
            Ranking(
                one["name"], one["finetune"], one.get("traits", {}), _statistics(one), tuple(one["truth"]),
                tuple(one["predicted"]),
            )
            for one in self.report["ranked"]
        )  # fmt: skip

    @property
    def best(self) -> Ranking:
        """The one with the highest Kendall correlation."""
        return max(self.ranked, key=lambda one: _or_least(one.statistics["kendall"].value))

    @cached_property
    def differences(self) -> tuple[Contrast, ...]:
        """What each choice gains over another, everything else equal."""
        from nasrec.rank.contrast import Contrast

        return tuple(
            Contrast(one["trait"], one["of"], one["over"], one["pairs"], _statistics(one))
            for one in self.report.get("differences", ())
        )

    @property
    def table_file(self) -> Path:
        """Of the trained architectures."""
        own = self.folder / "truth.jsonl"
        given = Path(self.report["settings"].get("truth", own))
        return own if own.exists() and not given.exists() else given  # from another working folder

    def table(self) -> Table:
        """The trained architectures, to search in or to query. Raises `SearchError` where the file is gone."""
        from nasrec.rank import Table

        return Table.load(self.table_file)


@dataclass(frozen=True)
class AlgorithmComparisonRun(RunResult):
    """Search algorithms compared on a table of trained architectures, at equal budget."""

    @property
    def architectures(self) -> int:
        """Of the table."""
        return int(self.report["architectures"])

    @property
    def budget(self) -> int:
        """Architectures that each search asked for."""
        return int(self.report["budget"])

    @property
    def seeds(self) -> int:
        """Searches of each algorithm."""
        return int(self.report["seeds"])

    @property
    def regret(self) -> dict[str, Interval]:
        """For each algorithm the mean over the seeds of the final test log loss above the best of the table."""
        return {name: _interval(found, "mean") for name, found in self.report["regret"].items()}

    @property
    def advantage(self) -> Interval:
        """By how much regularized evolution's regret is smaller than random search's, seed by seed."""
        return _interval(self.report["advantage_of_evolution"], "mean")


def plain(one: Ranked) -> dict[str, Any]:
    """A ranking for the report."""
    return {
        "name": one.name,
        "finetune": one.finetune,
        "traits": dict(one.traits),
        "statistics": {name: found._asdict() for name, found in one.agreement.statistics.items()},
        "truth": list(one.truth),
        "predicted": list(one.predicted),
    }


def _statistics(one: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: _interval(found, "value") for name, found in one["statistics"].items()}


def _interval(found: Mapping[str, float | None], middle: str) -> Interval:
    """JSON has null for what is not defined."""
    from nasrec.rank import Interval

    values = (found[name] for name in (middle, "low", "high"))
    return Interval(*(math.nan if value is None else value for value in values))


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
