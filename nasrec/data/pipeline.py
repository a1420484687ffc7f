"""From blocks of rows to a prepared folder, in four steps of which each piece is done once:

    read    every block of every source, parsed, is laid aside; totals are known afterwards
    tally   which rows of a block train, validate, test, and how often they have each text
    rank    column by column, every text of every block gets its id
    write   block by block, the rows with their ids, as they stay

Memory is that of one block, or of `vocabulary.ENTRIES` texts, whatever the size of the log; the scratch folder takes
about as much disk as the result. A run that stops, however it stops, is taken up at the last whole piece, and ends in
the same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nasrec.data.bad_rows import BadRows
from nasrec.data.blocks import Block, array_bytes, load_block, load_words, save_block
from nasrec.data.manifest import NAME, Column, File, Manifest, Part, file_sha256, write_manifest
from nasrec.data.options import Options
from nasrec.data.progress import Progress
from nasrec.data.reader import Rows
from nasrec.data.shards import shard_bytes
from nasrec.data.sources import Source
from nasrec.data.splits import PARTS, Splitter, check_parts
from nasrec.data.staging import FULL, SCRATCH, Staging, remove, staging, unwritable
from nasrec.data.vocabulary import FIRST, MISSING, rank_column
from nasrec.errors import DataError
from nasrec.io.atomic import remove_partial_files, replacing, write_bytes

__all__ = ["Job", "run"]

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """A preparation to run.

    Attributes:
        target: the folder.
        plan: plain values that tell this work from any other.
        sources: where the rows come from; with a given split they are train, valid and test.
        unit: of the sources' sizes.
        table_rows: of each column where blocks hold ids, not texts; else None.
        describe: what the manifest says of the whole, besides what comes out of the work.
        describe_source: the same for a source, by number.
    """

    target: Path
    plan: dict[str, Any]
    sources: Sequence[Source]
    options: Options
    min_count: int
    sparse_names: tuple[str, ...]
    table_rows: tuple[int, ...] | None
    describe: dict[str, Any]
    describe_source: Callable[[int], dict[str, Any]]
    unit: str = "bytes"

    @property
    def given(self) -> bool:
        return self.options.split == "given"


def run(job: Job, progress: Progress) -> Manifest:
    """Runs the job, or what is left of it. Raises `DataError`; what was done before an interrupt is kept."""
    try:
        with staging(job.target, job.plan) as work, _interrupts_heard():
            _remove_partial_files(job.target)
            _read(job, work, progress)
            blocks = [record for record in work.done("read") if record["rows"]]
            _tally(job, work, blocks, progress)
            if job.table_rows is None:
                _rank(job, work, blocks, progress)
            _write(job, work, blocks, progress)
            manifest = _manifest(job, work, blocks)
            write_manifest(job.target, manifest)
            remove(job.target)
    except (OSError, DataError) as failure:
        cause = failure if isinstance(failure, OSError) else failure.__context__
        if isinstance(cause, OSError) and (cause is failure or cause.errno in FULL):
            raise unwritable(job.target, cause) from failure
        raise
    finally:
        progress.end()
    return manifest


@contextmanager
def _interrupts_heard() -> Iterator[None]:
    """Arrow's readers put a handler of their own in place of Python's while they parse, and now and then an interrupt
    is lost between the two. A chunk is parsed in a fraction of a second; Python's handler can wait for that."""
    pa.enable_signal_handlers(False)
    try:
        yield
    finally:
        pa.enable_signal_handlers(True)


def _read(job: Job, work: Staging, progress: Progress) -> None:
    bad = BadRows()
    for record in work.done("read"):
        bad.merge(record["bad"])
    ended = {record["source"] for record in work.done("source")}
    before = 0
    progress.begin("reading", sum(source.size for source in job.sources), job.unit)
    for number, source in enumerate(job.sources):
        if number not in ended:
            rows, clicks = _read_source(job, work, number, bad, partial(_advance, progress, before))
            work.record("source", source=number, **job.describe_source(number), rows=rows, clicks=clicks)
        before += source.size
        progress.advance(before, 0)
    ends = work.done("source")
    for group in [[record] for record in ends] if job.given else [ends]:
        rows, clicks = sum(record["rows"] for record in group), sum(record["clicks"] for record in group)
        if clicks in (0, rows):
            raise _one_class(job.sources[group[0]["source"]], job, rows, clicks)


def _read_source(
    job: Job, work: Staging, number: int, bad: BadRows, advance: Callable[[int, int], None]
) -> tuple[int, int]:
    source, limit = job.sources[number], job.options.max_rows
    known = [record for record in work.done("read") if record["source"] == number]
    rows, clicks = sum(record["rows"] for record in known), sum(record["clicks"] for record in known)
    if limit is not None and rows >= limit:
        return rows, clicks
    for piece in source.pieces(known[-1]["mark"] if known else {}):
        block = piece.block if limit is None else piece.block.take(slice(0, limit - rows))
        found = BadRows()
        found.add(source.name, piece.bad)
        bad.add(source.name, piece.bad)
        if job.options.max_bad_rows is not None and bad.count > job.options.max_bad_rows:
            source.unpack()  # a damaged stream may unpack to nonsense before its checksum, at the end, tells
            raise _too_many(bad, job.options.max_bad_rows)
        index, clicked = len(work.done("read")), int(block.label.sum())
        words = [len(column.words) for column in block.categories] if job.table_rows is None else []
        if len(block):
            save_block(block, _stem(work, index))
        work.record(
            "read", source=number, block=index, rows=len(block), clicks=clicked, words=words, bad=found.to_dict(),
            mark=piece.mark,
        )  # fmt: skip
        rows, clicks = rows + len(block), clicks + clicked
        advance(piece.consumed, len(block))
        if limit is not None and rows >= limit:
            break
    if rows == 0:
        raise DataError(f"{source.name}: no rows; it should hold click logs, one impression a line")
    return rows, clicks


def _tally(job: Job, work: Staging, blocks: Records, progress: Progress) -> None:
    done = len(work.done("tally"))
    options = job.options
    rows_before = np.cumsum([0, *(record["rows"] for record in blocks)])
    clicks_before = np.cumsum([0, *(record["clicks"] for record in blocks)])
    totals = int(rows_before[-1]), int(clicks_before[-1])
    splitter = None if job.given else Splitter(options.split or "random", options.fractions, options.seed, *totals)
    progress.begin("counting", totals[0], "rows")
    progress.advance(int(rows_before[done]), 0)
    for i, record in enumerate(blocks[done:], start=done):
        stem = _stem(work, record["block"])
        block = load_block(stem)
        if splitter is None:
            parts = np.full(len(block), record["source"], dtype=np.uint8)
        else:
            parts = splitter.parts(block.label, int(rows_before[i]), int(clicks_before[i]))
        learnt = parts == 0 if options.vocabulary_from == "train" else slice(None)
        counts = [
            np.bincount(column.codes[learnt], minlength=size + 1)[1:]
            for column, size in zip(block.categories, record["words"], strict=False)
        ]
        write_bytes(stem.with_suffix(".parts.npy"), array_bytes(parts), DataError)
        if counts:
            joined = np.concatenate(counts).astype(np.uint32)
            write_bytes(stem.with_suffix(".counts.npy"), array_bytes(joined), DataError)
        work.record("tally", block=record["block"], parts=[_totals(block, parts == part) for part in range(3)])
        progress.advance(int(rows_before[i + 1]), len(block))
    sums = np.array([[part[:2] for part in record["parts"]] for record in work.done("tally")]).sum(axis=0)
    check_parts([(int(rows), int(clicks)) for rows, clicks in sums], job.sources[0].name)


def _rank(job: Job, work: Staging, blocks: Records, progress: Progress) -> None:
    folder = _made(job.target / "vocabulary")
    done = len(work.done("rank"))
    progress.begin("vocabularies", len(job.sparse_names), "columns")
    for j, name in enumerate(job.sparse_names):
        if j < done:
            continue
        progress.advance(j, 0)
        ids, vocabulary = work.path / f"ids{j}", folder / f"{j:02d}-{_file_name(name)}.arrow"
        with replacing(ids, DataError) as new_ids, replacing(vocabulary, DataError) as new_vocabulary:
            ranking = rank_column(
                [partial(_words, _stem(work, record["block"]), j) for record in blocks],
                new_ids,
                new_vocabulary,
                min_count=job.min_count,
                max_rows=job.options.max_table_rows,
            )
        file = _file(job.target, vocabulary, ranking.size)
        work.record("rank", column=name, file=asdict(file), **asdict(ranking))
    progress.advance(len(job.sparse_names), 0)


def _write(job: Job, work: Staging, blocks: Records, progress: Progress) -> None:
    for part in PARTS:
        _made(job.target / part)
    done = len(work.done("write"))
    rows_before = np.cumsum([0, *(record["rows"] for record in blocks)])
    places = np.cumsum([[0] * len(blocks[0]["words"]), *(record["words"] for record in blocks)], axis=0)
    progress.begin("writing", int(rows_before[-1]), "rows")
    progress.advance(int(rows_before[done]), 0)
    for i, record in enumerate(blocks):
        stem = _stem(work, record["block"])
        if i >= done:
            block, parts = load_block(stem), np.load(stem.with_suffix(".parts.npy"))
            sparse = np.empty((len(block), len(block.categories)), dtype=np.int32)
            for j, column in enumerate(block.categories):
                sparse[:, j] = column.codes
                if job.table_rows is None:
                    ids = np.fromfile(work.path / f"ids{j}", np.int32, record["words"][j], offset=4 * int(places[i, j]))
                    sparse[:, j] = np.concatenate([np.array([MISSING], np.int32), ids])[column.codes]
            files = [
                asdict(_write_shard(job.target, f"{name}/{i:05d}.arrow", block, sparse, np.flatnonzero(parts == part)))
                if (parts == part).any() else None
                for part, name in enumerate(PARTS)
            ]  # fmt: skip
            work.record("write", block=record["block"], files=files)
            progress.advance(int(rows_before[i + 1]), len(block))
        for path in work.path.glob(f"{stem.name}.*"):
            path.unlink()


def _write_shard(target: Path, name: str, block: Block, sparse: NDArray[np.int32], rows: NDArray[np.int64]) -> File:
    weight = None if block.weight is None else block.weight[rows]
    data = shard_bytes(Rows(block.dense[rows], sparse[rows], block.label[rows], weight))
    write_bytes(target / name, data, DataError)
    return File(name, len(rows), len(data), hashlib.sha256(data).hexdigest())


def _manifest(job: Job, work: Staging, blocks: Records) -> Manifest:
    bad = BadRows()
    for record in work.done("read"):
        bad.merge(record["bad"])
    if job.table_rows is None:
        columns = [
            Column(
                record["column"], FIRST + record["size"], File(**record["file"]), record["distinct"], record["unknown"]
            )
            for record in work.done("rank")
        ]
    else:
        columns = [
            Column(name, rows, None, rows - 1, 0) for name, rows in zip(job.sparse_names, job.table_rows, strict=True)
        ]
    parts = {}
    for part, name in enumerate(PARTS):
        files = [record["files"][part] for record in work.done("write") if record["files"][part]]
        totals = [record["parts"][part] for record in work.done("tally")]
        rows, clicks, weight = (sum(column) for column in zip(*totals, strict=True))
        parts[name] = Part(rows, clicks, weight, tuple(File(**file) for file in files))
    sources = [{key: value for key, value in record.items() if key not in ("step", "source")} for record in
               work.done("source")]  # fmt: skip
    return Manifest(columns=tuple(columns), parts=parts, bad_rows=bad.to_dict(), sources=tuple(sources), **job.describe)


def _totals(block: Block, rows: NDArray[np.bool_]) -> list[int | float]:
    """Rows, clicks, and the sum of weights."""
    many = int(rows.sum())
    weight = float(many) if block.weight is None else float(block.weight[rows].sum(dtype=np.float64))
    return [many, int(block.label[rows].sum()), weight]


def _words(stem: Path, column: int) -> tuple[Any, NDArray[np.int64]]:
    """Texts of one column of a block, and how often the rows to learn from have each."""
    words, offsets = load_words(stem)
    start, end = int(offsets[column]), int(offsets[column + 1])
    counts = np.load(stem.with_suffix(".counts.npy"), mmap_mode="r")
    return words.slice(start, end - start), counts[start:end]


def _stem(work: Staging, block: int) -> Path:
    return work.path / f"block{block:06d}"


def _advance(progress: Progress, before: int, consumed: int, rows: int) -> None:
    progress.advance(before + consumed, rows)


def _file(target: Path, path: Path, rows: int) -> File:
    return File(str(path.relative_to(target)), rows, path.stat().st_size, file_sha256(path))


def _file_name(column: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in column)[:40]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _remove_partial_files(target: Path) -> None:
    """Removes what a process which died was writing."""
    for folder in (target, *filter(Path.is_dir, target.iterdir())):
        remove_partial_files(folder, keep=SCRATCH)
    for path in (*target.glob("*/*.tmp"), *target.glob(f".{NAME}*.tmp")):  # as earlier versions called them
        path.unlink(missing_ok=True)


def _too_many(bad: BadRows, limit: int) -> DataError:
    first = "; ".join(bad.first[:3])
    if limit == 0:
        return DataError(bad.first[0])
    return DataError(f"{bad.summary()}, more than the {limit:,} that are allowed; the first: {first}")


def _one_class(source: Source, job: Job, rows: int, clicks: int) -> DataError:
    which = "a click" if clicks else "no click"
    return DataError(
        f"{source.name}, column {job.describe['label']!r}: all {rows} rows have {which}; learning needs both classes: "
        "take more rows"
    )
