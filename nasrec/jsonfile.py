"""JSON files read strictly and written atomically.

The json module alone accepts repeated keys, NaN and numbers of any length, and fails on hostile input with errors
of many types. Here everything that is wrong with a file raises the one error class that the caller names.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from typing import Any, NoReturn

from nasrec.checks import shown
from nasrec.errors import NasrecError

__all__ = ["parse", "read", "read_text", "shown_path", "write_text"]

MAX_BYTES = 1 << 24
"""Largest file that is read: far above any specification, so that a wrong path is named instead of parsed."""

_MAX_INTEGER_LENGTH = 18  # characters: fits int64, and all that is described here is far smaller


def read(path: Any, error: type[NasrecError]) -> Any:
    """The value in a JSON file.

    Args:
        path: str or path object.
        error: raised, with one line that begins with the path, if the file cannot be read or is not strict JSON.
    """
    text = read_text(path, error)
    try:
        return parse(text, error)
    except NasrecError as failure:
        raise error(f"{shown_path(os.fspath(path))}: {failure}") from None


def read_text(path: Any, error: type[NasrecError], kind: str = "JSON file") -> str:
    """The text of a UTF-8 file of bounded size.

    Args:
        path: str or path object.
        error: raised, with one line that begins with the path, if the file cannot be read.
        kind: what should be there, for that line.
    """
    name = _checked_path(path, error)
    try:
        # Non-blocking, so that opening a pipe returns and can be refused.
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as failure:
        raise error(f"{shown_path(name)}: cannot be read: {_reason(failure)}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise error(f"{shown_path(name)}: is not a regular file; give a {kind}")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise error(f"{shown_path(name)}: cannot be read: {_reason(failure)}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise error(f"{shown_path(name)}: is larger than {MAX_BYTES} bytes; no such file is that large")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise error(f"{shown_path(name)}: is not UTF-8 text (byte {failure.start})") from None


def parse(text: str, error: type[NasrecError]) -> Any:
    """The value of a JSON text; repeated keys, NaN, infinities and integers beyond 18 digits raise `error`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise error(f"key {shown(key)} stands twice in one object")
            found[key] = value
        return found

    def constant(literal: str) -> NoReturn:
        raise error(f"{literal} is not JSON; write a finite number")

    def real(literal: str) -> float:
        value = float(literal)
        if value in (float("inf"), float("-inf")):
            raise error(f"number {shown(literal)} is too large")
        return value

    def whole(literal: str) -> int:
        if len(literal) > _MAX_INTEGER_LENGTH:
            raise error(f"integer of {len(literal)} characters is too large")
        return int(literal)

    if not text.strip():
        raise error("is empty; a JSON object is expected")
    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant, parse_float=real, parse_int=whole)
    except json.JSONDecodeError as failure:
        raise error(
            f"is not JSON: line {failure.lineno}, column {failure.colno}: {_decapitalised(failure.msg)}"
        ) from None
    except RecursionError:
        raise error("is nested too deeply") from None


def write_text(path: Any, text: str, error: type[NasrecError]) -> None:
    """Writes a text file as a whole or not at all; an existing regular file is replaced, its links kept.

    Args:
        path: str or path object.
        text: what to write, as UTF-8.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    name = _checked_path(path, error)
    try:
        target = os.path.realpath(name)
        if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
            raise error(f"{shown_path(name)}: is not a regular file; give a file name")
        temporary = os.path.join(os.path.dirname(target), f".nasrec-{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except (OSError, ValueError) as failure:
        raise error(f"{shown_path(name)}: cannot be written: {_reason(failure)}") from None


def shown_path(path: str) -> str:
    """A path for an error message: as it is where it prints in one line, else escaped."""
    return path if path.isprintable() and path else repr(path)


def _checked_path(path: Any, error: type[NasrecError]) -> str:
    # A number would be taken for an open file descriptor, bytes cannot be shown: both are refused.
    try:
        name = os.fspath(path)
    except TypeError:
        raise error(f"a path is expected, not {shown(path)}") from None
    if not isinstance(name, str):
        raise error(f"a path is expected, not {shown(name)}")
    return name


def _reason(failure: Exception) -> str:
    text = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
    return _decapitalised(text)


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
