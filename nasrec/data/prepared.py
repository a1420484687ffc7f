"""A prepared folder, opened: its manifest, and three logs that are read through a memory map."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.dataset import ClickLog, Log, Splits
from nasrec.data.manifest import NAME, Manifest, Part, read_manifest, verify
from nasrec.data.reader import Rows
from nasrec.data.schema import Schema
from nasrec.data.shards import map_shard
from nasrec.data.staging import SCRATCH
from nasrec.data.vocabulary import Vocabulary
from nasrec.errors import DataError

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec

__all__ = ["Prepared", "PreparedLog", "is_prepared", "open_folder"]


def open_folder(folder: str | os.PathLike[str], *, check: bool = False) -> Prepared:
    """Opens what `prepare` or `prepare_synthetic` made. Nothing is loaded: rows come from memory maps of the files.

    The manifest's own checksum and the size of every file are checked; with `check` the SHA-256 of every file too.

    Raises:
        DataError: there is no prepared data, it is unfinished or damaged.
    """
    manifest = read_manifest(folder)
    if check:
        verify(Path(folder), manifest)
    return Prepared(Path(folder), manifest)


def is_prepared(folder: str | os.PathLike[str]) -> bool:
    """Is this a folder that `prepare` made, or began?"""
    path = Path(folder)
    return (path / NAME).is_file() or (path / SCRATCH).is_dir()


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared folder; unpacks into train, valid and test."""

    folder: Path
    manifest: Manifest

    @property
    def schema(self) -> Schema:
        return self.manifest.schema

    @cached_property
    def train(self) -> PreparedLog:
        return self._part("train")

    @cached_property
    def valid(self) -> PreparedLog:
        return self._part("valid")

    @cached_property
    def test(self) -> PreparedLog:
        return self._part("test")

    def __iter__(self) -> Iterator[PreparedLog]:
        return iter((self.train, self.valid, self.test))

    def features(self, embedding_dim: int = 16) -> FeatureSpec:
        """What a model for these columns is compiled for; `embedding_dim` channels for each table."""
        return self.schema.features(embedding_dim)

    def splits(self) -> Splits[PreparedLog]:
        """The three logs, as training takes them."""
        return Splits(self.train, self.valid, self.test, self.vocabularies())

    def vocabulary(self, column: str) -> Vocabulary:
        """Texts and ids of a categorical column. Raises `DataError` if there is no such column or no vocabulary."""
        found = next((entry for entry in self.manifest.columns if entry.name == column), None)
        if found is None or found.vocabulary is None:
            known = ", ".join(entry.name for entry in self.manifest.columns if entry.vocabulary)
            raise DataError(f"{self.folder}: no vocabulary of a column {column!r}; there are {known or 'none'}")
        return Vocabulary(self.folder / found.vocabulary.name)

    def vocabularies(self) -> tuple[Vocabulary, ...]:
        """Those of all columns, in order; none for synthetic rows."""
        return tuple(self.vocabulary(column.name) for column in self.manifest.columns if column.vocabulary)

    def load(self) -> Splits[ClickLog]:
        """The three logs in memory."""
        train, valid, test = (log.take(slice(None)) for log in self)
        return Splits(train, valid, test, self.vocabularies())

    def _part(self, name: str) -> PreparedLog:
        words = f"{self.manifest.title} ({self.folder.name}, {name})"
        part = self.manifest.parts[name]
        digest = f"{self.manifest.checksum}/{name}"
        return PreparedLog(self.folder, self.schema, part, words, digest, self.manifest.weighted)


class PreparedLog(Log):
    """One part of a prepared folder. Shards are mapped when first read, and their form is checked then."""

    def __init__(self, folder: Path, schema: Schema, part: Part, source: str, sha256: str, weighted: bool) -> None:
        self.schema, self.source, self.part = schema, source, part
        self._folder, self._sha256, self._weighted = folder, sha256, weighted
        self._ends = np.cumsum([file.rows for file in part.files])
        self._shards: list[Rows | None] = [None] * len(part.files)

    @property
    def num_rows(self) -> int:
        return self.part.rows

    @property
    def clicks(self) -> int:
        return self.part.clicks

    @property
    def weighted(self) -> bool:
        return self._weighted

    @property
    def sha256(self) -> str:
        """The manifest's checksum and the part's name."""
        return self._sha256

    def fetch(self, rows: NDArray[np.int64] | slice) -> Rows:
        """The given rows, in the given order, as arrays of their own."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.num_rows)
            rows = np.arange(start, stop, step)
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.num_rows):
            raise DataError(f"{self.source}: rows go from 0 to {self.num_rows - 1}")
        found = self._empty(len(rows))
        # Shard by shard, so that each is asked once, and then into the order asked for.
        ascending = bool((np.diff(rows) >= 0).all())
        order = None if ascending else np.argsort(rows)
        wanted = rows if order is None else rows[order]
        shards = np.searchsorted(self._ends, wanted, side="right")
        cuts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(rows)] if len(rows) else [0]
        for low, high in pairwise(cuts):
            number = int(shards[low])
            shard, first = self._shard(number), int(self._ends[number]) - self.part.files[number].rows
            _copy(shard, wanted[low:high] - first, found, slice(low, high))
        if order is None:
            return found
        back = np.empty(len(rows), dtype=np.int64)
        back[order] = np.arange(len(rows))
        weight = None if found.weight is None else found.weight.take(back)
        return Rows(found.dense.take(back, axis=0), found.sparse.take(back, axis=0), found.label.take(back), weight)

    def _empty(self, rows: int) -> Rows:
        schema = self.schema
        return Rows(
            np.empty((rows, schema.num_dense), np.float32),
            np.empty((rows, schema.num_sparse), np.int32),
            np.empty(rows, np.uint8),
            np.empty(rows, np.float32) if self.weighted else None,
        )

    def _shard(self, number: int) -> Rows:
        found = self._shards[number]
        if found is None:
            file = self.part.files[number]
            found = self._shards[number] = map_shard(self._folder / file.name, self._empty(0), file.rows)
        return found


def _arrays(rows: Rows) -> tuple[NDArray[Any] | None, ...]:
    return rows.dense, rows.sparse, rows.label, rows.weight


def _copy(shard: Rows, rows: NDArray[np.int64], into: Rows, place: slice) -> None:
    whole = len(rows) and len(rows) == rows[-1] - rows[0] + 1  # ascending, so a run of neighbours
    for source, target in zip(_arrays(shard), _arrays(into), strict=True):
        if source is None or target is None:
            continue
        if whole:
            target[place] = source[rows[0] : rows[-1] + 1]
        else:
            # Any mode but "raise" writes to `out` directly; rows are in range.
            source.take(rows, axis=0, out=target[place], mode="clip")
