"""A graph on a chip: which tiles hold which matrix, and what digital units, memory and wires do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_ir import Graph
from nasrec_ir.ops import Home
from nasrec_ir.passes import Expand
from nasrec_pim.chip.mesh import distances, from_hub, mesh_of
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.cost_cache import Entry, Footprint, Key, cost_cache_of
from nasrec_pim.mapping.demand import Demand, demands_of
from nasrec_pim.mapping.layout import Hops, Layout, lay_out, prepare
from nasrec_pim.mapping.pack import Packed
from nasrec_pim.memory import Popularity

__all__ = ["MappedNode", "Mapping", "Stored", "map_graph", "map_graphs"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix on crossbars.

    Attributes:
        key: matrix, precisions and copies.
        footprint: elements, tiles and planes that it takes, alone.
        entry: cost for one vector.
        rounds: vectors that go through one copy per sample.
        tiles: numbers of the tiles that hold it.
        arrays: places that it shares with other matrices, by number; empty where it has its own.
        share: processing elements charged to it: its own, and its part of shared ones.
        hops: how far its vectors and results travel.
    """

    key: Key
    footprint: Footprint
    entry: Entry
    rounds: int
    tiles: tuple[int, ...]
    arrays: tuple[int, ...]
    share: float
    hops: Hops


@dataclass(frozen=True, slots=True)
class MappedNode:
    """A node with its home: `"crossbar"`, `"digital"`, `"memory"` or `"wire"` (moves and renames values, whose travel
    is charged where they arrive)."""

    demand: Demand
    stored: Stored | None

    @property
    def id(self) -> str:
        """The node."""
        return self.demand.id

    @property
    def home(self) -> Home:
        """Where it runs."""
        return self.demand.home


@dataclass(frozen=True)
class Mapping:
    """A graph on a chip.

    Attributes:
        name: the graph.
        outputs: nodes whose results leave the chip, wires followed back.
        hardware: the chip.
        nodes: every node but the inputs, by depth and id.
        tiles: tiles in use.
        pes: processing elements in use, all copies.
        packed: arrays that several matrices share.
        cells_used, cells_allocated: cells that hold weights, and all cells of the tiles in use.
    """

    name: str
    outputs: tuple[str, ...]
    hardware: Hardware
    nodes: tuple[MappedNode, ...]
    tiles: int
    pes: int
    packed: tuple[Packed, ...]
    cells_used: int
    cells_allocated: int

    @property
    def utilization(self) -> float:
        """Share of the cells of all tiles in use that hold weights."""
        return self.cells_used / self.cells_allocated if self.cells_allocated else 0.0

    def __getitem__(self, node_id: str) -> MappedNode:
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)


def map_graph(
    graph: Graph, hardware: Hardware, *, popularity: Dictionary[str, tuple[Popularity, ...]] | None = None
) -> Mapping:
    """Places every node of a verified graph, fused ones by the plain nodes that they stand for.

    Stored matrices (FC, EFC, dense-to-sparse, projections inside dot-product, attention and FM) go to crossbars, what
    follows them inside their node and products between activations to the digital units, tables to memory. Matrices
    that serve several vectors per sample get up to `mapping.copies` copies where that makes them faster, fewer if the
    chip is too small; with `mapping.packing` pieces that do not fill an array share one.

    Args:
        graph: the model.
        hardware: the chip.
        popularity: popularity of the rows of each table, by embedding node.

    Raises:
        MappingError: an op has no home, or the chip has too few tiles.
    """
    return map_graphs([graph], hardware, popularity=popularity)[0]


def map_graphs(
    graphs: Iterable[Graph],
    hardware: Hardware,
    *,
    popularity: Dictionary[str, tuple[Popularity, ...]] | None = None,
) -> list[Mapping]:
    """`map_graph` for many graphs, each on a chip of its own: what they ask for is looked up and costed together."""
    given = [Expand().apply(graph) for graph in graphs]
    demands = [demands_of(graph, hardware, popularity) for graph in given]
    stored = [[d for d in of_graph if d.matrix is not None] for of_graph in demands]
    prepare([d for of_graph in stored for d in of_graph], hardware)
    laid_out = [lay_out(of_graph, hardware) for of_graph in stored]
    placed = _stored(stored, laid_out, hardware)
    return [
        _mapping(graph, hardware, asked, layout, matrices)
        for graph, asked, (layout, _), matrices in zip(given, demands, laid_out, placed, strict=True)
    ]


def _mapping(
    graph: Graph,
    hardware: Hardware,
    demands: list[Demand],
    layout: Layout,
    placed: list[Stored],
) -> Mapping:
    by_id = dict(zip((d.id for d in demands if d.matrix is not None), placed, strict=True))
    cells = sum(s.key.inputs * s.key.outputs * s.footprint.planes * s.key.copies for s in placed)
    return Mapping(
        name=graph.name,
        outputs=_writers(graph, demands),
        hardware=hardware,
        nodes=tuple([MappedNode(demand, by_id.get(demand.id)) for demand in demands]),
        tiles=layout.tile_count,
        pes=layout.pes,
        packed=layout.packed,
        cells_used=cells * hardware.pe.polarity,
        cells_allocated=_cells(layout, hardware),
    )


def _stored(
    demands: Sequence[Sequence[Demand]], laid_out: Sequence[tuple[Layout, list[Key]]], hardware: Hardware
) -> list[list[Stored]]:
    """The matrices of each graph where its layout puts them, with costs and distances."""
    cost_cache = cost_cache_of(hardware)
    footprints = cost_cache.footprints(())
    # In a network all buffers are as large as the largest that a layer needs.
    classes = [_network_classes([footprints[key] for key in keys]) for _, keys in laid_out]
    entries: dict[tuple[int, int], dict[Key, Entry]] = {}
    for sizes in dict.fromkeys(classes):
        of_class = (key for (_, keys), own in zip(laid_out, classes, strict=True) if own == sizes for key in keys)
        entries[sizes] = cost_cache.entries(of_class, sizes)
    hops = iter(_hops(laid_out, hardware))
    return [
        [
            Stored(
                key=key,
                footprint=footprints[key],
                entry=entries[sizes][key],
                rounds=-(-demand.vectors // key.copies),
                tiles=layout.tiles[i],
                arrays=layout.arrays[i],
                share=layout.shares[i],
                hops=next(hops),
            )
            for i, (demand, key) in enumerate(zip(of_graph, keys, strict=True))
        ]
        for of_graph, (layout, keys), sizes in zip(demands, laid_out, classes, strict=True)
    ]


def _network_classes(footprints: Sequence[Footprint]) -> tuple[int, int]:
    inputs = max([f.input_class for f in footprints], default=0)
    return inputs, max([f.output_class for f in footprints], default=0)


def _hops(laid_out: Sequence[tuple[Layout, list[Key]]], hardware: Hardware) -> list[Hops]:
    """Distances of every matrix, graph by graph."""
    tiles = [held for layout, _ in laid_out for held in layout.tiles]
    if not tiles:
        return []
    mesh = mesh_of(hardware)
    every, starts = _joined(tiles)
    summed, summed_starts = every, starts
    if hardware.corrects("replication"):
        # A vector's results lie on the tiles of one copy.
        keys = (key for _, of_graph in laid_out for key in of_graph)
        one_copy = [held[: -(-len(held) // key.copies)] for held, key in zip(tiles, keys, strict=True)]
        summed, summed_starts = _joined(one_copy)
    nobody: list[list[int]] = [[]] * len(tiles)
    ways = distances(mesh, summed, summed_starts, nobody, np.ones(len(tiles), dtype=bool))
    columns = (from_hub(mesh, every, starts).tolist(), ways.merge.tolist(), ways.onward.tolist())
    return [Hops(*hops) for hops in zip(*columns, strict=True)]


def _joined(sets: Sequence[tuple[int, ...]]) -> tuple[Ints, Ints]:
    counts = np.array([len(s) for s in sets], dtype=np.int64)
    return np.array([tile for s in sets for tile in s], dtype=np.int64), np.cumsum(counts) - counts


def _writers(graph: Graph, demands: Sequence[Demand]) -> tuple[str, ...]:
    """What the graph's output comes from, wires followed back."""
    by_id = {d.id: d for d in demands}
    last = by_id.get(graph.output)
    if last is None:
        return ()
    return last.sources if last.home == "wire" else (last.id,)


def _cells(layout: Layout, hardware: Hardware) -> int:
    crossbars = layout.tile_count * hardware.tile.pe_count * hardware.pe.groups * hardware.pe.polarity
    return crossbars * hardware.crossbar.size**2
