"""Files that only grow, by a line of JSON each time something is done: readable, and whole after a kill.

The first line says what the file is. A last line that a kill cut short is dropped when the file is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from nasrec.checks import first_difference, format_path, format_value
from nasrec.errors import NasrecError
from nasrec.io.append import append
from nasrec.io.json import parse_json
from nasrec.io.lock import try_lock

__all__ = ["JsonLinesLog", "read_lines"]

Entry = TypeVar("Entry")

VERSION = 1


class JsonLinesLog(Generic[Entry]):
    """An open file, a context manager; no other process may have it open at the same time.

    Args:
        path: the file; made if it is not there.
        kind: what it is, for its first line and for messages, such as "nasrec-search".
        identity: plain values that say what its entries have in common. A file with others is refused.
        parse: an entry from the value of its line; raises a `NasrecError` where it is none.
        error: raised, with one line that begins with the path, if the file cannot be used.

    Attributes:
        entries: what the file held when it was opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: str,
        identity: Mapping[str, Any],
        parse: Callable[[Any], Entry],
        error: type[NasrecError],
    ) -> None:
        self.path, self._error = Path(path), error
        self.entries: list[Entry] = []
        header = {"format": kind, "version": VERSION, "identity": json.loads(json.dumps(identity))}
        try:
            self._file = self.path.open("r+b" if self.path.exists() else "x+b", buffering=0)
            if not try_lock(self._file.fileno()):
                raise error(f"{_name(self.path)}: another process is writing it; wait for it or stop it")
            found, end = _read(self.path, kind, parse, error)
            if found is None and not _line(header).startswith(self.path.read_bytes()):
                raise error(f"{_name(self.path)}: is no {kind} file; give another name")
            if found is not None:
                self._require_same(found[0], header["identity"])
                self.entries = found[1]
            self._file.truncate(end)
            if found is None:
                self._append(header)
        except OSError as failure:
            raise self._failed(failure) from None
        except NasrecError:
            self._file.close()
            raise

    def add(self, value: Mapping[str, Any]) -> None:
        """Writes a line to the disk. Where that fails, what was written before stays."""
        try:
            self._append(value)
        except OSError as failure:
            raise self._failed(failure) from None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> JsonLinesLog[Entry]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, value: Mapping[str, Any]) -> None:
        append(self._file.fileno(), _line(value), durable=True)

    def _require_same(self, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        if (difference := first_difference(saved, own)) is not None:
            key, old, new = difference
            raise self._error(
                f"{_name(self.path)}: was begun with {key} {format_value(old)}, this has {format_value(new)}; "
                f"give the same settings "
                "to go on with it, or another folder"
            )

    def _failed(self, failure: OSError) -> NasrecError:
        return self._error(f"{_name(self.path)}: cannot be written: {failure.strerror}")


def read_lines(
    path: str | os.PathLike[str], kind: str, parse: Callable[[Any], Entry], error: type[NasrecError]
) -> tuple[dict[str, Any], list[Entry]]:
    """What the first line says of a file, and its entries; arguments as for `JsonLinesLog`."""
    place = Path(path)
    try:
        found, _ = _read(place, kind, parse, error)
    except OSError as failure:
        raise error(f"{_name(place)}: cannot be read: {failure.strerror}") from None
    if found is None:
        raise error(f"{_name(place)}: is empty; it is no {kind} file")
    return found


def _read(
    path: Path, kind: str, parse: Callable[[Any], Entry], error: type[NasrecError]
) -> tuple[tuple[dict[str, Any], list[Entry]] | None, int]:
    """Identity and entries, or None for an empty file; and the length of the whole lines."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    lines = data[:end].splitlines()
    if not lines:
        return None, 0
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(parse_json(line.decode("utf-8"), error))
        except (NasrecError, UnicodeDecodeError) as failure:
            raise error(
                f"{_name(path)}, line {number}: is damaged ({failure}); remove it to have it done anew"
            ) from None
    header, *rest = values
    known = isinstance(header, dict) and header.get("format") == kind and header.get("version") == VERSION
    if not known or not isinstance(header.get("identity"), dict):
        raise error(f"{_name(path)}: is no {kind} file, or of another version of nasrec")
    entries = []
    for number, value in enumerate(rest, 2):
        try:
            entries.append(parse(value))
        except NasrecError as failure:
            raise error(f"{_name(path)}, line {number}: {failure}; remove it to have it done anew") from None
    return (header["identity"], entries), end


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _name(path: Path) -> str:
    return format_path(os.fspath(path))
