"""Coordinates of everything in a picture: rows from top to bottom, boxes around scopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasrec_ir.draw.columns import BOX_PADDING, placed_columns
from nasrec_ir.draw.layers import Column, Layers, is_waypoint

__all__ = ["NODE_HEIGHT", "Box", "Places", "place"]

NODE_HEIGHT = 36.0
ROW_GAP = 20.0
BOX_TITLE = 20.0
BAND_GAP = 8.0


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
    x = placed_columns(layers, width)
    y, boxes = _vertical(layers, x, width)
    left = min([x[item] - width[item] / 2 for item in x] + [box.left for box in boxes])
    right = max([x[item] + width[item] / 2 for item in x] + [box.right for box in boxes])
    bottom = max([y[layers.bands[-1].last] + NODE_HEIGHT] + [box.bottom for box in boxes])
    moved = tuple(Box(b.scope, b.left - left, b.top, b.right - left, b.bottom) for b in boxes)
    return Places({item: at - left for item, at in x.items()}, y, moved, right - left, bottom)


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
