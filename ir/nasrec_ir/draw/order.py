"""The order of columns within bands and of items within rows that lets few lines cross."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nasrec_ir.draw.layers import Band, Column, Layers

__all__ = ["reduce_crossings", "total_crossings"]

SWEEPS = 12
EXCHANGE_LIMIT = 1000
"""Items above which neighbours are no longer exchanged pair by pair, which would take longer than it gains."""

GAP = 16.0
"""Room between neighbours while positions are provisional."""

T = TypeVar("T")


def reduce_crossings(layers: Layers, width: Mapping[str, float]) -> None:
    """Reorders columns and rows in place.

    Barycentre sweeps down and up (Sugiyama, Tagawa, Toda 1981): everything moves to the mean position of what it is
    joined with; the best order seen is kept. Then neighbours change places wherever that saves crossings.
    """
    best, least = _snapshot(layers), total_crossings(layers)
    for sweep in range(SWEEPS):
        if not least:
            break
        _sweep(layers, width, down=sweep % 2 == 0)
        crossings = total_crossings(layers)
        if crossings < least:
            best, least = _snapshot(layers), crossings
    _restore(layers, best)
    if least and len(layers.row) <= EXCHANGE_LIMIT:
        _exchange(layers)


def total_crossings(layers: Layers) -> int:
    """Pairs of lines that cross between neighbouring rows."""
    return _crossings(layers, [_row(band, row) for band in layers.bands for row in range(band.first, band.last + 1)])


def _row(band: Band, row: int) -> list[str]:
    """Items of a row from left to right, across columns."""
    return [item for column in band.columns for item in column.rows.get(row, ())]


def _crossings(layers: Layers, rows: Sequence[Sequence[str]]) -> int:
    """Inversions among the lines between neighbours of a few rows that follow each other."""
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {item: index for index, item in enumerate(lower)}
        seen: list[int] = []
        for item in upper:
            ends = sorted(place[other] for other in layers.below[item])
            count += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return count


def _sweep(layers: Layers, width: Mapping[str, float], *, down: bool) -> None:
    joined = layers.above if down else layers.below
    x: dict[str, float] = {}
    for band in layers.bands:
        _spread(band, width, x)
    for band in layers.bands if down else layers.bands[::-1]:
        _sort(band.columns, [_barycenter(column, joined, x) for column in band.columns])
        _spread(band, width, x)
        rows = range(band.first, band.last + 1)
        for row in rows if down else reversed(rows):
            for column in band.columns:
                items = column.rows.get(row, [])
                if len(items) > 1:
                    middle = (x[items[0]] - width[items[0]] / 2 + x[items[-1]] + width[items[-1]] / 2) / 2
                    _sort(items, [_mean([x[other] for other in joined[item]], x[item]) for item in items])
                    _pack(items, middle, width, x)


def _sort(things: list[T], wishes: Sequence[float]) -> None:
    """Sorts in place by wishes, those of equal wishes in their present order."""
    things[:] = [things[i] for i in sorted(range(len(things)), key=wishes.__getitem__)]


def _barycenter(column: Column, joined: Mapping[str, Sequence[str]], x: Mapping[str, float]) -> float:
    items = column.items
    own = set(items)
    outside = [x[other] for item in items for other in joined[item] if other not in own]
    return _mean(outside, _mean([x[item] for item in items], 0.0))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(band: Band, width: Mapping[str, float], x: dict[str, float]) -> None:
    """Provisional centres: rows packed and centred in their columns, columns packed and centred around 0."""
    sizes = [max(_length(items, width) for items in column.rows.values()) for column in band.columns]
    left = -(sum(sizes) + GAP * (len(sizes) - 1)) / 2
    for column, size in zip(band.columns, sizes, strict=True):
        for items in column.rows.values():
            _pack(items, left + size / 2, width, x)
        left += size + GAP


def _length(items: Sequence[str], width: Mapping[str, float]) -> float:
    return sum(width[item] for item in items) + GAP * (len(items) - 1)


def _pack(items: Sequence[str], center: float, width: Mapping[str, float], x: dict[str, float]) -> None:
    left = center - _length(items, width) / 2
    for item in items:
        x[item] = left + width[item] / 2
        left += width[item] + GAP


def _exchange(layers: Layers) -> None:
    """Exchanges neighbouring columns, and neighbouring items of a row, while that saves crossings."""
    band_of = {row: band for band in layers.bands for row in range(band.first, band.last + 1)}

    def count(first: int, last: int) -> Callable[[], int]:
        rows = [(band_of[row], row) for row in range(first, last + 1) if row in band_of]
        return lambda: _crossings(layers, [_row(band, row) for band, row in rows])

    for _ in range(SWEEPS):
        improved = False
        for band in layers.bands:
            improved |= _exchange_neighbors(band.columns, count(band.first - 1, band.last + 1))
            for row in range(band.first, band.last + 1):
                for column in band.columns:
                    improved |= _exchange_neighbors(column.rows.get(row, []), count(row - 1, row + 1))
        if not improved:
            return


def _exchange_neighbors(items: list[T], count: Callable[[], int]) -> bool:
    """One pass over a list whose order decides a count; says whether the count fell."""
    if len(items) < 2:
        return False
    start = least = count()
    for index in range(len(items) - 1):
        if not least:
            break
        items[index : index + 2] = items[index + 1], items[index]
        after = count()
        if after < least:
            least = after
        else:
            items[index : index + 2] = items[index + 1], items[index]
    return least < start


Snapshot = list[list[tuple[Column, dict[int, list[str]]]]]


def _snapshot(layers: Layers) -> Snapshot:
    return [
        [(column, {row: list(items) for row, items in column.rows.items()}) for column in band.columns]
        for band in layers.bands
    ]


def _restore(layers: Layers, snapshot: Snapshot) -> None:
    for band, columns in zip(layers.bands, snapshot, strict=True):
        band.columns[:] = [column for column, _ in columns]
        for column, rows in columns:
            column.rows = rows
