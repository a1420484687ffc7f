"""Small checks of values that come from users or files, shared by the specifications."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Set
from typing import Any

__all__ = ["first_difference", "format_path", "format_value", "integer", "integers", "number"]

_MAX_LENGTH = 60
_MAX_DIGITS = 20


def integer(value: Any) -> int | None:
    """The value as an int if it is one (numpy's and other index-like integers too), else None.

    A bool is not an integer here: `true` where a width belongs is a mistake worth naming.
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def integers(values: Any) -> tuple[int, ...] | None:
    """The values as a tuple of ints if they are an ordered collection of integers, else None."""
    if isinstance(values, (str, bytes, bytearray, Mapping, Set)):
        return None
    try:
        found = tuple(integer(value) for value in values)
    except TypeError:
        return None
    whole = tuple(value for value in found if value is not None)
    return whole if len(whole) == len(found) else None


def number(value: Any) -> float | None:
    """The value as a float if it is a finite real number, else None; a bool is none here either."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first entry in which two nested mappings of plain values differ: its dotted key and both values (None where
    there is none); None if they are equal."""
    flat_one, flat_other = _flat(one, ""), _flat(other, "")
    for key in dict.fromkeys((*flat_other, *flat_one)):
        if flat_one.get(key) != flat_other.get(key):
            return key, flat_one.get(key), flat_other.get(key)
    return None


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        flat |= _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    return flat


def format_value(value: Any) -> str:
    """A value for an error message: one line, short, and never a failure of its own.

    Huge integers and deeply nested containers cannot be printed by `repr`, so they are described instead.
    """
    if value is None or isinstance(value, (bool, float, str)):
        text = repr(value)
        return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."
    number = integer(value)
    if number is not None:
        return str(number) if abs(number) < 10**_MAX_DIGITS else f"an integer of {number.bit_length()} bits"
    if isinstance(value, Mapping):
        return f"an object with {len(value)} keys"
    if isinstance(value, (list, tuple)):
        return _format_list(value)
    return f"a value of type {type(value).__name__}"


def format_path(path: str) -> str:
    """A path for an error message: as it is where it prints in one line, else escaped."""
    return path if path.isprintable() and path else repr(path)


def _format_list(values: list[Any] | tuple[Any, ...]) -> str:
    if len(values) <= 8 and not any(isinstance(value, (list, tuple, Mapping)) for value in values):
        text = ", ".join(format_value(value) for value in values)
        if len(text) <= _MAX_LENGTH:
            return f"[{text}]"
    return f"a list of {len(values)} items"
