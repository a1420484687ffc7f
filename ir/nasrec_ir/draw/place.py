"""Coordinates: every item as close to straight above and below what it is joined with as its neighbours allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from nasrec_ir.draw.layers import Band, Column, Layers, is_waypoint
from nasrec_ir.draw.line import separated
from nasrec_ir.draw.strands import line_weight, placed_rows

__all__ = ["NODE_HEIGHT", "Box", "Places", "place"]

NODE_HEIGHT = 36.0
ROW_GAP = 20.0
BOX_PADDING = 12.0
BOX_TITLE = 20.0
BAND_GAP = 8.0
COLUMN_GAP = 16.0
PASSING_GAP = 10.0

ROUNDS = 40


@dataclass(frozen=True)
class Box:
    """A rectangle around the nodes of a scope."""

    scope: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Places:
    """Where everything is, in pixels, the upper left corner at (0, 0).

    Attributes:
        x: centre of each item.
        y: top of each row.
        boxes: boxes around scopes.
        width, height: of all together.
    """

    x: Mapping[str, float]
    y: Mapping[int, float]
    boxes: tuple[Box, ...]
    width: float
    height: float


def place(layers: Layers, width: Mapping[str, float]) -> Places:
    """Coordinates of ordered layers, given the width of each item (0 for a waypoint)."""
    x = _horizontal(layers, width)
    y, boxes = _vertical(layers, x, width)
    left = min([x[item] - width[item] / 2 for item in x] + [box.left for box in boxes])
    right = max([x[item] + width[item] / 2 for item in x] + [box.right for box in boxes])
    bottom = max([y[layers.bands[-1].last] + NODE_HEIGHT] + [box.bottom for box in boxes])
    moved = tuple(Box(b.scope, b.left - left, b.top, b.right - left, b.bottom) for b in boxes)
    return Places({item: at - left for item, at in x.items()}, y, moved, right - left, bottom)


def _horizontal(layers: Layers, width: Mapping[str, float]) -> dict[str, float]:
    """Items inside of their columns first, then whole columns, band by band, down and up until they settle."""
    x: dict[str, float] = {}
    for band in layers.bands:
        for column in band.columns:
            x.update(placed_rows(layers, column, width))
    for round_ in range(ROUNDS):
        for band in layers.bands if round_ % 2 == 0 else layers.bands[::-1]:
            _place_columns(layers, band, width, x)
    _straighten(layers, width, x)
    return x


def _place_columns(layers: Layers, band: Band, width: Mapping[str, float], x: dict[str, float]) -> None:
    """Shifts the columns of a band to near what they are joined with, in order and without overlap."""
    spans = [_span(column, width, x) for column in band.columns]
    wishes, weights = [], []
    for column, (left, right) in zip(band.columns, spans, strict=True):
        items = column.items
        own = set(items)
        pulls = [
            (x[other] - x[item], line_weight(item, other))
            for item in items
            for other in (*layers.above[item], *layers.below[item])
            if other not in own
        ]
        total = sum(weight for _, weight in pulls)
        shift = sum(pull * weight for pull, weight in pulls) / total if total else 0.0
        wishes.append((left + right) / 2 + shift)
        weights.append(total or 0.01)
    distances = [(a[1] - a[0] + b[1] - b[0]) / 2 + _gap(a, b) for a, b in itertools.pairwise(spans)]
    for column, (left, right), centre in zip(band.columns, spans, separated(wishes, weights, distances), strict=True):
        for item in column.items:
            x[item] += centre - (left + right) / 2


def _straighten(layers: Layers, width: Mapping[str, float], x: dict[str, float]) -> None:
    """Lets values that pass several bands go straight down as far as there is room, then bend once for as far again."""
    chains: dict[str, list[tuple[Band, int]]] = {}
    for band in layers.bands:
        for index, column in enumerate(band.columns):
            if not column.cluster and is_waypoint(column.items[0]):
                chains.setdefault(column.key, []).append((band, index))
    for chain in chains.values():
        rooms = [_room(band, index, width, x) for band, index in chain]
        columns = [band.columns[index] for band, index in chain]
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


def _room(band: Band, index: int, width: Mapping[str, float], x: Mapping[str, float]) -> tuple[float, float]:
    """Where a column without width may move to between its neighbours."""
    spans = [_span(column, width, x) for column in band.columns]
    own = spans[index]
    low = spans[index - 1][1] + _gap(spans[index - 1], own) if index else -math.inf
    high = spans[index + 1][0] - _gap(own, spans[index + 1]) if index + 1 < len(spans) else math.inf
    return low, high


def _span(column: Column, width: Mapping[str, float], x: Mapping[str, float]) -> tuple[float, float]:
    padding = BOX_PADDING if column.cluster else 0.0
    left = min(x[item] - width[item] / 2 for item in column.items)
    right = max(x[item] + width[item] / 2 for item in column.items)
    return left - padding, right + padding


def _gap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Between neighbouring columns: less between two values that pass."""
    return COLUMN_GAP if a[0] < a[1] or b[0] < b[1] else PASSING_GAP


def _vertical(layers: Layers, x: Mapping[str, float], width: Mapping[str, float]) -> tuple[dict[int, float], list[Box]]:
    """Tops of rows, with more room where lines have far to go, and boxes around scopes."""
    y: dict[int, float] = {}
    boxes: list[Box] = []
    here = -BAND_GAP
    for band in layers.bands:
        boxed = any(column.cluster for column in band.columns)
        here += BAND_GAP + (BOX_TITLE + BOX_PADDING / 2 if boxed else 0.0)
        for row in range(band.first, band.last + 1):
            y[row] = here
            items = [item for column in band.columns for item in column.rows.get(row, ())]
            farthest = max((abs(x[a] - x[b]) for a in items for b in layers.below[a]), default=0.0)
            here += NODE_HEIGHT + ROW_GAP + min(0.05 * farthest, 30.0)
        here += BOX_PADDING if boxed else 0.0
        boxes += [_box(column, x, y, width) for column in band.columns if column.cluster]
    return y, boxes


def _box(column: Column, x: Mapping[str, float], y: Mapping[int, float], width: Mapping[str, float]) -> Box:
    """Around the nodes of a scope, and the waypoints between its first and last row."""
    rows = [row for row, items in column.rows.items() if not all(map(is_waypoint, items))]
    items = [item for row in range(min(rows), max(rows) + 1) for item in column.rows[row]]
    return Box(
        column.key,
        min(x[item] - width[item] / 2 for item in items) - BOX_PADDING,
        y[min(rows)] - BOX_TITLE - BOX_PADDING / 2,
        max(x[item] + width[item] / 2 for item in items) + BOX_PADDING,
        y[max(rows)] + NODE_HEIGHT + BOX_PADDING,
    )
