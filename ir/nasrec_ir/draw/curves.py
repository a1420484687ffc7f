"""The lines of a picture: where they end, how they bend, and where they leave room for a title."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nasrec_ir.draw.layers import Layers, is_waypoint
from nasrec_ir.draw.line import separated
from nasrec_ir.draw.place import NODE_HEIGHT, Box, Places
from nasrec_ir.graph import Graph

__all__ = ["Curve", "curves", "first_fit", "free_room", "number"]

PORT_GAP = 14.0
CORNER = 8.0


@dataclass(frozen=True)
class Curve:
    """From the bottom of one row to the top of the next, upright at both ends.

    Attributes:
        x0, y0, x1, y1: where it starts and ends.
        arrow: whether it ends at a node; at a waypoint it goes on to the bottom of the row instead.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    arrow: bool

    @property
    def path(self) -> str:
        """For the `d` of an SVG path."""
        x0, y0, x1, y1 = (number(value) for value in (self.x0, self.y0, self.x1, self.y1))
        tail = "" if self.arrow else f"V{number(self.y1 + NODE_HEIGHT)}"
        if x0 == x1:
            return f"M{x0} {y0}V{y1}" if self.arrow else f"M{x0} {y0}{tail}"
        middle = number((self.y0 + self.y1) / 2)
        return f"M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}{tail}"

    def at(self, y: float) -> float:
        """x at a height between the ends; y grows with the curve's parameter, so halving finds it."""
        if y <= self.y0 or y >= self.y1:
            return self.x0 if y <= self.y0 else self.x1
        wanted, low, high = (y - self.y0) / (self.y1 - self.y0), 0.0, 1.0
        for _ in range(20):
            t = (low + high) / 2
            low, high = (t, high) if 1.5 * t * (1 - t) + t**3 < wanted else (low, t)
        return self.x0 + (self.x1 - self.x0) * (3 * low**2 - 2 * low**3)


def curves(graph: Graph, layers: Layers, places: Places, width: Mapping[str, float]) -> dict[str, list[Curve]]:
    """The curves of each value, none twice, down to every operand that reads it."""
    ports = _ports(graph, layers, places, width)
    found: dict[str, list[Curve]] = {}
    for node in graph:
        own: dict[Curve, None] = {}
        for reader in graph.users[node.id]:
            route = layers.routes[node.id, reader]
            for upper, lower in itertools.pairwise(route[:-1]):
                own[_curve(upper, lower, places.x[lower], layers, places)] = None
            for end in ports[node.id, reader]:
                own[_curve(route[-2], reader, end, layers, places)] = None
        found[node.id] = list(own)
    return found


def _curve(upper: str, lower: str, end: float, layers: Layers, places: Places) -> Curve:
    top, bottom = places.y[layers.row[upper]] + NODE_HEIGHT, places.y[layers.row[lower]]
    return Curve(places.x[upper], top, end, bottom, arrow=not is_waypoint(lower))


def _ports(
    graph: Graph, layers: Layers, places: Places, width: Mapping[str, float]
) -> dict[tuple[str, str], list[float]]:
    """Where on the upper edge of its reader each operand arrives: straight from above where the edge reaches so far."""
    ports: dict[tuple[str, str], list[float]] = {}
    for node in graph:
        if not node.inputs:
            continue
        arriving = sorted((places.x[layers.routes[i, node.id][-2]], place, i) for place, i in enumerate(node.inputs))
        center, room = places.x[node.id], width[node.id] / 2 - CORNER
        apart = min(PORT_GAP, 2 * room / len(arriving))
        wishes = [min(max(x, center - room), center + room) for x, _, _ in arriving]
        ends = separated(wishes, [1.0] * len(wishes), [apart] * (len(wishes) - 1))
        shift = min(0.0, center + room - ends[-1]) + max(0.0, center - room - ends[0])
        for (_, _, operand), end in zip(arriving, ends, strict=True):
            ports.setdefault((operand, node.id), []).append(end + shift)
    return ports


def free_room(box: Box, top: float, bottom: float, lines: Iterable[Curve]) -> list[tuple[float, float]]:
    """Ranges of x within a box that no line crosses between two heights, from left to right."""
    taken: list[tuple[float, float]] = []
    for line in lines:
        if line.y0 < bottom and line.y1 + (0 if line.arrow else NODE_HEIGHT) > top:
            ends = (line.at(top), line.at(bottom))
            taken.append((min(ends) - 4, max(ends) + 4))
    ranges, left = [], box.left + 12
    for low, high in [*sorted(taken), (box.right - 12, box.right)]:
        if low > left:
            ranges.append((left, min(low, box.right - 12)))
        left = max(left, high)
    return ranges


def first_fit(ranges: Sequence[tuple[float, float]], size: float) -> float | None:
    """Left end of the first range that is wide enough."""
    return next((low for low, high in ranges if high - low >= size), None)


def number(value: float) -> str:
    """A coordinate as text: one decimal is finer than any screen."""
    text = f"{value:.1f}"
    return "0" if text in ("-0.0", "0.0") else text.removesuffix(".0")
