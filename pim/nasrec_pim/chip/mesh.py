"""The mesh of tiles: in which order layers take them, and how far results travel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import Hardware

__all__ = ["Distances", "Extents", "Mesh", "distances", "mesh_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# The Manhattan distance of two tiles is the larger of their differences in row + column and in row - column. So the
# farthest tile of a set is found from four extents of the set, and no pair of tiles is ever looked at.


@dataclass(frozen=True)
class Mesh:
    """The tiles by the number under which layers take them.

    Attributes:
        rows, columns: position of each tile.
        plus, minus: row + column and row - column.
        rank: place in row-major order, which decides between equally good tiles.
        hub: row and column of the digital units and the memory's port, where MNSIM has its global accumulator.
    """

    rows: Ints
    columns: Ints
    plus: Ints
    minus: Ints
    rank: Ints
    hub: tuple[float, float]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Extents:
    """Smallest and largest row + column and row - column of sets of tiles, arrays over the sets."""

    plus_low: Floats
    plus_high: Floats
    minus_low: Floats
    minus_high: Floats

    def farthest(self, plus: NDArray[np.number], minus: NDArray[np.number]) -> Floats:
        """Largest distance from each position to its set; -inf where the set is empty."""
        along_plus = np.maximum(self.plus_high - plus, plus - self.plus_low)
        along_minus = np.maximum(self.minus_high - minus, minus - self.minus_low)
        return np.asarray(np.maximum(along_plus, along_minus), dtype=np.float64)


@dataclass(frozen=True)
class Distances:
    """How far results travel, in hops; arrays over layers.

    Attributes:
        merge: D_in, from the farthest tile of the layer to the tile where its results are summed.
        onward: D_out, from there to the farthest reader.
        point: number of that tile.
    """

    merge: Floats
    onward: Floats
    point: Ints


@lru_cache(maxsize=32)
def _mesh(rows: int, columns: int, order: str, hub: tuple[float, ...]) -> Mesh:
    places = np.array(list(ORDERS[order](rows, columns)), dtype=np.int64)
    row, column = places[:, 0], places[:, 1]
    return Mesh(row, column, row + column, row - column, row * columns + column, (hub[0], hub[1]))


def mesh_of(hardware: Hardware) -> Mesh:
    """The tiles of a chip in the order in which layers take them."""
    rows, columns = hardware.noc.grid
    return _mesh(rows, columns, hardware.noc.order, hardware.noc.hub)


def extents(mesh: Mesh, tiles: Ints, starts: Ints) -> Extents:
    """Extents of sets of tiles, given one behind the other with the place where each starts."""
    plus, minus = mesh.plus[tiles], mesh.minus[tiles]
    return Extents(
        np.minimum.reduceat(plus, starts).astype(np.float64),
        np.maximum.reduceat(plus, starts).astype(np.float64),
        np.minimum.reduceat(minus, starts).astype(np.float64),
        np.maximum.reduceat(minus, starts).astype(np.float64),
    )


def distances(
    mesh: Mesh, tiles: Ints, starts: Ints, successors: list[list[int]], to_hub: NDArray[np.bool_]
) -> Distances:
    """Where each layer sums its results, and how far they travel (MNSIM 2.0's rule).

    The tile p with the smallest sum of the distance from the layer's farthest tile to p and from p to the farthest tile
    of a successor, the first in row-major order among equals.

    Args:
        mesh: the chip's tiles.
        tiles: numbers of the layers' tiles, layer by layer.
        starts: where each layer starts in `tiles`.
        successors: layers that read each layer's result directly.
        to_hub: whether a layer's result goes to the hub (digital unit).
    """
    own = extents(mesh, tiles, starts)
    readers = _reader_extents(mesh, own, successors, to_hub)
    counts = np.diff(starts, append=len(tiles))
    layer = np.repeat(np.arange(len(starts)), counts)
    plus, minus = mesh.plus[tiles], mesh.minus[tiles]
    merge = _at(own, layer).farthest(plus, minus)
    onward = np.maximum(_at(readers, layer).farthest(plus, minus), 0.0)
    # Distances are multiples of one half, ranks whole numbers below the count of tiles.
    key = (2 * (merge + onward)).astype(np.int64) * len(mesh) + mesh.rank[tiles]
    best = np.minimum.reduceat(key, starts)
    chosen = np.flatnonzero(key == best[layer])
    return Distances(merge[chosen], onward[chosen], tiles[chosen])


def from_hub(mesh: Mesh, tiles: Ints, starts: Ints) -> Floats:
    """Largest distance from the hub to each set of tiles."""
    row, column = (np.array(place) for place in mesh.hub)
    return extents(mesh, tiles, starts).farthest(row + column, row - column)


def check_room(needed: int, hardware: Hardware) -> None:
    """Raises `MappingError` if the chip has too few tiles."""
    if needed > hardware.noc.tiles:
        across, down = hardware.noc.grid
        raise MappingError(
            f"{needed:,} tiles are needed, {hardware.name} has {across} x {down} = {hardware.noc.tiles:,}; "
            f"enlarge noc.grid or tile.pes, or lower weight_bits or mapping.copies"
        )


def _reader_extents(mesh: Mesh, own: Extents, successors: list[list[int]], to_hub: NDArray[np.bool_]) -> Extents:
    row, column = mesh.hub
    edges = np.array([(a, b) for a, readers in enumerate(successors) for b in readers], dtype=np.int64).reshape(-1, 2)
    out = []
    for values, hub, combine, nothing in (
        (own.plus_low, row + column, np.minimum, np.inf),
        (own.plus_high, row + column, np.maximum, -np.inf),
        (own.minus_low, row - column, np.minimum, np.inf),
        (own.minus_high, row - column, np.maximum, -np.inf),
    ):
        result = np.where(to_hub, hub, nothing)
        combine.at(result, edges[:, 0], values[edges[:, 1]])
        out.append(result)
    return Extents(*out)


def _at(sets: Extents, index: Ints) -> Extents:
    return Extents(sets.plus_low[index], sets.plus_high[index], sets.minus_low[index], sets.minus_high[index])


def _by_rows(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    return ((r, c) for r in range(rows) for c in range(columns))


def _snake(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    return ((r, c if r % 2 == 0 else columns - 1 - c) for r in range(rows) for c in range(columns))


def _shells(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Around growing squares, down the outer column and back along the outer row, then the other way."""
    for k in range(max(rows, columns)):
        shell = [(r, k) for r in range(k + 1)] + [(k, c) for c in range(k - 1, -1, -1)]
        yield from ((r, c) for r, c in (shell if k % 2 else reversed(shell)) if r < rows and c < columns)


def _zigzag(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Along the antidiagonals, to and fro."""
    for total in range(rows + columns - 1):
        diagonal = [(r, total - r) for r in range(rows) if 0 <= total - r < columns]
        yield from (diagonal if total % 2 else reversed(diagonal))


ORDERS = {"rows": _by_rows, "snake": _snake, "shells": _shells, "zigzag": _zigzag}
"""MNSIM's placement orders 0, 1, 2 (shipped) and 3."""
