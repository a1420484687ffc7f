"""Search spaces as files: the fields of one in TOML, or in JSON where the name ends so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nasrec.checks import format_path
from nasrec.errors import SpaceError
from nasrec.io.atomic import checked_path, write_text
from nasrec.io.json import json_text, read_json
from nasrec.io.toml import read_toml, toml_text

__all__ = ["read", "write"]


def read(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The fields in a file. Raises `SpaceError`, naming it, where it cannot be read or holds something else."""
    values = read_json(path, SpaceError) if _is_json(path) else read_toml(path, SpaceError)
    if not isinstance(values, Mapping):
        raise SpaceError(f"{format_path(os.fspath(path))}: a search space must be an object")
    return values


def write(fields: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes fields as a whole or not at all. Raises `SpaceError` where it cannot."""
    text = json_text(dict(fields)) + "\n" if _is_json(path) else toml_text(fields)
    write_text(path, text, SpaceError)


def _is_json(path: str | os.PathLike[str]) -> bool:
    return checked_path(path, SpaceError).endswith(".json")
