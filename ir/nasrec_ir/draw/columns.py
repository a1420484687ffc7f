"""Coordinates from left to right: columns of a band next to each other, near what they are joined with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasrec_ir.draw.layers import Column, Layers, is_waypoint
from nasrec_ir.draw.line import separated
from nasrec_ir.draw.strands import line_weight, placed_rows

__all__ = ["BOX_PADDING", "placed_columns"]

BOX_PADDING = 12.0
COLUMN_GAP = 16.0
PASSING_GAP = 10.0

ROUNDS = 40
SETTLED = 0.25

Span = tuple[float, float]


def placed_columns(layers: Layers, width: Mapping[str, float]) -> dict[str, float]:
    """The centre of every item of ordered layers, given its width (0 for a waypoint).

    Items are placed inside of their columns first; then whole columns, band by band, down and up until they settle.
    """
    x: dict[str, float] = {}
    for band in layers.bands:
        for column in band.columns:
            x.update(placed_rows(layers, column, width))
    bands = [[_rigid(layers, column, width, x) for column in band.columns] for band in layers.bands]
    for round_ in range(ROUNDS):
        moved = [_shift(band, x) for band in (bands if round_ % 2 == 0 else bands[::-1])]
        if max(moved) < SETTLED:
            break
    _straighten(layers, bands, x)
    return x


@dataclass(frozen=True)
class _Rigid:
    """A column whose items keep their places towards each other.

    Attributes:
        key: of the column.
        items: all of them, row by row.
        links: lines out of the column: item, what it is joined with, how much the line should be straight.
        left, right: an item, and how far the column's edge lies from its centre.
        passing: whether it is a value that only passes, which has no width.
    """

    key: str
    items: Sequence[str]
    links: Sequence[tuple[str, str, float]]
    left: tuple[str, float]
    right: tuple[str, float]
    passing: bool

    def span(self, x: Mapping[str, float]) -> Span:
        return x[self.left[0]] + self.left[1], x[self.right[0]] + self.right[1]


def _rigid(layers: Layers, column: Column, width: Mapping[str, float], x: Mapping[str, float]) -> _Rigid:
    items = column.items
    own = set(items)
    links = [
        (item, other, line_weight(item, other))
        for item in items
        for other in (*layers.above[item], *layers.below[item])
        if other not in own
    ]
    padding = BOX_PADDING if column.cluster else 0.0
    left = min(items, key=lambda item: x[item] - width[item] / 2)
    right = max(items, key=lambda item: x[item] + width[item] / 2)
    edges = (left, -width[left] / 2 - padding), (right, width[right] / 2 + padding)
    return _Rigid(column.key, items, links, *edges, passing=not column.cluster and is_waypoint(items[0]))


def _shift(band: Sequence[_Rigid], x: dict[str, float]) -> float:
    """Moves the columns of a band, in order and without overlap; returns how far the farthest went."""
    spans = [column.span(x) for column in band]
    centers = [(left + right) / 2 for left, right in spans]
    wishes, weights = [], []
    for column, center in zip(band, centers, strict=True):
        total = sum(weight for _, _, weight in column.links)
        pull = sum((x[other] - x[item]) * weight for item, other, weight in column.links)
        wishes.append(center + pull / total if total else center)
        weights.append(total or 0.01)
    distances = [(a[1] - a[0] + b[1] - b[0]) / 2 + _gap(a, b) for a, b in itertools.pairwise(spans)]
    shifts = [new - old for new, old in zip(separated(wishes, weights, distances), centers, strict=True)]
    for column, shift in zip(band, shifts, strict=True):
        for item in column.items:
            x[item] += shift
    return max(map(abs, shifts))


def _straighten(layers: Layers, bands: Sequence[Sequence[_Rigid]], x: dict[str, float]) -> None:
    """Lets values that pass several bands go straight down as far as there is room, then bend once for as far again."""
    chains: dict[str, list[tuple[Sequence[_Rigid], int]]] = {}
    for band in bands:
        for index, column in enumerate(band):
            if column.passing:
                chains.setdefault(column.key, []).append((band, index))
    for chain in chains.values():
        rooms = [_room(band, index, x) for band, index in chain]
        columns = [band[index] for band, index in chain]
        here = x[layers.above[columns[0].items[0]][0]]
        start = 0
        while start < len(chain):
            low, high = rooms[start]
            stop = start + 1
            if not low <= here <= high:
                while stop < len(chain) and max(low, rooms[stop][0]) <= min(high, rooms[stop][1]):
                    low, high = max(low, rooms[stop][0]), min(high, rooms[stop][1])
                    stop += 1
                here = min(max(here, low), high)
            for column in columns[start:stop]:
                x.update(dict.fromkeys(column.items, here))
            start = stop


def _room(band: Sequence[_Rigid], index: int, x: Mapping[str, float]) -> Span:
    """Where a column may move to between its neighbours."""
    own = band[index].span(x)
    before = band[index - 1].span(x) if index else (-math.inf, -math.inf)
    behind = band[index + 1].span(x) if index + 1 < len(band) else (math.inf, math.inf)
    return before[1] + _gap(before, own), behind[0] - _gap(own, behind)


def _gap(a: Span, b: Span) -> float:
    """Between neighbouring columns: less between two values that pass."""
    return COLUMN_GAP if a[0] < a[1] or b[0] < b[1] else PASSING_GAP
