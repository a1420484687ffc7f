"""Ground truth: the scores of architectures trained from scratch, in a file that grows.

A table is open text: a first line that says how its entries were trained, then one line of JSON an entry. It serves as
a tabular benchmark: a search algorithm that asks it for scores runs in milliseconds.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nasrec.errors import SearchError
from nasrec.genotype import Genotype
from nasrec.io.jsonl import JsonLinesLog, read_lines
from nasrec.metrics import Metrics
from nasrec.space import SearchSpace

__all__ = ["Entry", "Table", "TableFile"]

KIND = "nasrec-table"


@dataclass(frozen=True)
class Entry:
    """One training of one architecture.

    Attributes:
        genotype: what was trained.
        seed: of the run.
        valid: scores of the best weights on validation rows.
        test: the same weights on test rows.
        curve: evaluations on the validation rows: (rows read, log loss, AUC).
        cost: of the model, per sample: macs, parameters (without tables), live_blocks.
        train_s: seconds in training steps.
    """

    genotype: Genotype
    seed: int
    valid: Metrics
    test: Metrics
    curve: tuple[tuple[int, float, float], ...]
    cost: Mapping[str, int]
    train_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        scores = {part: _plain(asdict(getattr(self, part))) for part in ("valid", "test")}
        return {**asdict(self), **scores, "genotype": self.genotype.to_dict(), "cost": dict(self.cost)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Entry:
        """The inverse of `to_dict`. Raises `SearchError` where the value is no entry."""
        try:
            return cls(
                genotype=Genotype.from_dict(value["genotype"]),
                seed=int(value["seed"]),
                valid=_metrics(value["valid"]),
                test=_metrics(value["test"]),
                curve=tuple((int(rows), float(loss), float(auc)) for rows, loss, auc in value["curve"]),
                cost={str(name): int(number) for name, number in value["cost"].items()},
                train_s=float(value["train_s"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SearchError(f"is no entry of a table: {error!r:.100}") from None


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    """Scores that are not defined, such as the AUC of a single class, are null in JSON."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _metrics(values: Mapping[str, float | None]) -> Metrics:
    return Metrics(**{name: math.nan if value is None else value for name, value in values.items()})  # type: ignore[arg-type]


class TableFile:
    """A table file open for writing; a context manager.

    Args:
        path: the file; made if it is not there.
        identity: how entries are trained: space, data, settings. A table of others is refused.

    Raises:
        SearchError: the file is another table, damaged, in use, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self._file = JsonLinesLog(path, KIND, identity, Entry.from_dict, SearchError)
        self._entries = {(entry.genotype, entry.seed): entry for entry in self._file.entries}

    def get(self, genotype: Genotype, seed: int) -> Entry | None:
        """The training of an architecture with a seed; None if the table lacks it."""
        return self._entries.get((genotype, seed))

    def add(self, entry: Entry) -> None:
        """Writes an entry to the disk. Raises `SearchError` where it cannot."""
        self._file.add(entry.to_dict())
        self._entries[entry.genotype, entry.seed] = entry

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


@dataclass(frozen=True)
class Table:
    """A table of trained architectures to query.

    table = Table.load("truth.jsonl")
    table.query(genotype).test.log_loss

    Attributes:
        identity: how entries were trained.
        entries: every training, in the order of the file.
    """

    identity: Mapping[str, Any]
    entries: tuple[Entry, ...]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Reads a table from a file. Raises `SearchError` where it is none."""
        identity, entries = read_lines(path, KIND, Entry.from_dict, SearchError)
        return cls(identity, tuple({(entry.genotype, entry.seed): entry for entry in entries}.values()))

    def __post_init__(self) -> None:
        by_genotype: dict[Genotype, list[Entry]] = {}
        for entry in self.entries:
            by_genotype.setdefault(entry.genotype, []).append(entry)
        object.__setattr__(self, "_by_genotype", by_genotype)

    @property
    def genotypes(self) -> tuple[Genotype, ...]:
        """The architectures, in the order of the file."""
        return tuple(self._trainings())

    @property
    def space(self) -> SearchSpace:
        """The space that the architectures belong to."""
        return SearchSpace.from_dict(self.identity["space"])

    def __len__(self) -> int:
        return len(self._trainings())

    def __contains__(self, genotype: object) -> bool:
        return genotype in self._trainings()

    def __iter__(self) -> Iterator[Genotype]:
        return iter(self._trainings())

    def query(self, genotype: Genotype, seed: int | None = None) -> Entry:
        """The training of an architecture with a seed; default: the first that the table has.

        Raises:
            SearchError: the table has no such training.
        """
        for entry in self._trainings().get(genotype, ()):
            if seed in (None, entry.seed):
                return entry
        raise SearchError("the table has no such architecture" + ("" if seed is None else f" with seed {seed}"))

    def mean(self, genotype: Genotype, score: str = "log_loss", part: str = "test") -> float:
        """Mean over the seeds of a score on "valid" or "test" rows.

        Raises:
            SearchError: the table has no such architecture.
        """
        found = self._trainings().get(genotype)
        if not found:
            raise SearchError("the table has no such architecture")
        return statistics.fmean(getattr(getattr(entry, part), score) for entry in found)

    def scores(self, genotypes: Sequence[Genotype], score: str = "log_loss", part: str = "test") -> list[float]:
        """`mean` of each of them."""
        return [self.mean(genotype, score, part) for genotype in genotypes]

    def _trainings(self) -> dict[Genotype, list[Entry]]:
        found: dict[Genotype, list[Entry]] = self._by_genotype  # type: ignore[attr-defined]
        return found
