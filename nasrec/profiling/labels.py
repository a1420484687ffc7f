"""Names beside the dots of a picture, none over another or over a dot."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Box", "Spot", "label_spots", "place"]

GAP, REACH, AWAY = 3.0, (0.0, 12.0, 26.0, 44.0), 6.0
"""Pixels between dot and label, how much farther away places are tried, and how far other dots should be."""

SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class Spot:
    """A dot: its centre and radius in pixels, and what to call it."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlap(self, other: Box) -> float:
        """Area in common."""
        return max(0.0, min(self.x1, other.x1) - max(self.x0, other.x0)) * max(
            0.0, min(self.y1, other.y1) - max(self.y0, other.y0)
        )

    @property
    def area(self) -> float:
        """Area."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def label_spots(axes: Axes, spots: Sequence[Spot], count: int, color: str) -> None:
    """Writes the names of the first `count` spots, with a thin line to the dot where the name had to go far."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    figure = axes.get_figure(root=True)
    size = 8.5
    pixels = figure.dpi / 72 if figure else 1.0
    font = FontProperties(size=size)
    sizes = []
    for spot in spots[:count]:
        extent = TextPath((0, 0), spot.text, prop=font).get_extents()
        sizes.append((extent.width * pixels, 1.25 * size * pixels))
    corners = axes.transAxes.transform([(0, 0), (1, 1)])
    frame = Box(*corners[0], *corners[1])
    to_data = axes.transData.inverted()
    for spot, box in zip(spots, place(spots, sizes, frame), strict=False):
        middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        near = (min(max(spot.x, box.x0), box.x1), min(max(spot.y, box.y0), box.y1))
        if max(abs(near[0] - spot.x), abs(near[1] - spot.y)) > spot.radius + 2 * GAP:
            ends = to_data.transform([(spot.x, spot.y), near])
            axes.plot(ends[:, 0], ends[:, 1], color=color, linewidth=0.6, alpha=0.6, zorder=4)
        x, y = map(float, to_data.transform(middle))
        axes.text(x, y, spot.text, fontsize=size, color=color, ha="center", va="center", zorder=5)


def place(spots: Sequence[Spot], sizes: Sequence[tuple[float, float]], frame: Box) -> list[Box]:
    """Where labels of the given sizes go, one for each of the first spots, the first choosing first."""
    dots = [_around(spot, 0.0) for spot in spots]
    taken: list[Box] = []
    for index, (spot, size) in enumerate(zip(spots, sizes, strict=False)):
        # A name that touches another dot would be taken for that dot's.
        others = [_around(other, AWAY) for place, other in enumerate(spots) if place != index]
        obstacles = [*others, dots[index]]
        taken.append(min(_candidates(spot, size), key=lambda box: _cost(box, obstacles, taken, frame)))
    return taken


def _around(spot: Spot, margin: float) -> Box:
    reach = spot.radius + margin
    return Box(spot.x - reach, spot.y - reach, spot.x + reach, spot.y + reach)


def _candidates(spot: Spot, size: tuple[float, float]) -> list[Box]:
    """Around the dot, near before far, right before left: the first of equal cost is taken."""
    width, height = size
    found = []
    for reach, (right, up) in itertools.product(REACH, SIDES):
        far = spot.radius + GAP + reach
        diagonal = 0.75 if right and up else 1.0
        x = spot.x + right * far * diagonal - width * (1 - right) / 2
        y = spot.y + up * far * diagonal - height * (1 - up) / 2
        found.append(Box(x, y, x + width, y + height))
    return found


def _cost(box: Box, dots: Sequence[Box], taken: Sequence[Box], frame: Box) -> float:
    """Area hidden: labels hide labels worst, then the frame's edge; dots shine through a little."""
    outside = box.area - box.overlap(frame)
    return 8 * sum(map(box.overlap, taken)) + 8 * outside + sum(map(box.overlap, dots))
