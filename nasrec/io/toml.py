"""TOML files, read with the same care as JSON."""

from __future__ import annotations

import os
import tomllib
from typing import Any

from nasrec.checks import format_path
from nasrec.errors import NasrecError
from nasrec.io.json import read_text

__all__ = ["read_toml"]


def read_toml(path: Any, error: type[NasrecError]) -> dict[str, Any]:
    """The table in a TOML file. Raises `error`, with one line that begins with the path, where it is none."""
    text = read_text(path, error, "TOML file")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as failure:
        reason = "is nested too deeply" if isinstance(failure, RecursionError) else " ".join(str(failure).split())
        raise error(f"{format_path(os.fspath(path))}: is not TOML: {reason}") from None
