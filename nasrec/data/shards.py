"""The files that prepared rows lie in: Arrow IPC, one record batch each, of the columns label (uint8), dense (float32),
sparse (int32) and, where rows have weights, weight (float32).

dense and sparse are columns of fixed-size lists, so that a row's values lie together: a memory map of such a column is
a matrix, and fetching a row at random touches three places of the file instead of forty.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nasrec.data.blocks import arrow_bytes
from nasrec.data.reader import Rows
from nasrec.errors import DataError

__all__ = ["map_shard", "shard_bytes"]


def shard_bytes(rows: Rows) -> Any:
    """A shard of the rows (labels uint8), as a buffer."""
    columns = {"label": pa.array(rows.label)}
    for name, matrix in (("dense", rows.dense), ("sparse", rows.sparse)):
        if matrix.shape[1]:
            flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    if rows.weight is not None:
        columns["weight"] = pa.array(rows.weight)
    return arrow_bytes(pa.record_batch(list(columns.values()), names=list(columns)))


def map_shard(path: Path, like: Rows, rows: int) -> Rows:
    """The rows of a shard as views of a memory map.

    Args:
        like: rows of the widths and types that it must have.
        rows: how many it must have.

    Raises:
        DataError: the file is not such a shard.
    """
    try:
        with pa.memory_map(str(path)) as source:
            batch = pa.ipc.open_file(source).get_batch(0)
        columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        shard = Rows(
            _matrix(columns.get("dense"), batch.num_rows, np.float32),
            _matrix(columns.get("sparse"), batch.num_rows, np.int32),
            columns["label"].to_numpy(),
            columns["weight"].to_numpy() if "weight" in columns else None,
        )
    except (pa.ArrowException, OSError, LookupError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: is not a shard of prepared rows ({' '.join(str(error).split())[:200]})") from error
    if batch.num_rows != rows or _form(shard) != _form(like):
        raise DataError(f"{path}: is not what the manifest says; it is damaged: prepare anew")
    return shard


def _form(rows: Rows) -> list[Any]:
    arrays = (rows.dense, rows.sparse, rows.label, rows.weight)
    return [None if array is None else (array.shape[1:], array.dtype) for array in arrays]


def _matrix(column: Any, rows: int, dtype: type) -> NDArray[Any]:
    if column is None:
        return np.empty((rows, 0), dtype)
    matrix: NDArray[Any] = column.flatten().to_numpy().reshape(rows, column.type.list_size)
    return matrix
