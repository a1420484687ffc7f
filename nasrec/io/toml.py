"""TOML files, read with the same care as JSON; flat tables written as such."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from nasrec.checks import format_path
from nasrec.errors import NasrecError
from nasrec.io.json import read_text

__all__ = ["read_toml", "toml_text"]


def read_toml(path: Any, error: type[NasrecError]) -> dict[str, Any]:
    """The table in a TOML file. Raises `error`, with one line that begins with the path, where it is none."""
    text = read_text(path, error, "TOML file")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as failure:
        reason = "is nested too deeply" if isinstance(failure, RecursionError) else " ".join(str(failure).split())
        raise error(f"{format_path(os.fspath(path))}: is not TOML: {reason}") from None


def toml_text(values: Mapping[str, Any]) -> str:
    """A flat table as text: a line for each of texts, numbers, booleans, and lists of these."""
    return "".join(f"{name} = {_value(value)}\n" for name, value in values.items())


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")  # of JSON's strings TOML forbids this character alone
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
