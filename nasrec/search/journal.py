"""The record of a search: a line for each evaluation, written when it is done."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from nasrec.errors import SearchError
from nasrec.genotype import Genotype
from nasrec.linefile import LineFile, read_lines

__all__ = ["Journal", "Trial", "read_journal"]

KIND = "nasrec-search"


@dataclass(frozen=True)
class Trial:
    """One evaluation.

    Attributes:
        number: place in the order in which the search asked, from 0.
        genotype: what was evaluated.
        values: all that was measured, by name; empty where a limit made scoring needless.
        seconds: how long it took; 0 for one that was known already.
    """

    number: int
    genotype: Genotype
    values: Mapping[str, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values; floats that JSON lacks are strings."""
        values = {name: value if math.isfinite(value) else repr(value) for name, value in self.values.items()}
        return {
            "number": self.number,
            "genotype": self.genotype.to_dict(),
            "values": values,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Trial:
        """The way back. Raises `SearchError` where it is none."""
        try:
            values = {str(name): float(number) for name, number in value["values"].items()}
            return cls(int(value["number"]), Genotype.from_dict(value["genotype"]), values, float(value["seconds"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SearchError(f"is no trial: {error!r:.100}") from None


class Journal:
    """An open journal; a context manager.

    Args:
        path: the file; made if it is not there.
        identity: plain values that say what the search is. A file of another search is refused.

    Attributes:
        trials: what the file held when it was opened, and what was added, by number.

    Raises:
        SearchError: the file is another search's, damaged, in use, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self._file = LineFile(path, KIND, identity, Trial.from_dict, SearchError)
        self.path = self._file.path
        self.trials = {trial.number: trial for trial in self._file.entries}

    def add(self, trial: Trial) -> None:
        """Writes a trial to the disk. Raises `SearchError` where it cannot; what was written before stays."""
        self._file.add(trial.to_dict())
        self.trials[trial.number] = trial

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Trial]]:
    """What a journal says of its search, and its trials in the order of their numbers.

    Raises:
        SearchError: it cannot be read, or holds something else.
    """
    identity, entries = read_lines(path, KIND, Trial.from_dict, SearchError)
    trials = {trial.number: trial for trial in entries}
    return identity, [trials[number] for number in sorted(trials)]
