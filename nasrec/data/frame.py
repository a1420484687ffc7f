"""pandas DataFrames as training data: a frame becomes a prepared folder like any other.

manifest = prepare_frame(clicks, "click", "prepared")      # kinds of columns by their types, values and names
nasrec.data.open("prepared").train                         # memory-mapped
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nasrec.data.convert import Converter
from nasrec.data.formats import Format
from nasrec.data.frame_table import frame_table
from nasrec.data.infer import Columns, find_columns, infer_columns, warn_left_out
from nasrec.data.manifest import NAME, Manifest, read_manifest
from nasrec.data.options import Options
from nasrec.data.parse import bad_values, numbers_of, suspects
from nasrec.data.pipeline import Job, run
from nasrec.data.prepare import versions
from nasrec.data.progress import Progress, Silent
from nasrec.data.sources import Mark, Piece, without_rows
from nasrec.data.staging import remove
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "infer_columns", "prepare_frame"]


def prepare_frame(
    frame: pd.DataFrame,
    label: str,
    out: str | os.PathLike[str],
    *,
    dense: Sequence[str] | None = None,
    categorical: Sequence[str] | None = None,
    ignore: Iterable[str] = (),
    weight: str | None = None,
    valid: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    options: Options | None = None,
    name: str = "DataFrame",
    progress: Progress | None = None,
) -> Manifest:
    """Prepares a frame for training into the folder `out`, as `nasrec.data.prepare` does with the same table in a file:
    the same values get the same ids.

    Args:
        frame: rows, one impression each; not changed.
        label: the column to predict, of 0 and 1 or of bools.
        dense, categorical, ignore, weight: see `infer_columns`.
        valid, test: rows to validate and to test on, both or neither; without them `options` say how to split `frame`.
        options: see `Options`.
        name: what the rows are called in reports.

    Raises:
        DataError: what `infer_columns` raises; labels that are not 0 or 1, or all the same; or a folder that cannot be
            written to, or holds other data.
    """
    columns = find_columns(frame, label, dense, categorical, ignore, weight)
    columns.require_inputs()
    warn_left_out(columns)
    options = options or Options()
    if (valid is None) != (test is None):
        raise DataError("give both valid and test, or neither to have the frame split")
    if valid is not None and options.split not in (None, "given"):
        raise DataError(f"valid and test are given; leave out split={options.split!r}")
    if valid is None and options.split == "given":
        raise DataError("a given split takes the frames valid and test")
    split = "given" if valid is not None else options.split or "random"
    options = replace(options, split=split, min_count=options.min_count or 1)
    form = Format("table", name, ",", True, label, columns.dense, columns.categorical, weight=weight, exact=False)
    frames = {"": frame} if valid is None else {"train": frame, "valid": valid, "test": test}
    converter = Converter(form, options.dense)
    rows = [FrameRows(part, converter, options.block_bytes, f"{name} ({what})" if what else name)
            for what, part in frames.items()]  # fmt: skip
    for source in rows:
        source.check()
    manifest = _prepare(Path(out), rows, form, options, progress or Silent())
    if manifest.bad_rows["count"]:
        warnings.warn(
            f"{manifest.bad_rows['count']:,} of {name}'s rows are left out; the first: {manifest.bad_rows['first'][0]}",
            stacklevel=2,
        )
    return manifest


@dataclass(frozen=True)
class FrameRows:
    """A frame as a source of blocks; see `nasrec.data.sources.Source`.

    Attributes:
        block_bytes: as for text; blocks have about as many rows as a block of text would have.
        name: for messages and for the manifest.
    """

    frame: pd.DataFrame
    converter: Converter
    block_bytes: int
    name: str

    @property
    def size(self) -> int:
        return len(self.frame)

    def unpack(self) -> None:
        """Nothing is packed."""

    def pieces(self, mark: Mark) -> Iterator[Piece]:
        """Raises `DataError` naming the column."""
        form = self.converter.form
        for first, table in self._tables(mark.get("rows", 0)):
            rows = suspects(table, form)
            bad = bad_values(table, rows, first, form)
            end = first + table.num_rows
            yield Piece(self.converter(without_rows(table, rows)), bad, {"rows": end}, end)

    def check(self) -> None:
        """Raises `DataError` on a label that is not 0 or 1 and on a weight that is not positive: a frame, unlike a log
        of a month, can be mended before it is used."""
        form = self.converter.form
        label = numbers_of(self._table(slice(None), (form.label,), ()).column(0))
        self._require((label == 0) | (label == 1), label, form.label, "a label must be 0 or 1, or a bool")
        if form.weight:
            weight = numbers_of(self._table(slice(None), (form.weight,), ()).column(0))
            with np.errstate(over="ignore"):
                kept = weight.astype(np.float32)
            good = np.isfinite(kept) & (kept > 0)
            self._require(good, weight, form.weight, "a weight must be a positive number")

    @cached_property
    def sha256(self) -> str:
        """Equal for equal values in the columns that are used."""
        digest = hashlib.sha256()
        for _, table in self._tables(0):
            with pa.ipc.new_stream(pa.PythonFile(_Hashed(digest), "w"), table.schema) as writer:
                writer.write_table(table)
        return digest.hexdigest()

    def _tables(self, first: int) -> Iterator[tuple[int, Any]]:
        """Tables of rows from number `first` on, and the number of the first row of each."""
        form = self.converter.form
        numbers = (form.label, *form.dense, *((form.weight,) if form.weight else ()))
        step = max(1, self.block_bytes // (10 * len(form.used)))
        for start in range(first, len(self.frame), step):
            yield start, self._table(slice(start, start + step), numbers, form.sparse)

    def _table(self, rows: slice, numbers: Sequence[str], texts: Sequence[str]) -> Any:
        try:
            return frame_table(self.frame.iloc[rows], numbers, texts, self.converter.form.missing)
        except DataError as failure:
            raise DataError(f"{self.name}: {failure}") from None

    def _require(self, good: NDArray[np.bool_], values: NDArray[np.float64], column: str, rule: str) -> None:
        wrong = np.flatnonzero(~good)
        if len(wrong):
            value = values[wrong[0]]
            shown = "missing" if np.isnan(value) else f"{value:g}"
            more = f" and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
            raise DataError(f"{self.name}: column {column!r} is {shown} in row {wrong[0]}{more}; {rule}")


class _Hashed:
    """A file that keeps nothing but a checksum of what is written to it."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is open."""


def _prepare(out: Path, rows: Sequence[FrameRows], form: Format, options: Options, progress: Progress) -> Manifest:
    sources = [{"path": source.name, "sha256": source.sha256} for source in rows]
    describe: dict[str, Any] = {
        "dataset": form.kind,
        "title": form.title,
        "synthetic": False,
        "label": form.label,
        "dense": form.dense,
        "weighted": form.weight is not None,
        "options": options.to_dict() | {"users": None},
        "versions": versions(),
    }
    plan = {
        "frame": {"weight": form.weight, "categorical": list(form.sparse), "dense": list(form.dense)},
        "sources": sources,
        "options": options.to_dict(),
        "versions": versions(),
    }
    if (out / NAME).exists():
        return _finished(out, sources, describe, form)
    assert options.min_count is not None
    job = Job(
        out, plan, rows, options, options.min_count, form.sparse, None, describe, lambda number: sources[number], "rows"
    )
    return run(job, progress)


def _finished(out: Path, sources: list[dict[str, str]], describe: dict[str, Any], form: Format) -> Manifest:
    """The manifest of work that was done before. Raises `DataError` if it was other work."""
    manifest = read_manifest(out)
    found = [{key: source.get(key) for key in ("path", "sha256")} for source in manifest.sources]
    columns = tuple(column.name for column in manifest.columns)
    same = found == sources and manifest.options == describe["options"]
    if not same or (manifest.label, manifest.dense, columns) != (form.label, form.dense, form.sparse):
        raise DataError(f"{out}: already holds data prepared from other rows or with other options; give a new folder")
    remove(out)
    return manifest
