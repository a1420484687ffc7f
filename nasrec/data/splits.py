"""Which rows train, which choose, which judge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import DataError

__all__ = ["SPLIT_ORDERS", "split_rows"]

Rows = NDArray[np.int64]
SPLIT_ORDERS = ("random", "time")
_PARTS = ("train", "valid", "test")


def split_rows(
    label: NDArray[np.float32], *, by: str, fractions: Sequence[float], seed: int, source: str
) -> tuple[Rows, Rows, Rows]:
    """Row numbers of train, valid and test, each ascending; together they are all rows, once.

    `by="random"` is stratified (each class is shuffled by `seed` and cut on its own), `by="time"` cuts in row order.
    Raises `DataError`, naming `source`, when a part would have no row or lack a class.
    """
    if len(fractions) != 3 or not all(math.isfinite(f) and f > 0 for f in fractions):
        raise DataError(f"fractions must be three positive numbers (train, valid, test), got {fractions!r}")
    if by == "random":
        rng = np.random.default_rng(seed)
        classes = [rng.permutation(np.flatnonzero(label == value)) for value in (0.0, 1.0)]
    elif by == "time":
        classes = [np.arange(len(label))]
    else:
        raise DataError(f"split order {by!r} is unknown; use one of {', '.join(SPLIT_ORDERS)}")
    cut = [np.split(rows, _cuts(len(rows), fractions)) for rows in classes]
    train, valid, test = (np.sort(np.concatenate(part)).astype(np.int64) for part in zip(*cut, strict=True))
    for name, rows in zip(_PARTS, (train, valid, test), strict=True):
        clicks = int(label[rows].sum())
        if not 0 < clicks < len(rows):
            raise DataError(
                f"{source}: the {name} part would hold {len(rows)} rows with {clicks} clicks; every part needs "
                "clicks and non-clicks: use more rows, a random split or other fractions"
            )
    return train, valid, test


def _cuts(rows: int, fractions: Sequence[float]) -> list[int]:
    total = sum(fractions)
    return [round(rows * fractions[0] / total), round(rows * (fractions[0] + fractions[1]) / total)]
