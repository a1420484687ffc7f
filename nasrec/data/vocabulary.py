"""Texts to ids, counted and ranked in bounded memory; vocabularies on disk."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec.errors import DataError

__all__ = ["FIRST", "MISSING", "UNKNOWN", "Ranking", "Vocabulary", "rank_column"]

MISSING, UNKNOWN, FIRST = 0, 1, 2
"""Ids of every column: a missing value, a text that is not in the vocabulary, the most frequent text."""

ENTRIES = 4_000_000
"""Texts that are looked at together at the most (one text counts once a block); about 100 bytes each."""
_SAMPLES = 64
_LOOK_UP = 64
"""What it costs to look one text up in order, in texts that are put into a table."""

_SCHEMA = pa.schema([("text", pa.string()), ("id", pa.int32()), ("count", pa.int64())])
"""Of a vocabulary's file."""

Counts = NDArray[np.int64]
Words = tuple[Any, Counts]
"""Distinct texts in order (an Arrow array) and how often each one came."""
Merged = tuple[Any, Counts, list[tuple[int, NDArray[np.int64]]]]
"""Distinct texts of a range in order, their counts over all blocks, and for each block where its slice begins and
which of the distinct texts it holds."""


@dataclass(frozen=True)
class Ranking:
    """What became of a column: distinct texts that came at all, ids given out, and occurrences without an id."""

    distinct: int
    size: int
    unknown: int


def rank_column(
    blocks: Sequence[Callable[[], Words]],
    ids: Path,
    vocabulary: Path,
    *,
    min_count: int,
    max_rows: int | None,
    entries: int | None = None,
) -> Ranking:
    """Gives every text of a column an id: `FIRST`, ... by falling count, ties in the order of UTF-8 bytes.

    A text that comes fewer than `min_count` times, or for which the table of `max_rows` rows has no room, gets
    `UNKNOWN`. Memory depends on `entries` and on the largest block, not on the number of texts: the texts are cut into
    ranges of the alphabet; one pass over the ranges counts how many texts come how often, which tells where the ids of
    each count begin, and a second one hands them out.

    Args:
        blocks: callables that give (texts in order, counts) of each block.
        ids: where the id of each text of each block goes, block after block; raw int32.
        vocabulary: an Arrow file of text, id and count in the order of texts, those with ids of their own only.
        entries: texts looked at together at the most; default `ENTRIES`.
    """
    limit = ENTRIES if entries is None else entries
    lengths, samples = _survey(blocks, limit)
    offsets = np.cumsum([0, *lengths])
    borders = _borders(samples, -(-int(offsets[-1]) // limit))
    ranges = [(low, high) for low, high in zip([None, *borders], [*borders, None], strict=True)]
    counts_of_counts: dict[int, int] = {}
    distinct = 0
    last: Merged | None = None
    for span in ranges:
        last = None  # not two ranges in memory at a time
        last = _merged(blocks, span)
        counts = last[1]
        distinct += int(np.count_nonzero(counts))
        values, times = np.unique(counts[counts >= min_count], return_counts=True)
        for value, many in zip(values.tolist(), times.tolist(), strict=True):
            counts_of_counts[value] = counts_of_counts.get(value, 0) + many
    begins, place = {}, FIRST
    for value in sorted(counts_of_counts, reverse=True):
        begins[value] = place
        place += counts_of_counts[value]
    size = place - FIRST if max_rows is None else min(place - FIRST, max(0, max_rows - FIRST))
    again = [last] if len(ranges) == 1 and last is not None else (_merged(blocks, span) for span in ranges)
    unknown = _hand_out(again, begins, FIRST + size, min_count, offsets, ids, vocabulary)
    return Ranking(distinct, size, unknown)


def _hand_out(
    merged: Iterable[Merged],
    begins: dict[int, int],
    end: int,
    min_count: int,
    offsets: Counts,
    ids: Path,
    vocabulary: Path,
) -> int:
    """Writes both files; `begins` (changed) says where the ids of each count begin, ids from `end` on are not given."""
    unknown = 0
    # Written, not mapped: on a full disk a write fails, a store through a map kills the process.
    with (
        ids.open("wb", buffering=0) as file,
        pa.OSFile(str(vocabulary), "wb") as sink,
        pa.ipc.new_file(sink, _SCHEMA) as writer,
    ):
        for words, counts, slices in merged:
            found = _ranks(counts, begins, min_count)
            found[found >= end] = UNKNOWN
            kept = found != UNKNOWN
            unknown += int(counts[~kept].sum())
            chosen = pa.array(np.flatnonzero(kept))
            writer.write_batch(pa.record_batch([words.take(chosen), found[kept], counts[kept]], schema=_SCHEMA))
            for block, (start, codes) in enumerate(slices):
                os.pwrite(file.fileno(), found[codes].tobytes(), 4 * (int(offsets[block]) + start))
        os.ftruncate(file.fileno(), 4 * int(offsets[-1]))
    return unknown


def _ranks(counts: Counts, begins: dict[int, int], min_count: int) -> NDArray[np.int32]:
    """Ids of texts in order with these counts; moves `begins` on to the ids that are left."""
    found = np.full(len(counts), UNKNOWN, dtype=np.int32)
    kept = np.flatnonzero(counts >= min_count)
    order = kept[np.argsort(-counts[kept], kind="stable")]
    values, starts, many = np.unique(-counts[order], return_index=True, return_counts=True)
    for value, start, length in zip((-values).tolist(), starts.tolist(), many.tolist(), strict=True):
        found[order[start : start + length]] = np.arange(begins[value], begins[value] + length)
        begins[value] += length
    return found


def _survey(blocks: Sequence[Callable[[], Words]], limit: int) -> tuple[list[int], list[str]]:
    """How many texts each block has; if they are too many to look at together, evenly spaced samples of them too."""
    lengths = [len(block()[0]) for block in blocks]
    total = sum(lengths)
    if total <= limit:
        return lengths, []
    step = max(1, limit // (_SAMPLES * 2))
    samples: list[str] = []
    before = 0
    for block in blocks:
        words = block()[0]
        # Evenly spaced over all blocks, however few texts each one has.
        samples += words.take(pa.array(np.arange(-before % step, len(words), step))).to_pylist()
        before += len(words)
    return lengths, sorted(samples)


def _borders(samples: list[str], parts: int) -> list[str]:
    """Texts at which the alphabet is cut into ranges with about equally many entries."""
    if parts <= 1 or not samples:
        return []
    parts = min(2 * parts, len(samples))
    return sorted({samples[len(samples) * part // parts] for part in range(1, parts)})


def _merged(blocks: Sequence[Callable[[], Words]], span: tuple[str | None, str | None]) -> Merged:
    """The texts of the range [low, high)."""
    pieces, counts, starts = [], [], []
    for block in blocks:
        words, often = block()
        low = 0 if span[0] is None else _place(words, span[0])
        high = len(words) if span[1] is None else _place(words, span[1])
        # A copy: a slice would keep the block's whole file mapped.
        pieces.append(pa.concat_arrays([words.slice(low, high - low)]) if high > low else pa.array([], pa.string()))
        counts.append(np.array(often[low:high], dtype=np.int64))
        starts.append(low)
    joined = pa.chunked_array(pieces, pa.string()).combine_chunks().dictionary_encode()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.combine_chunks()
    order = pc.sort_indices(joined.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[joined.indices.to_numpy()] if len(joined) else np.zeros(0, dtype=np.int64)
    often = np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)
    totals = np.bincount(codes, weights=often, minlength=len(order)).astype(np.int64)
    ends = np.cumsum([len(piece) for piece in pieces])
    slices = [(start, codes[end - len(piece) : end]) for start, piece, end in zip(starts, pieces, ends, strict=True)]
    return joined.dictionary.take(pa.array(order)), totals, slices


def _place(words: Any, text: str) -> int:
    """Where `text` stands, or would stand, among Arrow strings in order; str compares as UTF-8 bytes do."""
    return bisect_left(words, text, key=lambda word: word.as_py())


class Vocabulary:
    """The texts of one categorical column and their ids, memory-mapped: `vocabulary["a text"]` is an id, `UNKNOWN` for
    a text without one; `len()` counts texts; `items()` gives (text, id, count)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            with pa.memory_map(str(path)) as source:
                self._table = pa.ipc.open_file(source).read_all()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: is not a vocabulary ({' '.join(str(error).split())[:200]})") from error
        if self._table.schema != _SCHEMA:
            raise DataError(f"{path}: is not a vocabulary; it has the columns {', '.join(self._table.schema.names)}")
        self._path = path
        self._words = self._table.column("text")
        self._ids = self._table.column("id").to_numpy()

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, text: str | None) -> int:
        if text is None:
            return MISSING
        place = _place(self._words, text)
        found = place < len(self) and self._words[place].as_py() == text
        return int(self._ids[place]) if found else UNKNOWN

    def ids(self, words: Any) -> NDArray[np.int32]:
        """The id of each text of an Arrow array of strings without nulls, `UNKNOWN` for a text without one."""
        if len(words) * _LOOK_UP < len(self):  # a table of all texts would cost more than to look up these
            return np.array([self[text] for text in words.to_pylist()], dtype=np.int32)
        place = pc.index_in(words, self._words.cast(words.type)).fill_null(-1).to_numpy(zero_copy_only=False)
        found: NDArray[np.int32] = np.append(self._ids, np.int32(UNKNOWN))[place]
        return found

    def require_ids_below(self, rows: int) -> None:
        """Raises `DataError` unless all texts are whole, and have ids of a table of so many rows."""
        try:
            self._table.validate(full=True)
        except pa.ArrowException as error:
            raise DataError(f"{self._path}: is damaged ({' '.join(str(error).split())[:200]})") from None
        nulls = self._table.column("id").null_count + self._words.null_count
        if nulls or not ((self._ids >= FIRST) & (self._ids < rows)).all():
            raise DataError(f"{self._path}: has ids outside {FIRST} to {rows - 1}")

    def to_bytes(self) -> memoryview:
        """The Arrow file that `Vocabulary` reads."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self._table.schema) as writer:
            writer.write_table(self._table)
        return memoryview(sink.getvalue())

    def items(self) -> Iterator[tuple[str, int, int]]:
        """(text, id, count in the rows that the vocabulary was learnt from), by id."""
        counts = self._table.column("count").to_numpy()
        for place in np.argsort(self._ids).tolist():
            yield self._words[place].as_py(), int(self._ids[place]), int(counts[place])
