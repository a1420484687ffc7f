"""The record of a search: a line for each evaluation, written when it is done."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, overload

from nasrec.errors import SearchError
from nasrec.genotype import Genotype
from nasrec.io.jsonl import JsonLinesLog, read_lines
from nasrec.search.candidates import GENOTYPE, C, Form

__all__ = ["Journal", "Trial", "read_journal"]

KIND = "nasrec-search"


@dataclass(frozen=True)
class Trial(Generic[C]):
    """One evaluation.

    Attributes:
        number: place in the order in which the search asked, from 0.
        candidate: what was evaluated, a genotype for example.
        values: all that was measured, by name; empty where a limit made scoring needless.
        seconds: how long it took; 0 for one that was known already.
    """

    number: int
    candidate: C
    values: Mapping[str, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, those of the candidate below the word for its kind; floats that JSON lacks are strings."""
        candidate = self.candidate.to_dict()
        values = {name: value if math.isfinite(value) else repr(value) for name, value in self.values.items()}
        return {
            "number": self.number,
            str(candidate["format"]).removeprefix("nasrec-"): candidate,
            "values": values,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], form: Form[C]) -> Trial[C]:
        """The inverse of `to_dict`. Raises `SearchError` where the value is no trial."""
        try:
            values = {str(name): float(number) for name, number in value["values"].items()}
            return cls(int(value["number"]), form.parse(value[form.kind]), values, float(value["seconds"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SearchError(f"is no trial: {error!r:.100}") from None


class Journal(Generic[C]):
    """An open journal; a context manager.

    Args:
        path: the file; made if it is not there.
        identity: plain values that say what the search is. A file of another search is refused.
        form: of its candidates; default: genotypes.

    Attributes:
        trials: what the file held when it was opened, and what was added, by number.

    Raises:
        SearchError: the file is another search's, damaged, in use, or cannot be written.
    """

    @overload
    def __init__(self: Journal[Genotype], path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None: ...

    @overload
    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any], form: Form[C]) -> None: ...

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any], form: Any = GENOTYPE) -> None:
        self._file: JsonLinesLog[Trial[C]] = JsonLinesLog(path, KIND, identity, _parser(form), SearchError)
        self.path = self._file.path
        self.trials = {trial.number: trial for trial in self._file.entries}

    def add(self, trial: Trial[C]) -> None:
        """Writes a trial to the disk. Raises `SearchError` where it cannot; what was written before stays."""
        self._file.add(trial.to_dict())
        self.trials[trial.number] = trial

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Journal[C]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@overload
def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Trial[Genotype]]]: ...


@overload
def read_journal(path: str | os.PathLike[str], form: Form[C]) -> tuple[dict[str, Any], list[Trial[C]]]: ...


def read_journal(path: str | os.PathLike[str], form: Any = GENOTYPE) -> tuple[dict[str, Any], list[Trial[Any]]]:
    """What a journal says of its search, and its trials in the order of their numbers.

    Args:
        path: the file.
        form: of its candidates; default: genotypes.

    Raises:
        SearchError: it cannot be read, or holds something else.
    """
    identity, entries = read_lines(path, KIND, _parser(form), SearchError)
    trials = {trial.number: trial for trial in entries}
    return identity, [trials[number] for number in sorted(trials)]


def _parser(form: Form[C]) -> Callable[[Any], Trial[C]]:
    return lambda value: Trial.from_dict(value, form)
