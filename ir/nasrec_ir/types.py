"""The values that a graph speaks of: ranges, tensor types and references to (slices of) parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["MAX_DIMENSION", "ParamRef", "Range", "Segments", "TensorType", "merge", "span", "total"]

Range = tuple[int, int]
"""A half-open range `[start, stop)`."""

Segments = tuple[Range, ...]
"""Disjoint ranges in ascending order, none empty and none touching the next: the canonical form of a selection."""

MAX_DIMENSION = 2**31 - 1
"""Largest size of any axis: what 32-bit indices of kernels and export formats can hold."""

DTYPES = ("f32", "i64")


def merge(ranges: Iterable[Range]) -> Segments:
    """The canonical form of ranges given in ascending order: empty ones dropped, touching ones joined."""
    out: list[Range] = []
    for start, stop in ranges:
        if start >= stop:
            continue
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], stop)
        else:
            out.append((start, stop))
    return tuple(out)


def total(segments: Iterable[Range]) -> int:
    """How many positions the segments hold."""
    return sum(stop - start for start, stop in segments)


def span(segments: Segments) -> Range:
    """The smallest range that covers all segments; (0, 0) where there are none."""
    return (segments[0][0], segments[-1][1]) if segments else (0, 0)


def select(segments: Segments, chosen: Iterable[Range]) -> Segments:
    """A selection of a selection: the positions of `segments` at the places `chosen` (ranges over 0..total)."""
    out: list[Range] = []
    offset, wanted = 0, list(chosen)
    for start, stop in segments:
        size = stop - start
        for low, high in wanted:
            first, last = max(low - offset, 0), min(high - offset, size)
            if first < last:
                out.append((start + first, start + last))
        offset += size
    return merge(sorted(out))


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a value: element kind and sizes behind the batch axis, and what of it may be other than zero.

    Attributes:
        shape: sizes after the symbolic batch axis `B`: `()` a logit, `(n,)` dense units, `(f, e)` fields of
            embeddings with `e` channels.
        dtype: `"f32"` for real values (computed in whatever precision a backend runs), `"i64"` for category ids.
        live: half-open range along the first axis behind the batch, outside of which all entries are known to be
            zero. A mask is a fact of the type, so that skipping what is masked is a pass. Defaults to everything.
    """

    shape: tuple[int, ...]
    dtype: str = "f32"
    live: Range = (-1, -1)

    def __post_init__(self) -> None:
        if self.live == (-1, -1) or not self.shape:
            object.__setattr__(self, "live", (0, self.shape[0]) if self.shape else (0, 1))
        elif self.live[0] >= self.live[1]:
            object.__setattr__(self, "live", (0, 0))

    @property
    def full(self) -> bool:
        """Whether nothing is known to be zero."""
        return not self.shape or self.live == (0, self.shape[0])

    @property
    def elements(self) -> int:
        """Number of entries per sample."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        sizes = ", ".join(["B", *map(str, self.shape)])
        suffix = "" if self.full else f" live {self.live[0]}:{self.live[1]}"
        return f"{self.dtype}[{sizes}]{suffix}"


@dataclass(frozen=True, slots=True)
class ParamRef:
    """A parameter, or the slice of it that a node uses.

    Attributes:
        name: name in the store (a state dict's key).
        shape: full shape in the store, one or two sizes.
        rows: selected rows, all by default.
        columns: selected columns of a matrix, all by default; `()` with a vector.
    """

    name: str
    shape: tuple[int, ...]
    rows: Segments = ((-1, -1),)
    columns: Segments = ((-1, -1),)

    def __post_init__(self) -> None:
        everything = ((-1, -1),)
        if self.rows == everything:
            object.__setattr__(self, "rows", merge([(0, self.shape[0])]))
        if self.columns == everything:
            columns = merge([(0, self.shape[1])]) if len(self.shape) == 2 else ()
            object.__setattr__(self, "columns", columns)

    @property
    def view_shape(self) -> tuple[int, ...]:
        """Shape of the selected slice, which is what a node computes with."""
        rows = total(self.rows)
        return (rows, total(self.columns)) if len(self.shape) == 2 else (rows,)

    @property
    def whole(self) -> bool:
        """Whether nothing is cut away."""
        return self.view_shape == self.shape

    @property
    def elements(self) -> int:
        """Number of selected entries."""
        return math.prod(self.view_shape)

    def narrow(self, *, rows: Iterable[Range] | None = None, columns: Iterable[Range] | None = None) -> ParamRef:
        """The same parameter with fewer rows or columns, given as ascending ranges over those now selected."""
        return replace(
            self,
            rows=self.rows if rows is None else select(self.rows, rows),
            columns=self.columns if columns is None else select(self.columns, columns),
        )
