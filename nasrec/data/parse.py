"""Raw text to Arrow columns. The fast reader parses a chunk; where it refuses, the lines to blame are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from nasrec.data.bad_rows import BadRow, fault_of, fault_of_values, is_hour
from nasrec.data.formats import Format, Layout
from nasrec.data.lines import Chunk
from nasrec.errors import DataError

__all__ = ["bad_values", "numbers_of", "parse_chunk", "suspects"]

_BLOCK_BYTES = 1 << 22


def parse_chunk(chunk: Chunk, layout: Layout, path: str) -> tuple[Any, list[BadRow]]:
    """An Arrow table of a chunk's good rows, in order, and its bad ones.

    Numbers are float64, null where they are missing; categories are dictionary-encoded strings.
    Raises `DataError` where the lines are fine one by one but not together.
    """
    data, first = chunk.data, chunk.first_line
    if first == 1 and layout.format.has_header:
        data, first = data[data.find(b"\n") + 1 :], 2
    if not data:
        return _empty(layout), []
    table, refusal = _fast(data, layout)
    if table is not None and table.num_rows == data.count(b"\n"):
        return table, []
    good, bad = _sift(data, first, layout)
    if not good:
        return _empty(layout), bad
    table, refusal = _fast(b"\n".join(good) + b"\n", layout)
    if table is None or table.num_rows != len(good):
        raise DataError(
            f"{path}, lines {first} to {chunk.lines}: cannot be read as {layout.format.title}: "
            f"{refusal or f'{len(good)} lines gave {table.num_rows} rows'}"
        )
    return table, bad


def numbers_of(column: Any) -> NDArray[np.float64]:
    """float64 [N] of an Arrow column of numbers, NaN where it is null."""
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64, copy=False)
    return values


def suspects(table: Any, form: Format) -> NDArray[np.int64]:
    """Rows with a number that cannot be: not finite, or a label, a count, a weight out of range."""
    clicks = numbers_of(table.column(form.label))
    wrong = ~np.isfinite(clicks)
    for name in form.dense:
        column = table.column(name)
        unreal = ~np.isfinite(numbers_of(column))
        if np.count_nonzero(unreal) != column.null_count:  # a missing value is no fault
            wrong |= unreal & ~column.is_null().to_numpy()
    if form.kind == "kdd":
        shown = np.nan_to_num(numbers_of(table.column("impression")))
        wrong |= (clicks < 0) | (shown < 1) | (clicks > shown) | (clicks % 1 != 0) | (shown % 1 != 0)
    else:
        wrong |= (clicks != 0) & (clicks != 1)
    if form.weight:
        weight = numbers_of(table.column(form.weight))
        wrong |= ~(np.isfinite(weight) & (weight > 0))
    return np.flatnonzero(wrong)


def bad_values(table: Any, rows: NDArray[np.int64], first_row: int, form: Format) -> list[BadRow]:
    """What is wrong with the given rows of a table that never was text."""
    found = []
    names = [form.label, *form.dense, *((form.weight,) if form.weight else ())]
    columns = {name: numbers_of(table.column(name)) for name in names}
    nulls = {name: table.column(name).is_null().to_numpy() for name in names}
    for row in rows.tolist():
        values = {name: float(columns[name][row]) for name in names}
        unreal = [name for name in names if not np.isfinite(values[name])]
        needed = [name for name in unreal if name not in form.dense or not nulls[name][row]]
        fault: tuple[str, str] | None
        if needed:
            shown = "missing" if nulls[needed[0]][row] else f"{values[needed[0]]}"
            kind = "label" if needed[0] == form.label else "not finite"
            fault = (
                kind,
                f"column {needed[0]!r} is {shown}; expected {'0 or 1' if kind == 'label' else 'a finite number'}",
            )
        else:
            fault = fault_of_values(values, form)
        kind, reason = fault or ("number", "a number is out of range")
        found.append(BadRow(first_row + row, kind, reason))
    return found


def _fast(data: bytes, layout: Layout) -> tuple[Any, str]:
    """The table, or None and the reader's own words; None too where a value cannot be."""
    form = layout.format
    strings = pa.dictionary(pa.int32(), pa.string())
    numbers = (form.label, *form.dense, *((form.weight,) if form.weight else ()))
    types = dict.fromkeys(numbers, pa.float64()) | dict.fromkeys(form.sparse, strings)
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            pacsv.ReadOptions(column_names=list(layout.columns), block_size=min(len(data) + 1, _BLOCK_BYTES)),
            pacsv.ParseOptions(delimiter=form.delimiter, quote_char='"' if form.has_quotes else False),
            pacsv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=list(form.missing),
                strings_can_be_null=True, quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
    except (pa.ArrowException, UnicodeError, OSError) as error:
        return None, " ".join(str(error).split())[:200]
    if len(suspects(table, form)) or not _hours_are_hours(table, form):
        return None, "a value is out of range"
    return table.unify_dictionaries().combine_chunks(), ""


def _sift(data: bytes, first: int, layout: Layout) -> tuple[list[bytes], list[BadRow]]:
    good, bad = [], []
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), start=first):
        if not line.strip(b"\r"):
            continue
        fault = fault_of(line, layout)
        if fault is None:
            good.append(line)
        else:
            bad.append(BadRow(number, *fault))
    return good, bad


def _hours_are_hours(table: Any, form: Format) -> bool:
    if form.kind != "avazu":
        return True
    return all(is_hour(text) for chunk in table.column("hour").chunks for text in chunk.dictionary.to_pylist())


def _empty(layout: Layout) -> Any:
    form = layout.format
    names = [form.label, *form.dense, *((form.weight,) if form.weight else ()), *form.sparse]
    kinds = [pa.float64()] * (len(names) - len(form.sparse)) + [pa.dictionary(pa.int32(), pa.string())] * len(
        form.sparse
    )
    return pa.schema(list(zip(names, kinds, strict=True))).empty_table()
