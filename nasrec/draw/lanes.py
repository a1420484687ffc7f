"""Vertical lanes beside the chain of blocks: one an output, as close to the blocks as the others allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Lane", "Reading", "lanes_of"]

DISTANCE = 7.0
"""Between the end of one lane and the beginning of another one in the same column, in pixels."""


@dataclass(frozen=True)
class Reading:
    """An operator's port.

    Attributes:
        port: its name, such as b3.fc.dense.
        y: its height; y grows downwards.
        sources: outputs that it reads, 0 for the raw input.
        live: whether what it makes reaches the logit.
    """

    port: str
    y: float
    sources: tuple[int, ...]
    live: bool


@dataclass(frozen=True)
class Lane:
    """The line of an output from where it leaves (`bottom`) to its farthest reader (`top`) and its farthest live one
    (`live_top`, None where there is none), in a column that is counted from the blocks outwards."""

    source: int
    column: int
    bottom: float
    top: float
    live_top: float | None


def lanes_of(outputs: Sequence[float], readings: Sequence[Reading]) -> list[Lane]:
    """A lane for each output that is read, given the heights at which they leave; short lanes stand inside."""
    spans = []
    for source, bottom in enumerate(outputs):
        own = [reading for reading in readings if source in reading.sources]
        if own:
            live = [reading.y for reading in own if reading.live]
            spans.append((bottom, min(reading.y for reading in own), source, min(live, default=None)))
    columns: list[list[tuple[float, float]]] = []
    lanes = []
    for bottom, top, source, live_top in sorted(spans, key=lambda span: (span[0] - span[1], span[2])):
        column = 0
        while column < len(columns) and not _free(bottom, top, columns[column]):
            column += 1
        if column == len(columns):
            columns.append([])
        columns[column].append((bottom, top))
        lanes.append(Lane(source, column, bottom, top, live_top))
    return lanes


def _free(bottom: float, top: float, taken: Sequence[tuple[float, float]]) -> bool:
    return all(bottom < other_top - DISTANCE or top > other_bottom + DISTANCE for other_bottom, other_top in taken)
