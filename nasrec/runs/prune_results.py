"""What a pruning gives: its rounds, and what they come to over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nasrec.checks import format_path, format_value
from nasrec.errors import RunError
from nasrec.runs.inherit import ModelRun, open_run
from nasrec.runs.results import RunResult

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel

__all__ = ["PruneRun", "PrunedRound", "RoundStatistics", "Statistic"]


@dataclass(frozen=True)
class PrunedRound:
    """One round of one seed.

    Attributes:
        number: 0 for the dense model.
        folder: of the round, a run of its own.
        macs: multiply-accumulates a sample.
        macs_share: of the dense model's.
        parameters: outside the embedding tables.
        embedding_parameters: in the tables.
        left_out: columns of the data that the model does not read.
        scores: by part of the rows and name: `scores["test"]["log_loss"]`, in nats a row.
    """

    seed: int
    number: int
    folder: Path
    macs: int
    macs_share: float
    parameters: int
    embedding_parameters: int
    left_out: tuple[str, ...]
    scores: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Statistic:
    """Over the seeds; `std` of a sample, 0 for a single seed. None where a seed has no such score."""

    mean: float | None
    std: float | None


@dataclass(frozen=True)
class RoundStatistics:
    """What a round comes to over the seeds; see `PrunedRound`."""

    number: int
    seeds: int
    macs: Statistic
    macs_share: Statistic
    parameters: Statistic
    embedding_parameters: Statistic
    valid_log_loss: Statistic
    valid_auc: Statistic
    test_log_loss: Statistic
    test_auc: Statistic


@dataclass(frozen=True)
class PruneRun(RunResult):
    """Models of a pruning, round by round."""

    @cached_property
    def rounds(self) -> tuple[PrunedRound, ...]:
        """Those that were trained, seed by seed."""
        names = ("seed", "macs", "macs_share", "parameters", "embedding_parameters", "scores")
        return tuple(
            PrunedRound(
                number=one["round"],
                folder=self.folder / one["folder"],
                left_out=tuple(one["left_out"]),
                **{name: one[name] for name in names},
            )
            for one in self.report["rounds"]
        )

    @cached_property
    def over_seeds(self) -> tuple[RoundStatistics, ...]:
        """The rounds that all seeds have come to, the dense model's first."""
        return tuple(
            RoundStatistics(
                line["round"],
                line["seeds"],
                **{name: Statistic(**value) for name, value in line.items() if isinstance(value, Mapping)},
            )
            for line in self.report["over_seeds"]
        )

    def run(self, round: int = -1) -> ModelRun:
        """The run of a round of the first seed: graph, columns, weights, rows.

        Args:
            round: its number; negative ones count from the last.

        Raises:
            RunError: there is no such round.
        """
        own = [one for one in self.rounds if one.seed == self.rounds[0].seed]
        if not -len(own) <= round < len(own):
            held = f"rounds 0 to {len(own) - 1}" if own else "no round yet"
            raise RunError(f"{format_path(str(self.folder))}: holds {held}; there is no round {format_value(round)}")
        return open_run(own[round].folder)

    def model(self, round: int = -1) -> CompiledModel:
        """The trained model of a round of the first seed, in evaluation mode; see `run`."""
        return self.run(round).model()
