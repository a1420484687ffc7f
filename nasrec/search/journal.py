"""The record of a search: one line of JSON for each evaluation, written when it is done.

The first line says what the search is. Lines are only ever appended; one that a kill cut short is dropped when the
search goes on.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nasrec import jsonfile
from nasrec.checks import first_difference, shown
from nasrec.errors import NasrecError, SearchError
from nasrec.genotype import Genotype
from nasrec.jsonfile import shown_path

__all__ = ["Journal", "Trial", "read_journal"]

FORMAT, VERSION = "nasrec-search", 1


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
        SearchError: the file is another search's, damaged, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.trials: dict[int, Trial] = {}
        header = {"format": FORMAT, "version": VERSION, "search": json.loads(json.dumps(identity))}
        try:
            found, end = _read(self.path) if self.path.exists() else (None, 0)
            if found is not None:
                saved, self.trials = found
                _require_same(saved, header, self.path)
            self._file = self.path.open("r+b" if self.path.exists() else "x+b", buffering=0)
            self._file.truncate(end)
            self._file.seek(end)
            if found is None:
                self._append(header)
        except OSError as error:
            raise SearchError(f"{shown_path(os.fspath(path))}: cannot be written: {error.strerror}") from None

    def add(self, trial: Trial) -> None:
        """Writes a trial to the disk.

        Raises:
            SearchError: it cannot be written; what was written before stays.
        """
        try:
            self._append(trial.to_dict())
        except OSError as error:
            raise SearchError(f"{shown_path(os.fspath(self.path))}: cannot be written: {error.strerror}") from None
        self.trials[trial.number] = trial

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, value: Mapping[str, Any]) -> None:
        start = self._file.tell()
        data = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # half a line, where the disk is full
                self._file.truncate(start)
                self._file.seek(start)
            raise


def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Trial]]:
    """What a journal says of its search, and its trials in the order of their numbers.

    Raises:
        SearchError: it cannot be read, or holds something else.
    """
    try:
        found, _ = _read(Path(path))
    except OSError as error:
        raise SearchError(f"{shown_path(os.fspath(path))}: cannot be read: {error.strerror}") from None
    if found is None:
        raise SearchError(f"{shown_path(os.fspath(path))}: is empty; it is no journal of a search")
    header, trials = found
    return header["search"], [trials[number] for number in sorted(trials)]


def _read(path: Path) -> tuple[tuple[dict[str, Any], dict[int, Trial]] | None, int]:
    """Header and trials, or None for an empty file; and the length of the whole lines."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    lines = data[:end].splitlines()
    if not lines:
        return None, 0
    where = shown_path(os.fspath(path))
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(jsonfile.parse(line.decode("utf-8"), SearchError))
        except (SearchError, UnicodeDecodeError) as error:
            raise SearchError(f"{where}, line {number}: is damaged ({error}); remove it to evaluate anew") from None
    header, *rest = values
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
        raise SearchError(f"{where}: is no journal of a search, or of another version of nasrec")
    trials = {}
    for number, value in enumerate(rest, 2):
        try:
            trial = Trial.from_dict(value)
        except NasrecError as error:
            raise SearchError(f"{where}, line {number}: {error}; remove it to evaluate anew") from None
        trials[trial.number] = trial
    return (header, trials), end


def _require_same(saved: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    if (difference := first_difference(saved, own)) is not None:
        key, old, new = difference
        raise SearchError(
            f"{shown_path(os.fspath(path))}: is of a search with {key.removeprefix('search.')} {shown(old)}, this one "
            f"has {shown(new)}; give the same settings to go on with it, or another folder"
        )
