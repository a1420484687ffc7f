"""Raw click logs to prepared train, valid and test logs in memory, for logs that fit there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nasrec.data.dataset import ClickLog, Splits
from nasrec.data.options import Options
from nasrec.data.prepare import prepare
from nasrec.data.prepared import open_folder

__all__ = ["load_logs"]


def load_logs(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    max_rows: int | None = None,
    split: str | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 2018,
    min_count: int | None = None,
    max_table_rows: int | None = None,
    max_bad_rows: int | None = 0,
) -> Splits[ClickLog]:
    """Read a raw file (plain or packed), or a folder that holds one, and prepare it for training.

    The same as `prepare` into a folder that goes away again, and so row for row what `prepare` gives; see there and
    `Options`. Here tables are full by default, and the first bad row raises.

    Raises `DataError` naming file, line and column, and what to do.
    """
    options = Options(
        split=split,
        fractions=tuple(fractions),
        seed=seed,
        min_count=min_count,
        max_rows=max_rows,
        max_table_rows=max_table_rows,
        max_bad_rows=max_bad_rows,
    )
    with tempfile.TemporaryDirectory(prefix="nasrec-") as folder:
        target = Path(folder) / Path(path).name
        prepare([path], target, dataset=kind, options=options)
        return open_folder(target).load()
