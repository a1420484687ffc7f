"""Synthetic rows in a published raw format, to try the reader (or another tool) without the licensed files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasrec.data.synthetic import SyntheticLog
from nasrec.data.synthetic.profiles import PROFILES
from nasrec.errors import DataError
from nasrec.io.atomic import replacing

__all__ = ["write_criteo_tsv"]


def write_criteo_tsv(synthetic: SyntheticLog, path: str | os.PathLike[str]) -> None:
    """Writes a synthetic Criteo log as Criteo publishes its rows: label, 13 integers, 26 hashed categories, with tabs
    between them and no header.

    A name that ends in .gz is compressed. The file appears whole or not at all.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.csv as pacsv  # type: ignore[import-untyped,unused-ignore]

    schema = synthetic.log.schema
    if schema.sparse_names != tuple(column.name for column in PROFILES["criteo"].sparse):
        raise DataError(f"{synthetic.log.source}: only a synthetic Criteo log can be written in Criteo's format")
    columns = [pa.array(synthetic.log.label.astype(np.int64))]
    columns += [pa.array(counts, from_pandas=True).cast(pa.int64()) for counts in synthetic.counts.T]
    columns += [_hashed(j, synthetic.log.sparse[:, j], rows) for j, rows in enumerate(schema.cardinalities)]
    table = pa.table(columns, names=["label", *schema.dense_names, *schema.sparse_names])
    target = Path(path)
    if not target.parent.is_dir():
        raise DataError(f"{target}: cannot be written, there is no folder {target.parent}; make it first")
    options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    codec = "gzip" if target.suffix == ".gz" else None
    with replacing(target, DataError) as temporary, pa.output_stream(str(temporary), compression=codec) as stream:
        pacsv.write_csv(table, stream, options)


def _hashed(column: int, ids: NDArray[np.int32], cardinality: int) -> object:
    """Ids as 8 hexadecimal digits, id 0 as an empty field. Distinct ids stay distinct: an odd factor is invertible
    modulo 2^32."""
    import pyarrow as pa

    words = [None, *(f"{((column << 24) + id_) * 2654435761 % 2**32:08x}" for id_ in range(1, cardinality))]
    return pa.array(words).take(pa.array(ids))
