"""Which processing elements and tiles hold each matrix, and how often it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nasrec_pim.chip.mesh import check_room, distances, from_hub, mesh_of
from nasrec_pim.chip.network import hop_ns
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.cost_cache import Entry, Footprint, Key, cost_cache_of
from nasrec_pim.mapping.demand import Demand
from nasrec_pim.mapping.pack import Packed, Pieces, pack

__all__ = ["Hops", "Layout", "choose_copies", "lay_out", "matrix_ns", "prepare"]


@dataclass(frozen=True)
class Layout:
    """Where matrices lie; lists over them.

    Attributes:
        tiles: numbers of the tiles of each, ascending.
        arrays: numbers of the shared places that each has a block in.
        shares: processing elements charged to each.
        packed: the shared places.
        pes: processing elements in use.
        tile_count: tiles in use.
    """

    tiles: list[tuple[int, ...]]
    arrays: list[tuple[int, ...]]
    shares: list[float]
    packed: tuple[Packed, ...]
    pes: int
    tile_count: int


def prepare(demands: Sequence[Demand], hardware: Hardware) -> None:
    """Answers in one pass what `lay_out` will ask for these demands, of whichever graphs."""
    chosen = choose_copies([_question(demand) for demand in demands], hardware.mapping.copies, hardware)
    cost_cache_of(hardware).footprints(chosen[_question(demand)] for demand in demands)


def lay_out(demands: Sequence[Demand], hardware: Hardware) -> tuple[Layout, list[Key]]:
    """Stores matrices, in the order given, with as many copies as pay and fit.

    Raises:
        MappingError: the chip has too few tiles for one copy of each.
    """
    limit = hardware.mapping.copies
    while True:
        chosen = choose_copies([_question(demand) for demand in demands], limit, hardware)
        keys = [chosen[_question(demand)] for demand in demands]
        layout = (_packed if hardware.mapping.packing else _side_by_side)(keys, hardware)
        if layout.tile_count <= hardware.noc.tiles or limit == 1:
            break
        limit = max(1, limit // 2)
    check_room(layout.tile_count, hardware)
    return layout, keys


def _question(demand: Demand) -> tuple[Key, int]:
    assert demand.matrix is not None
    return demand.matrix, demand.vectors


def choose_copies(questions: Iterable[tuple[Key, int]], limit: int, hardware: Hardware) -> dict[tuple[Key, int], Key]:
    """Copies, at most `limit`, with which vectors get through a matrix soonest; the fewest of equals.

    Every number is tried that saves a round. More copies are never chosen where they would be slower, which they can
    be: copies share the output buffers of their tiles, and lie farther apart. Answers are remembered, as searches meet
    the same matrices again and again.

    Args:
        questions: matrices, each with its vectors per sample.
        limit: most copies.
        hardware: the chip.

    Returns:
        The matrix with its copies for each question, of at least these.
    """
    known: dict[tuple[Key, int], Key] = hardware.memo.setdefault(("copies", limit), {})
    missing = sorted({question for question in questions if question not in known})
    choices = {
        (key, vectors): [key._replace(copies=n) for n in _worthwhile(vectors, limit)] for key, vectors in missing
    }
    cost_cache = cost_cache_of(hardware)
    footprints = cost_cache.footprints(key for keys in choices.values() for key in keys)
    by_class: dict[tuple[int, int], list[tuple[Key, int]]] = {}
    for question in missing:
        alone = footprints[question[0]]
        by_class.setdefault((alone.input_class, alone.output_class), []).append(question)
    for classes, asked in by_class.items():
        entries = cost_cache.entries((key for question in asked for key in choices[question]), classes)
        for question in asked:
            times = [_alone_ns(key, question[1], footprints[key], entries[key], hardware) for key in choices[question]]
            known[question] = choices[question][times.index(min(times))]
    return known


def _worthwhile(vectors: int, limit: int) -> list[int]:
    """Numbers of copies that save a round over the next smaller one."""
    return sorted({copies for rounds in range(1, vectors + 1) if (copies := -(-vectors // rounds)) <= limit})


def _alone_ns(key: Key, vectors: int, footprint: Footprint, entry: Entry, hardware: Hardware) -> float:
    """Time of all vectors of a sample, if the matrix had the chip for itself."""
    if footprint.tiles > hardware.noc.tiles:
        return float("inf")
    hops = _hops_alone(key, footprint, hardware)
    return matrix_ns(key, footprint, entry, -(-vectors // key.copies), hops, hardware)[0]


class Hops(NamedTuple):
    """How far vectors travel: to the matrix, while results are summed over tiles, and back to the digital units."""

    deliver: float
    merge: float
    collect: float


def matrix_ns(
    key: Key, footprint: Footprint, entry: Entry, rounds: int, hops: Hops, hardware: Hardware
) -> tuple[float, float]:
    """Duration of all vectors of a sample in a matrix, and for how long it cannot serve the next sample.

    A vector arrives, passes the arrays, is summed over tiles, and leaves. Vectors follow one another, or overlap with
    `mapping.overlap_vectors`: then each takes the time of the longest stage.
    """
    deliver = hop_ns(key.inputs * key.act_bits, hops.deliver, hardware)
    summed_bits = footprint.columns * footprint.pes_per_tile * key.act_bits
    merge = hop_ns(summed_bits, hops.merge, hardware, router=True)
    collect = hop_ns(key.outputs * key.act_bits, hops.collect, hardware)
    first = deliver + entry.latency_ns + merge + collect
    if not hardware.mapping.overlap_vectors:
        return rounds * first, rounds * first
    interval = max(deliver, entry.interval_ns, merge, collect)
    return first + (rounds - 1) * interval, rounds * interval


def _hops_alone(key: Key, footprint: Footprint, hardware: Hardware) -> Hops:
    """Distances if the matrix had the chip for itself."""
    summed = -(-footprint.tiles // key.copies) if hardware.corrects("replication") else footprint.tiles
    known: dict[tuple[int, int], Hops] = hardware.memo.setdefault("hops alone", {})
    if (footprint.tiles, summed) not in known:
        mesh, alone = mesh_of(hardware), np.zeros(1, dtype=np.int64)
        ways = distances(mesh, np.arange(summed), alone, [[]], np.ones(1, dtype=bool))
        deliver = from_hub(mesh, np.arange(footprint.tiles), alone)
        known[footprint.tiles, summed] = Hops(float(deliver[0]), float(ways.merge[0]), float(ways.onward[0]))
    return known[footprint.tiles, summed]


def _side_by_side(keys: Sequence[Key], hardware: Hardware) -> Layout:
    """Every matrix begins a tile of its own, as in MNSIM."""
    footprints = cost_cache_of(hardware).footprints(keys)
    tiles, start = [], 0
    for key in keys:
        count = footprints[key].tiles
        tiles.append(tuple(range(start, start + count)))
        start += count
    pes = [footprints[key].pes for key in keys]
    return Layout(tiles, [()] * len(keys), [float(n) for n in pes], (), sum(pes), start)


def _packed(keys: Sequence[Key], hardware: Hardware) -> Layout:
    """Full blocks in elements of their own; blocks that fill no array share, where they have equally many planes."""
    size, per_tile = hardware.crossbar.size, hardware.tile.pe_count
    footprints = cost_cache_of(hardware).footprints(keys)
    partial: dict[int, list[Pieces]] = {}
    full = []
    for owner, key in enumerate(keys):
        full_rows, rest_rows = divmod(key.inputs, size)
        full_columns, rest_columns = divmod(key.outputs, size)
        full.append(full_rows * full_columns * key.copies)
        pieces = partial.setdefault(footprints[key].planes, [])
        if rest_rows and full_columns:
            pieces.append(Pieces(owner, rest_rows, size, full_columns * key.copies))
        if rest_columns and full_rows:
            pieces.append(Pieces(owner, size, rest_columns, full_rows * key.copies))
        if rest_rows and rest_columns:
            pieces.append(Pieces(owner, rest_rows, rest_columns, key.copies))
    packed = tuple(array for planes in sorted(partial) for array in pack(partial[planes], size))
    sets_of = [footprints[keys[array.blocks[0].owner]].plane_sets for array in packed]

    arrays: list[list[int]] = [[] for _ in keys]
    shares = [float(count * footprints[key].plane_sets) for count, key in zip(full, keys, strict=True)]
    for number, (array, sets) in enumerate(zip(packed, sets_of, strict=True)):
        cells = array.cells
        for block in array.blocks:
            arrays[block.owner].append(number)
            shares[block.owner] += sets * (block.rows * block.columns / cells)

    # Elements are numbered matrix by matrix; a shared one where the first of its matrices stands.
    tiles_of: dict[int, range] = {}
    tiles, next_pe = [], 0
    for owner, key in enumerate(keys):
        held = set(_tiles(next_pe, full[owner] * footprints[key].plane_sets, per_tile))
        next_pe += full[owner] * footprints[key].plane_sets
        for number in arrays[owner]:
            if number not in tiles_of:
                tiles_of[number] = _tiles(next_pe, sets_of[number], per_tile)
                next_pe += sets_of[number]
            held.update(tiles_of[number])
        tiles.append(tuple(sorted(held)))
    # A place that only one matrix uses is no conflict with others.
    shared = {number for number, array in enumerate(packed) if len(array.blocks) > 1}
    conflicts = [tuple(n for n in found if n in shared) for found in arrays]
    return Layout(tiles, conflicts, shares, packed, next_pe, -(-next_pe // per_tile))


def _tiles(first_pe: int, count: int, per_tile: int) -> range:
    """Tiles of consecutive elements."""
    return range(first_pe // per_tile, (first_pe + count - 1) // per_tile + 1) if count else range(0)
