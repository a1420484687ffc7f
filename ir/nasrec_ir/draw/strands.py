"""Coordinates inside of a column: its items hang on vertical strands, so that chains and long lines are straight."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from nasrec_ir.draw.layers import Column, Layers, is_waypoint

__all__ = ["line_weight", "placed_rows"]

NODE_GAP = 14.0
WAY_GAP = 9.0
ROUNDS = 24


def placed_rows(layers: Layers, column: Column, width: Mapping[str, float]) -> dict[str, float]:
    """Centres of a column's items, in the order of its rows, with no regard to other columns.

    Items of neighbouring rows are first aligned to strands, as Brandes and Köpf (2001) do; then the strands are packed
    to the left, and moved one by one to the weighted mean of what they are joined with.
    """
    strand = _strands(layers, column)
    rows = [column.rows[row] for row in sorted(column.rows)]
    left_of: dict[int, dict[int, float]] = {}  # strand -> its left neighbours, with the distance to each
    right_of: dict[int, dict[int, float]] = {}
    for items in rows:
        for a, b in itertools.pairwise(items):
            gap = (width[a] + width[b]) / 2 + (WAY_GAP if is_waypoint(a) or is_waypoint(b) else NODE_GAP)
            one, two = strand[a], strand[b]
            left_of.setdefault(two, {})[one] = max(gap, left_of.get(two, {}).get(one, 0.0))
            right_of.setdefault(one, {})[two] = left_of[two][one]
    x = _packed(strand, left_of)
    pulls: dict[int, list[tuple[int, float]]] = {}
    for item, own in strand.items():
        for other in (*layers.above[item], *layers.below[item]):
            if other in strand and strand[other] != own:
                pulls.setdefault(own, []).append((strand[other], line_weight(item, other)))
    for round_ in range(ROUNDS):
        for own in sorted(pulls, key=lambda s: (x[s], s), reverse=round_ % 2 == 0):
            wish = sum(x[other] * weight for other, weight in pulls[own])
            wish /= sum(weight for _, weight in pulls[own])
            low = max((x[other] + gap for other, gap in left_of.get(own, {}).items()), default=-math.inf)
            high = min((x[other] - gap for other, gap in right_of.get(own, {}).items()), default=math.inf)
            x[own] = max(low, min(wish, high))
    return {item: x[own] for item, own in strand.items()}


def line_weight(a: str, b: str) -> float:
    """How much a line should be straight: most between two waypoints, where a bend has no reason."""
    return (1.0, 3.0, 12.0)[is_waypoint(a) + is_waypoint(b)]


def _strands(layers: Layers, column: Column) -> dict[str, int]:
    """A number for each item; equal ones are to stand straight above each other."""
    strand: dict[str, int] = {}
    upper: Sequence[str] = ()
    for row in sorted(column.rows):
        lower = column.rows[row]
        for up, down in _aligned(layers, upper, lower):
            strand[lower[down]] = strand[upper[up]]
        for item in lower:
            strand.setdefault(item, len(strand))  # numbers may be left out, but none is given twice
        upper = lower
    return strand


def _aligned(layers: Layers, upper: Sequence[str], lower: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of positions in two rows to align: joined, at most one a position, none crossing another.

    Long lines come first, then chains of nodes, then what joins the two; of several lines to a node the middle one.
    """
    position = {item: index for index, item in enumerate(upper)}
    wanted: list[tuple[int, float, int, int]] = []
    for down, item in enumerate(lower):
        ups = sorted(position[other] for other in layers.above[item] if other in position)
        for place, up in enumerate(ups):
            kind = is_waypoint(upper[up]) + is_waypoint(item)
            wanted.append(((1, 2, 0)[kind], abs(place - (len(ups) - 1) / 2), down, up))
    pairs: list[tuple[int, int]] = []
    for _, _, down, up in sorted(wanted):
        if all((up < other and down < beside) or (up > other and down > beside) for other, beside in pairs):
            pairs.append((up, down))
    return pairs


def _packed(strand: Mapping[str, int], left_of: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """Strands as far to the left as their neighbours allow; their order has no cycles, as strands do not cross."""
    x = dict.fromkeys(sorted(set(strand.values())), 0.0)
    moved = True
    while moved:
        moved = False
        for own, neighbors in left_of.items():
            least = max(x[other] + gap for other, gap in neighbors.items())
            if least > x[own] + 1e-9:
                x[own], moved = least, True
    return x
