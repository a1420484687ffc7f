"""manifest.json: the contents of a prepared folder, their origin, and a checksum of every file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasrec.checks import format_value
from nasrec.data.schema import Schema
from nasrec.data.splits import PARTS
from nasrec.data.staging import SCRATCH
from nasrec.errors import DataError
from nasrec.io.atomic import write_text
from nasrec.io.json import read_json

__all__ = ["NAME", "Column", "File", "Manifest", "Part", "file_sha256", "read_manifest", "write_manifest"]

NAME = "manifest.json"
FORMAT, VERSION = "nasrec-data", 1
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class File:
    """A file of the folder: its name in it, `rows` (texts, for a vocabulary), size and SHA-256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Column:
    """A categorical column: `rows` of its table, and how the vocabulary came about (None for synthetic columns).

    Attributes:
        distinct: texts that came at all in the rows that the vocabulary was learnt from.
        unknown: how many of those rows have a text without an id of its own.
    """

    name: str
    rows: int
    vocabulary: File | None
    distinct: int
    unknown: int


@dataclass(frozen=True)
class Part:
    """Train, valid or test: `weight` is the sum of row weights, the number of rows where there are none."""

    rows: int
    clicks: int
    weight: float
    files: tuple[File, ...]


@dataclass(frozen=True)
class Manifest:
    """Description of a prepared folder.

    Attributes:
        dataset: criteo, avazu, kdd, frappe or table; title: in words.
        synthetic: rows of a synthetic log, whose ids begin at 1 and know no unknown text.
        label, dense, columns: names; `columns` are the categorical ones.
        weighted: rows carry weights.
        options: how it was prepared. sources: files with size, SHA-256, rows. bad_rows: what was left out.
        versions: of nasrec, Python and the packages that wrote it.
    """

    dataset: str
    title: str
    synthetic: bool
    label: str
    dense: tuple[str, ...]
    columns: tuple[Column, ...]
    weighted: bool
    parts: Mapping[str, Part]
    options: Mapping[str, Any]
    sources: tuple[Mapping[str, Any], ...]
    bad_rows: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def schema(self) -> Schema:
        """Names and table sizes."""
        return Schema(self.dense, tuple(c.name for c in self.columns), tuple(c.rows for c in self.columns))

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts.values())

    @property
    def files(self) -> tuple[File, ...]:
        """All files that the folder must hold."""
        shards = [file for part in self.parts.values() for file in part.files]
        return (*shards, *(column.vocabulary for column in self.columns if column.vocabulary))

    @property
    def checksum(self) -> str:
        """SHA-256 over all of the manifest, and so over all files: equal checksums are equal data."""
        return _checksum(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **_plain(asdict(self))}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes the folder complete: what has no manifest is not taken for data. Raises `DataError`."""
    values = manifest.to_dict()
    text = json.dumps(values | {"checksum": _checksum(values)}, indent=1, ensure_ascii=False) + "\n"
    write_text(folder / NAME, text, DataError)


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Reads and checks DIR/manifest.json, and that every file is there with its size.

    Raises:
        DataError: there is no prepared data, or it is unfinished, damaged, or of a newer version.
    """
    path = Path(folder)
    if not (path / NAME).exists():
        if (path / SCRATCH).exists():
            raise DataError(f"{path}: the preparation is not finished; run the same command again to go on")
        raise DataError(f"{path}: holds no prepared data (no {NAME}); make it with 'nasrec data prepare'")
    values = read_json(path / NAME, DataError)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{path / NAME}: is not a manifest of prepared data")
    if values.get("version") != VERSION:
        raise DataError(
            f"{path / NAME}: is of version {format_value(values.get('version'))}, this program reads {VERSION}; "
            f"prepare anew"
        )
    found = values.pop("checksum", None)
    if found != _checksum(values):
        raise DataError(f"{path / NAME}: its checksum does not fit its content; it was changed or damaged")
    try:
        manifest = _manifest(values)
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        raise DataError(f"{path / NAME}: is malformed ({failure!r:.100})") from None
    for file in manifest.files:
        _check_size(path, file)
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Reads every file and compares its checksum. Raises `DataError` naming the first that differs."""
    for file in manifest.files:
        _check_size(folder, file)
        if file_sha256(folder / file.name) != file.sha256:
            raise DataError(
                f"{folder / file.name}: its SHA-256 is not that of the manifest; it is damaged: prepare anew"
            )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises `DataError` if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(_CHUNK_BYTES):
                digest.update(data)
    except OSError as failure:
        raise DataError(f"{path}: cannot be read: {failure.strerror or failure}") from None
    return digest.hexdigest()


def _check_size(folder: Path, file: File) -> None:
    try:
        size = os.path.getsize(folder / file.name)
    except OSError:
        raise DataError(f"{folder / file.name}: is missing; the folder is not whole: prepare anew") from None
    if size != file.bytes:
        raise DataError(
            f"{folder / file.name}: has {size:,} bytes, the manifest says {file.bytes:,}; it is cut off or damaged: "
            "prepare anew"
        )


def _manifest(values: dict[str, Any]) -> Manifest:
    fields = {key: value for key, value in values.items() if key not in ("format", "version")}
    fields["dense"] = tuple(fields["dense"])
    fields["columns"] = tuple(
        Column(**(column | {"vocabulary": File(**column["vocabulary"]) if column["vocabulary"] else None}))
        for column in fields["columns"]
    )
    fields["parts"] = {
        name: Part(
            **(fields["parts"][name] | {"files": tuple(File(**file) for file in fields["parts"][name]["files"])})
        )
        for name in PARTS
    }
    fields["sources"] = tuple(fields["sources"])
    return Manifest(**fields)


def _checksum(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
