"""Which rows train, which choose, which judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec.data.permutation import Permutation
from nasrec.errors import DataError

__all__ = ["PARTS", "SPLIT_ORDERS", "Splitter", "check_fractions", "check_parts", "split_rows"]

Rows = NDArray[np.int64]
SPLIT_ORDERS = ("random", "time")
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Splitter:
    """Tells the part of any row of a log from its place alone, so that a log can be cut block by block.

    `by="random"` is stratified: each class has an order of its own, drawn by `seed`, and the first of it train. Part
    sizes are exact, to one row a class. `by="time"` cuts in row order.

    Attributes:
        rows, clicks: of the whole log; known after one pass over it.
    """

    by: str
    fractions: tuple[float, ...]
    seed: int
    rows: int
    clicks: int

    def parts(self, label: NDArray[np.uint8], rows_before: int, clicks_before: int) -> NDArray[np.uint8]:
        """Part (0 train, 1 valid, 2 test) of each row of a block with labels [N] that comes after so many others."""
        place = np.arange(len(label), dtype=np.int64)
        if self.by == "time":
            return _part(place + rows_before, self.rows, self.fractions)
        parts = np.empty(len(label), dtype=np.uint8)
        totals, before = (self.rows - self.clicks, self.clicks), (rows_before - clicks_before, clicks_before)
        for value in (0, 1):
            rows = np.flatnonzero(label == value)
            order = Permutation(totals[value], self.seed, value)
            parts[rows] = _part(order(before[value] + place[: len(rows)]), totals[value], self.fractions)
        return parts


def split_rows(
    label: NDArray[np.float32], *, by: str, fractions: Sequence[float], seed: int, source: str
) -> tuple[Rows, Rows, Rows]:
    """Row numbers of train, valid and test, each ascending; together they are all rows, once. See `Splitter`.

    Raises `DataError`, naming `source`, when a part would have no row or lack a class.
    """
    if by not in SPLIT_ORDERS:
        raise DataError(f"split order {by!r} is unknown; use one of {', '.join(SPLIT_ORDERS)}")
    click = label.astype(np.uint8)
    splitter = Splitter(by, check_fractions(fractions), seed, len(label), int(click.sum()))
    parts = splitter.parts(click, 0, 0)
    train, valid, test = (np.flatnonzero(parts == part) for part in range(3))
    check_parts([(len(rows), int(click[rows].sum())) for rows in (train, valid, test)], source)
    return train, valid, test


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """The fractions of train, valid and test; `DataError` unless they are three positive numbers."""
    if len(fractions) != 3 or not all(math.isfinite(f) and f > 0 for f in fractions):
        raise DataError(f"fractions must be three positive numbers (train, valid, test), got {fractions!r}")
    return tuple(float(fraction) for fraction in fractions)


def check_parts(counts: Sequence[tuple[int, int]], source: str) -> None:
    """`DataError`, naming `source`, unless every part, given as (rows, clicks), has both classes."""
    for name, (rows, clicks) in zip(PARTS, counts, strict=True):
        if not 0 < clicks < rows:
            raise DataError(
                f"{source}: the {name} part would hold {rows} rows with {clicks} clicks; every part needs "
                "clicks and non-clicks: use more rows, a random split or other fractions"
            )


def _part(rank: Rows, total: int, fractions: Sequence[float]) -> NDArray[np.uint8]:
    """Part of each rank 0..total-1 in an order of `total` rows."""
    whole = sum(fractions)
    cuts = [round(total * fractions[0] / whole), round(total * (fractions[0] + fractions[1]) / whole)]
    return np.searchsorted(cuts, rank, side="right").astype(np.uint8)
