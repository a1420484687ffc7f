"""A block of parsed rows, the unit in which logs are worked on; from Arrow columns, to a file, and back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec.errors import DataError
from nasrec.io.atomic import write_bytes

__all__ = ["Block", "Category", "category", "load_block", "load_words", "save_block", "squash"]

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Category:
    """One categorical column of a block: code 0 is a missing value, code k the text `words[k - 1]`.

    `words` (an Arrow array of strings) are distinct and in the order of their UTF-8 bytes.
    """

    codes: Codes
    words: Any

    def renamed(self, texts: Sequence[str | None]) -> Category:
        """A column with `texts[k - 1]`, not necessarily distinct, in place of `words[k - 1]`; None is missing."""
        distinct = sorted({text for text in texts if text is not None})
        place: dict[str | None, int] = {text: code for code, text in enumerate(distinct, start=1)} | {None: 0}
        codes = np.array([0, *(place[text] for text in texts)], dtype=np.uint32)
        return Category(_narrow(codes[self.codes], len(distinct)), pa.array(distinct, pa.string()))


@dataclass(frozen=True, eq=False)
class Block:
    """N rows: `label` uint8 [N], `dense` float32 [N, num_dense], one category a column, `weight` float32 [N] or None.

    Dense values are model inputs already. A synthetic block has no texts: its codes are ids, `words` is None.
    """

    label: NDArray[np.uint8]
    dense: NDArray[np.float32]
    categories: tuple[Category, ...]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.int64] | slice) -> Block:
        """Some of the rows; texts that no row has any more stay."""
        return Block(
            self.label[rows],
            self.dense[rows],
            tuple(Category(column.codes[rows], column.words) for column in self.categories),
            None if self.weight is None else self.weight[rows],
        )


def category(column: Any) -> Category:
    """A category from an Arrow column of strings, plain or dictionary-encoded."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.array([], array.type) if array.num_chunks == 0 else array.chunk(0)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    words = array.dictionary
    order = pc.sort_indices(words)
    # The extra last entry serves index -1, a missing value.
    code = np.zeros(len(words) + 1, dtype=np.uint32)
    code[order.to_numpy()] = np.arange(1, len(words) + 1)
    index = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Category(_narrow(code[index], len(words)), words.take(order))


def squash(values: NDArray[np.float64], transform: str) -> NDArray[np.float32]:
    """Dense inputs [N, n] of raw values, NaN = missing, which becomes 0.

    "signed-log": sign(x) ln(1 + |x|), the usual ln(1 + x) of counts, odd about zero, so that negative values keep
    their order. "clamped-log": ln(1 + max(x, 0)), every negative value as 0 (DLRM, arXiv:1906.00091). "none": x.
    """
    if transform == "signed-log":
        values = np.sign(values) * np.log1p(np.abs(values))
    elif transform == "clamped-log":
        values = np.log1p(np.maximum(values, 0))
    return np.nan_to_num(values, nan=0.0).astype(np.float32)


def save_block(block: Block, stem: Path) -> None:
    """Writes STEM.rows.arrow and STEM.words.arrow, each whole or not at all."""
    arrays = [pa.array(block.label)]
    names = ["label"]
    if block.weight is not None:
        arrays.append(pa.array(block.weight))
        names.append("weight")
    for j in range(block.dense.shape[1]):
        arrays.append(pa.array(block.dense[:, j]))
        names.append(f"dense{j}")
    for j, column in enumerate(block.categories):
        arrays.append(pa.array(column.codes))
        names.append(f"codes{j}")
    _write(pa.record_batch(arrays, names=names), stem.with_suffix(".rows.arrow"))
    if block.categories and block.categories[0].words is not None:
        words = pa.concat_arrays([column.words for column in block.categories])
        offsets = np.cumsum([0, *(len(column.words) for column in block.categories)])
        schema = pa.schema([("text", words.type)], metadata={"offsets": " ".join(map(str, offsets))})
        _write(pa.record_batch([words], schema=schema), stem.with_suffix(".words.arrow"))


def load_block(stem: Path) -> Block:
    """Reads what `save_block` wrote, without the texts."""
    batch = _read(stem.with_suffix(".rows.arrow"))
    names = batch.schema.names
    dense = [batch.column(i).to_numpy() for i, name in enumerate(names) if name.startswith("dense")]
    codes = [batch.column(i).to_numpy() for i, name in enumerate(names) if name.startswith("codes")]
    return Block(
        batch.column(0).to_numpy(),
        np.stack(dense, axis=1) if dense else np.zeros((batch.num_rows, 0), np.float32),
        tuple(Category(column, None) for column in codes),
        batch.column(names.index("weight")).to_numpy() if "weight" in names else None,
    )


def load_words(stem: Path) -> tuple[Any, NDArray[np.int64]]:
    """The texts of all columns after each other, and where each column begins and ends [columns + 1]."""
    batch = _read(stem.with_suffix(".words.arrow"))
    return batch.column(0), np.array(batch.schema.metadata[b"offsets"].split(), dtype=np.int64)


def _narrow(codes: NDArray[Any], most: int) -> Codes:
    return codes.astype(np.uint8 if most < 1 << 8 else np.uint16 if most < 1 << 16 else np.uint32)


def _write(batch: Any, path: Path) -> None:
    write_bytes(path, arrow_bytes(batch), DataError)


def arrow_bytes(batch: Any) -> Any:
    """A file of Arrow's IPC format that holds one record batch, as a buffer."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def array_bytes(array: NDArray[Any]) -> bytes:
    """A .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read(path: Path) -> Any:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).get_batch(0)
