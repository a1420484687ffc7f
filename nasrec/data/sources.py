"""Raw files as blocks of rows, each with the mark to go on at after it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasrec.data.bad_rows import BadRow
from nasrec.data.blocks import Block
from nasrec.data.convert import Converter
from nasrec.data.formats import Format, Layout, layout_of
from nasrec.data.lines import chunks
from nasrec.data.parse import bad_values, parse_chunk, suspects
from nasrec.data.streams import open_bytes, packing_of
from nasrec.data.values import as_numbers, as_texts
from nasrec.errors import DataError

__all__ = ["Mark", "Piece", "RawFile", "Source", "raw_file", "without_rows"]

Mark = dict[str, int]
"""Where in a source reading goes on; {} = at the beginning."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A block, the rows left out of it because they are bad, the mark after it, and bytes read so far."""

    block: Block
    bad: list[BadRow]
    mark: Mark
    consumed: int


class Source(Protocol):
    """A log that can be read block by block, from any mark on, and gives the same blocks every time."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def size(self) -> int:
        """What `consumed` of the last piece will be, for progress."""

    def pieces(self, mark: Mark) -> Iterator[Piece]: ...

    def unpack(self) -> None:
        """Raises `DataError` if the source is packed and does not unpack to its end."""


@dataclass(frozen=True)
class RawFile:
    """A file of click logs, text (plain or packed) or Parquet.

    Attributes:
        layout: format and columns; for Parquet the columns that the schema names.
        block_bytes: text parsed at a time; blocks depend on it.
    """

    path: Path
    layout: Layout
    converter: Converter
    block_bytes: int
    parquet: bool

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return os.path.getsize(self.path)

    def pieces(self, mark: Mark) -> Iterator[Piece]:
        """Raises `DataError` naming file and lines."""
        return self._parquet_pieces(mark) if self.parquet else self._text_pieces(mark)

    def unpack(self) -> None:
        """See `Source`."""
        if not self.parquet and packing_of(self.path) is not None:
            with open_bytes(self.path) as stream:
                while stream.read(1 << 22):
                    pass

    def _text_pieces(self, mark: Mark) -> Iterator[Piece]:
        for chunk in chunks(self.path, self.block_bytes, **mark):
            table, bad = parse_chunk(chunk, self.layout, self.name)
            after = {"offset": chunk.offset, "lines": chunk.lines}
            yield Piece(self._block(table), bad, after, chunk.consumed)

    def _parquet_pieces(self, mark: Mark) -> Iterator[Piece]:
        form, first_group, done = self.layout.format, mark.get("group", 0), mark.get("rows", 0)
        # As many rows as a block of text would have, at about ten bytes a field.
        most = max(1, self.block_bytes // (10 * len(form.used)))
        try:
            with pq.ParquetFile(self.path) as file:
                before = sum(file.metadata.row_group(g).num_rows for g in range(first_group))
                for group in range(first_group, file.num_row_groups):
                    start, done = (done, 0) if group == first_group else (0, 0)
                    for batch in file.iter_batches(most, row_groups=[group], columns=list(form.used)):
                        stop = min(start, batch.num_rows)
                        start -= stop
                        if stop == batch.num_rows:  # worked on before
                            done += batch.num_rows
                            continue
                        table = _typed(pa.Table.from_batches([batch]), form, self.name)
                        rows = suspects(table, form)
                        bad = bad_values(table, rows, before + done + 1, form)
                        done += batch.num_rows
                        consumed = self.size * (before + done) // max(1, file.metadata.num_rows)
                        yield Piece(
                            self._block(without_rows(table, rows)), bad, {"group": group, "rows": done}, consumed
                        )
                    before, done = before + done, 0
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path}: is not a whole Parquet file ({' '.join(str(error).split())[:200]})"
            ) from error

    def _block(self, table: Any) -> Block:
        try:
            return self.converter(table)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from None


def raw_file(path: Path, forms: Sequence[Format], block_bytes: int) -> tuple[Path, Layout, bool]:
    """Path, layout and whether it is Parquet, of a file that has one of the formats. Raises `DataError`."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; name a raw click log or the folder that holds it")
    if not is_parquet(path):
        return path, layout_of(path, forms), False
    if len(forms) != 1:
        raise DataError(f"{path}: a Parquet file; say what its columns mean with a schema file")
    try:
        columns = tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: is not a whole Parquet file ({' '.join(str(error).split())[:200]})") from error
    missing = [name for name in forms[0].used if name not in columns]
    if missing:
        raise DataError(
            f"{path}: lacks the column{'s' if missing[1:] else ''} {', '.join(missing[:5])} of {forms[0].title}; "
            f"it has {', '.join(columns)[:200]}"
        )
    return path, Layout(forms[0], columns), True


def is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _typed(table: Any, form: Format, name: str) -> Any:
    """Numbers as float64, categories as strings; what the format calls missing is null."""
    for index, column in enumerate(table.schema.names):
        is_text = column in form.sparse
        try:
            values = (as_texts if is_text else as_numbers)(table.column(index), form.missing)
        except pa.ArrowException:
            raise DataError(
                f"{name}: column {column!r} holds {table.schema.field(index).type} values that are no "
                f"{'texts' if is_text else 'numbers'}"
            ) from None
        table = table.set_column(index, column, values)
    return table


def without_rows(table: Any, rows: NDArray[np.int64]) -> Any:
    """An Arrow table without the given rows."""
    if len(rows) == 0:
        return table
    kept = np.ones(table.num_rows, dtype=bool)
    kept[rows] = False
    return table.filter(pa.array(kept))
