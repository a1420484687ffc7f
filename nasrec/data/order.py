"""In which order rows are read: as they stand, shuffled exactly, or shuffled within windows of blocks.

An order tells the row at any place from the place alone, so that reading goes on anywhere and every process of a
distributed run finds its own rows.

- "exact": all rows, in an order that `seed` and `epoch` name. Rows are fetched one by one from the memory map, which
  costs little as long as the part fits in the machine's memory.
- "block": blocks of 4,096 neighbouring rows are shuffled over the whole part; 64 of them at a time make a window, in
  which rows are shuffled exactly. A batch then mixes rows from 64 places of the whole part, other ones each epoch:
  enough to break up the order in time, while the disk reads 0.5 MB at a stretch. For parts larger than memory.
- "none": as they stand.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nasrec.data.permutation import Permutation
from nasrec.errors import DataError

__all__ = ["SHUFFLES", "Order", "order_of"]

SHUFFLES = ("none", "exact", "block")
_BLOCK_ROWS, _WINDOW_BLOCKS = 4096, 64

Rows = NDArray[np.int64]


class Order(Protocol):
    """Row numbers at places [K], which ascend."""

    def __call__(self, places: Rows) -> Rows: ...


def order_of(shuffle: str, rows: int, seed: int, epoch: int) -> Order:
    """The order of `rows` rows in an epoch. Raises `DataError` on an unknown `shuffle`."""
    if shuffle == "none":
        return _as_they_stand
    if shuffle == "exact":
        return Permutation(rows, seed, epoch)
    if shuffle == "block":
        return _Windows(rows, seed, epoch)
    raise DataError(f"shuffle {shuffle!r} is unknown; use one of {', '.join(SHUFFLES)}")


def _as_they_stand(places: Rows) -> Rows:
    return places


class _Windows:
    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        self._key = (seed, epoch)
        count = -(-rows // _BLOCK_ROWS)
        order = Permutation(count, seed, epoch)(np.arange(count))
        self._first_rows = order * _BLOCK_ROWS
        self._sizes = np.minimum(rows - self._first_rows, _BLOCK_ROWS)
        ends = np.cumsum(self._sizes)
        # Only the last block is short, so windows differ in size by less than a block.
        self._window_starts = np.concatenate([[0], ends[_WINDOW_BLOCKS - 1 :: _WINDOW_BLOCKS], [rows]])
        self._kept: tuple[int, Rows] = (-1, np.empty(0, np.int64))

    def __call__(self, places: Rows) -> Rows:
        windows = np.searchsorted(self._window_starts, places, side="right") - 1
        found = np.empty(len(places), dtype=np.int64)
        for window in np.unique(windows).tolist():
            inside = windows == window
            found[inside] = self._window(window)[places[inside] - self._window_starts[window]]
        return found

    def _window(self, window: int) -> Rows:
        """All rows of a window, shuffled; the last one asked for is kept."""
        if self._kept[0] != window:
            blocks = slice(window * _WINDOW_BLOCKS, (window + 1) * _WINDOW_BLOCKS)
            pairs = zip(self._first_rows[blocks].tolist(), self._sizes[blocks].tolist(), strict=True)
            rows = np.concatenate([np.arange(first, first + size) for first, size in pairs])
            order = Permutation(len(rows), *self._key, window)
            self._kept = (window, rows[order(np.arange(len(rows)))])
        return self._kept[1]
