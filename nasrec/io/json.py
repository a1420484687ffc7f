"""JSON read strictly, and written strictly.

The json module alone accepts repeated keys, NaN and numbers of any length, and fails on hostile input with errors
of many types. Here everything that is wrong with a file raises the one error class that the caller names.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from typing import Any, NoReturn

from nasrec.checks import format_path, format_value
from nasrec.errors import NasrecError
from nasrec.io.atomic import checked_path, failure_reason

__all__ = ["json_text", "parse_json", "read_json", "read_text", "require_format"]

MAX_BYTES = 1 << 24
"""Largest file that is read: far above any specification, so that a wrong path is named instead of parsed."""

_NUMBERS = re.compile(r"\[\n\s*([-+.,0-9eE\s]+?)\s*\]")
_MAX_INTEGER_LENGTH = 18  # characters: fits int64, and all that is described here is far smaller


def read_json(path: Any, error: type[NasrecError]) -> Any:
    """The value in a JSON file.

    Args:
        path: str or path object.
        error: raised, with one line that begins with the path, if the file cannot be read or is not strict JSON.
    """
    text = read_text(path, error)
    try:
        return parse_json(text, error)
    except NasrecError as failure:
        raise error(f"{format_path(os.fspath(path))}: {failure}") from None


def read_text(path: Any, error: type[NasrecError], kind: str = "JSON file") -> str:
    """The text of a UTF-8 file of bounded size.

    Args:
        path: str or path object.
        error: raised, with one line that begins with the path, if the file cannot be read.
        kind: what should be there, for that line.
    """
    name = checked_path(path, error)
    try:
        # Non-blocking, so that opening a pipe returns and can be refused.
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as failure:
        raise error(f"{format_path(name)}: cannot be read: {failure_reason(failure)}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise error(f"{format_path(name)}: is not a regular file; give a {kind}")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise error(f"{format_path(name)}: cannot be read: {failure_reason(failure)}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise error(f"{format_path(name)}: is larger than {MAX_BYTES} bytes; no such file is that large")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise error(f"{format_path(name)}: is not UTF-8 text (byte {failure.start})") from None


def parse_json(text: str, error: type[NasrecError]) -> Any:
    """The value of a JSON text; repeated keys, NaN, infinities and integers beyond 18 digits raise `error`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise error(f"key {format_value(key)} stands twice in one object")
            found[key] = value
        return found

    def constant(literal: str) -> NoReturn:
        raise error(f"{literal} is not JSON; write a finite number")

    def real(literal: str) -> float:
        value = float(literal)
        if value in (float("inf"), float("-inf")):
            raise error(f"number {format_value(literal)} is too large")
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
            f"is not JSON: line {failure.lineno}, column {failure.colno}: {failure.msg[:1].lower() + failure.msg[1:]}"
        ) from None
    except RecursionError:
        raise error("is nested too deeply") from None


def require_format(values: Any, name: str, version: int, what: str, error: type[NasrecError]) -> None:
    """Raises `error` unless the value is an object with these "format" and "version"; `what` it is not then."""
    if not isinstance(values, dict) or values.get("format") != name:
        raise error(f"is no file of {what}")
    if values.get("version") != version:
        raise error(f"is of version {format_value(values.get('version'))}, this program reads {version}")


def json_text(value: Any) -> str:
    """Strict JSON, two spaces an indent: numbers that JSON has no word for (NaN, infinities) become null."""
    text = json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False)
    # Lists of numbers on one line each; line breaks stand only between values, those in strings are escaped.
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value
