"""Raw text to columns. The fast reader parses; when it refuses a file, `diagnose` finds the line to blame."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.diagnose import explain
from nasrec.data.encode import RawLog
from nasrec.data.formats import Layout, is_gzip
from nasrec.errors import DataError

__all__ = ["read_raw"]

_BLOCK_BYTES = 1 << 23
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def read_raw(path: Path, layout: Layout, max_rows: int | None) -> RawLog:
    """Parse the first `max_rows` rows (all if None). Raises `DataError` naming file, line and column."""
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

    form = layout.format
    try:
        table = _read_table(path, layout, max_rows)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise explain(path, layout, str(error)) from error
    label = _numbers(table.column(form.label))
    numbers = [_numbers(table.column(name)) for name in form.dense]
    dense = [column for column in numbers if column is not None]
    if label is None or not np.isin(label, (0.0, 1.0)).all() or len(dense) < len(numbers):
        raise explain(path, layout, "a label is not 0 or 1, or a number is not finite")
    if len(label) == 0:
        raise DataError(f"{path}: no rows below the header; it should hold click logs, one impression a line")
    columns = {name: _categories(table.column(name)) for name in form.sparse}
    if form.kind == "avazu":
        columns = _with_clock(columns, path, layout)
    return RawLog(
        label=label.astype(np.float32),
        dense=np.stack(dense, axis=1) if dense else np.zeros((len(label), 0)),
        codes=tuple(codes for codes, _ in columns.values()),
        values=tuple(values for _, values in columns.values()),
        dense_names=form.dense,
        sparse_names=tuple(columns),
        source=f"{form.title} ({path.name}, {len(label):,} rows)",
    )


def _read_table(path: Path, layout: Layout, max_rows: int | None) -> Any:
    """A pyarrow table: numbers as float64, categories as int32 codes into one dictionary a column."""
    import pyarrow as pa
    import pyarrow.csv as pacsv  # type: ignore[import-untyped,unused-ignore]

    form = layout.format
    category = pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys((form.label, *form.dense), pa.float64()) | dict.fromkeys(form.sparse, category)
    with pa.OSFile(str(path)) as file:
        reader = pacsv.open_csv(
            pa.CompressedInputStream(file, "gzip") if is_gzip(path) else file,
            pacsv.ReadOptions(
                column_names=list(layout.columns), skip_rows=int(form.has_header), block_size=_BLOCK_BYTES
            ),
            pacsv.ParseOptions(delimiter=form.delimiter, quote_char='"' if form.delimiter == "," else False),
            pacsv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True
            ),
        )
        blocks, rows = [], 0
        for block in reader:
            blocks.append(block)
            rows += block.num_rows
            if max_rows is not None and rows >= max_rows:
                break
        table = pa.Table.from_batches(blocks, schema=reader.schema).unify_dictionaries()
    return table.slice(0, max_rows).combine_chunks()


def _numbers(column: Any) -> NDArray[np.float64] | None:
    """float64 [N], NaN where the field is empty; None if any given number is not finite."""
    values: NDArray[np.float64] = column.to_numpy()
    return values if np.count_nonzero(~np.isfinite(values)) == column.null_count else None


def _categories(column: Any) -> tuple[NDArray[np.int32], list[str]]:
    """Codes [N] (-1 = missing) and the distinct texts that they point to."""
    if column.num_chunks == 0:
        return np.zeros(0, dtype=np.int32), []
    chunk = column.chunk(0)
    codes = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, chunk.dictionary.to_pylist()


def _with_clock(
    columns: dict[str, tuple[NDArray[np.int32], list[str]]], path: Path, layout: Layout
) -> dict[str, tuple[NDArray[np.int32], list[str]]]:
    """Avazu's `hour` (YYMMDDHH) as hour of day and day of week: the date itself never comes back in new data."""
    codes, texts = columns["hour"]
    try:
        times = [datetime.strptime(text, "%y%m%d%H") for text in texts]
    except ValueError as error:
        raise explain(path, layout, f"column 'hour': {error}") from error
    clock = {
        "hour_of_day": _recode(codes, [f"{time.hour:02d}" for time in times]),
        "weekday": _recode(codes, [_WEEKDAYS[time.weekday()] for time in times]),
    }
    return clock | {name: column for name, column in columns.items() if name != "hour"}


def _recode(codes: NDArray[np.int32], texts: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    distinct = sorted(set(texts))
    place = {text: code for code, text in enumerate(distinct)}
    renamed = np.array([place[text] for text in texts] + [-1], dtype=np.int32)
    return renamed[codes], distinct
