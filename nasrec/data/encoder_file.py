"""An encoder in a folder: encoder.json, and the vocabulary of each categorical column as an Arrow file.

Both are data alone. The JSON holds a checksum of every vocabulary, and nothing in it names a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasrec.checks import format_path, format_value, integer
from nasrec.data.formats import DATASETS
from nasrec.data.manifest import file_sha256
from nasrec.data.options import DENSE
from nasrec.data.schema import Schema
from nasrec.data.vocabulary import Vocabulary
from nasrec.errors import DataError
from nasrec.io.atomic import ensure_directory, write_bytes, write_text
from nasrec.io.json import json_text, read_json, require_format

__all__ = ["NAME", "read", "write"]

NAME = "encoder.json"
FORMAT, VERSION = "nasrec-encoder", 1
_FOLDER = "vocabulary"


def write(
    folder: Path,
    schema: Schema,
    vocabularies: Sequence[Vocabulary],
    transform: str,
    missing: Sequence[str],
    dataset: str,
) -> None:
    """Writes the vocabularies, then the JSON file that makes them an encoder. Raises `DataError`."""
    ensure_directory(folder / _FOLDER if vocabularies else folder, DataError)
    checksums: list[str | None] = [None] * schema.num_sparse
    for number, vocabulary in enumerate(vocabularies):
        data = vocabulary.to_bytes()
        write_bytes(_vocabulary(folder, number), data, DataError)
        checksums[number] = hashlib.sha256(data).hexdigest()
    columns = zip(schema.sparse_names, schema.cardinalities, checksums, strict=True)
    values = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dataset,
        "dense": list(schema.dense_names),
        "transform": transform,
        "missing": list(missing),
        "categorical": [{"name": name, "rows": rows, "sha256": checksum} for name, rows, checksum in columns],
    }
    write_text(folder / NAME, json_text(values) + "\n", DataError)


def read(folder: Path) -> tuple[Schema, tuple[Vocabulary, ...], str, tuple[str, ...], str]:
    """The arguments of `write`. Raises `DataError` naming the file and what is wrong with it."""
    path = folder / NAME
    values = read_json(path, DataError)
    try:
        require_format(values, FORMAT, VERSION, "an encoder", DataError)
        found = _content(values)
    except DataError as failure:
        raise DataError(f"{format_path(str(path))}: {failure}") from None
    schema, checksums, transform, missing, dataset = found
    vocabularies = [
        _read_vocabulary(_vocabulary(folder, number), rows, checksum)
        for number, (rows, checksum) in enumerate(zip(schema.cardinalities, checksums, strict=False))
    ]
    return schema, tuple(vocabularies), transform, missing, dataset


def _content(values: dict[str, Any]) -> tuple[Schema, tuple[str, ...], str, tuple[str, ...], str]:
    dense, missing = _texts(values, "dense"), _texts(values, "missing")
    columns = values.get("categorical")
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns) or not columns:
        raise DataError(f"categorical must be a list of objects, not {format_value(columns)}")
    names = _texts({"name": [column.get("name") for column in columns]}, "name")
    rows = [integer(column.get("rows")) for column in columns]
    if not all(count is not None and 0 < count < 1 << 31 for count in rows):
        raise DataError("rows of a categorical column must be a whole number of at least 1")
    if len({*dense, *names}) < len(dense) + len(names):
        raise DataError("a column comes twice")
    checksums = [column.get("sha256") for column in columns]
    synthetic = checksums == [None] * len(checksums)
    if not synthetic and not all(isinstance(checksum, str) for checksum in checksums):
        raise DataError("sha256 of a categorical column must be a text")
    for key, allowed in (("transform", DENSE), ("dataset", (*DATASETS, "table"))):
        if values.get(key) not in allowed:
            raise DataError(f"{key} must be one of {', '.join(allowed)}, not {format_value(values.get(key))}")
    schema = Schema(dense, names, tuple(count for count in rows if count is not None))
    return schema, () if synthetic else tuple(checksums), values["transform"], missing, values["dataset"]


def _texts(values: dict[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise DataError(f"{key} must be a list of texts, not {format_value(found)}")
    return tuple(found)


def _read_vocabulary(path: Path, rows: int, checksum: str) -> Vocabulary:
    # Before anything looks inside: Arrow trusts what a file says of itself.
    if file_sha256(path) != checksum:
        raise DataError(f"{format_path(str(path))}: its SHA-256 is not that of {NAME}; it was changed or damaged")
    vocabulary = Vocabulary(path)
    vocabulary.require_ids_below(rows)
    return vocabulary


def _vocabulary(folder: Path, number: int) -> Path:
    return folder / _FOLDER / f"{number:02d}.arrow"
