"""Schema files: a few lines of TOML or JSON that say what the columns of a table mean."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from nasrec.checks import format_path, format_value, integer
from nasrec.data.formats import Format
from nasrec.errors import DataError
from nasrec.io.json import read_json

__all__ = ["load_schema"]

_KEYS = ("label", "dense", "categorical", "weight", "separator", "header", "columns", "missing", "min_count", "name")


def load_schema(path: str | os.PathLike[str]) -> Format:
    """Reads a schema file, TOML or (by its ending) JSON.

        label = "click"                    # 0 or 1
        dense = ["price", "age"]           # numbers; may be absent
        categorical = ["user", "item"]     # texts; at least one
        separator = ","                    # default; "tab" or "\\t" for tabs
        header = true                      # default; else `columns = [...]` names all columns in order
        missing = ["", "NA"]               # default [""]
        weight = "w"                       # a column of positive row weights, if there is one
        min_count = 2                      # rarer categories share one id; default 1
        name = "my log"                    # for reports; default: the file's name

    Columns of the table that it does not name are ignored. A row is one line: quoted line breaks are not read.

    Raises:
        DataError: the file cannot be read, or a key is unknown, missing or of the wrong type.
    """
    name = format_path(os.fspath(path))
    values = _read(Path(path))
    try:
        return _format(values, Path(path).stem)
    except DataError as failure:
        raise DataError(f"{name}: {failure}") from None


def _read(path: Path) -> Any:
    if path.suffix == ".json":
        return read_json(path, DataError)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise DataError(f"{path}: cannot be read: {failure.strerror or failure}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise DataError(f"{path}: is not TOML: {failure}") from None


def _format(values: Any, name: str) -> Format:
    if not isinstance(values, dict):
        raise DataError("a schema must be an object with the keys label, dense, categorical")
    for key in values:
        if key not in _KEYS:
            raise DataError(f"a schema has no key {format_value(key)}; allowed: {', '.join(_KEYS)}")
    for key in ("label", "categorical"):
        if key not in values:
            raise DataError(f"the schema lacks {key!r}")
    label = _text(values, "label")
    weight = _text(values, "weight") if "weight" in values else None
    dense, sparse = _texts(values, "dense", ()), _texts(values, "categorical", ())
    used = [label, *dense, *sparse, *((weight,) if weight else ())]
    twice = next((column for column in used if used.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"column {twice!r} is named twice; a column is label, dense, categorical or weight")
    if not sparse:
        raise DataError("categorical names no column; a model needs at least one")
    header = values.get("header", True)
    if not isinstance(header, bool):
        raise DataError(f"header must be true or false, not {format_value(header)}")
    columns = _texts(values, "columns", ()) or None
    if header == (columns is not None):
        raise DataError("columns must name all columns in order where header is false, and only there")
    if columns is not None and (missing := [column for column in used if column not in columns]):
        raise DataError(f"columns lacks {', '.join(missing)}")
    min_count = integer(values.get("min_count", 1))
    if min_count is None or min_count < 1:
        raise DataError(f"min_count must be a whole number of at least 1, not {format_value(values['min_count'])}")
    return Format(
        kind="table",
        title=_text(values, "name") if "name" in values else name,
        delimiter=_separator(values),
        has_header=header,
        label=label,
        dense=dense,
        sparse=sparse,
        min_count=min_count,
        weight=weight,
        missing=_texts(values, "missing", ("",)),
        columns_in_file=columns,
        exact=False,
    )


def _separator(values: dict[str, Any]) -> str:
    text = values.get("separator", ",")
    text = "\t" if text == "tab" else text
    if not isinstance(text, str) or len(text) != 1 or ord(text) > 126 or text in '"\n\r':
        raise DataError(f"separator must be one ASCII character or 'tab', not {format_value(text)}")
    return text


def _text(values: dict[str, Any], key: str) -> str:
    text = values[key]
    if not isinstance(text, str) or not text:
        raise DataError(
            f"{key} must be a column's name, not {format_value(text)}" if key != "name" else "name must be text"
        )
    return text


def _texts(values: dict[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    found = values.get(key, default)
    if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
        raise DataError(f"{key} must be a list of texts, not {format_value(found)}")
    return tuple(found)
