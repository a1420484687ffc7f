"""From a graph to tiles: every node has a home, nothing depends on the order of nodes, arrays are shared soundly."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nasrec
from nasrec import presets
from nasrec_ir import Graph, GraphBuilder, TensorType
from nasrec_ir.ops import OPS
from nasrec_ir.passes import Expand
from nasrec_pim import Hardware, MappingError, estimate, linear_cost, map_graph
from nasrec_pim import presets as hardware_presets
from nasrec_pim.mapping.book import Key
from nasrec_pim.mapping.layout import choose_copies
from nasrec_pim.mapping.pack import Pieces, pack


def published(name: str) -> Graph:
    return Expand().apply(nasrec.graph_of(presets.load(name), presets.PRESETS[name].features()))


def shuffled(graph: Graph, seed: int) -> Graph:
    """The same graph with its nodes in another topological order."""
    rng = random.Random(seed)
    left = {node.id: set(node.inputs) for node in graph}
    order = []
    while left:
        chosen = rng.choice(sorted(i for i, needs in left.items() if not needs))
        order.append(graph[chosen])
        del left[chosen]
        for needs in left.values():
            needs.discard(chosen)
    return Graph(graph.name, order, graph.output)


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.parametrize("chip", hardware_presets())
def test_every_node_has_a_home(name: str, chip: str) -> None:
    graph, hardware = published(name), Hardware.preset(chip)
    mapping = map_graph(graph, hardware)
    assert {n.id for n in mapping.nodes} == {node.id for node in graph if node.op != "input"}
    for node in mapping.nodes:
        if hardware.mapping.matrix_home == "crossbar":
            assert node.home == OPS[node.demand.op].home
        assert (node.stored is not None) == (node.home == "crossbar")
        assert node.home != "digital" or node.demand.work.moved > 0
        assert (node.demand.tables is not None) == (node.home == "memory")
        if node.stored is not None:
            assert node.stored.tiles and max(node.stored.tiles) < mapping.tiles
            assert node.demand.work.passes >= 1  # rescaling, bias and what follows is never free


def test_fused_nodes_are_mapped_as_what_they_stand_for() -> None:
    fused = nasrec.graph_of(presets.load("criteo-full"), presets.PRESETS["criteo-full"].features())
    assert any(OPS[node.op].expand is not None for node in fused if node.op != "input")
    hardware = Hardware.preset("default")
    assert map_graph(fused, hardware) == map_graph(published("criteo-full"), hardware)


def test_an_embedded_fc_is_one_small_matrix_with_copies() -> None:
    mapping = map_graph(published("criteo-full"), Hardware.preset("default"))
    efc = mapping["b1.efc"]
    assert efc.stored is not None and efc.demand.matrix is not None
    assert (efc.demand.matrix.inputs, efc.demand.matrix.outputs, efc.demand.vectors) == (26, 64, 16)
    assert efc.stored.key.copies * efc.stored.rounds >= 16 > efc.stored.rounds


def test_the_genotypes_precisions_are_programmed() -> None:
    genotype = presets.load("criteo-small")
    blocks = tuple(replace(b, operator_bits=(4,) * len(b.operators)) for b in genotype.blocks)
    graph = nasrec.graph_of(replace(genotype, blocks=blocks), presets.PRESETS["criteo-small"].features())
    mapping = map_graph(graph, Hardware.mnsim())
    fc = next(n for n in mapping.nodes if n.id.endswith(".fc"))
    assert fc.stored is not None and fc.stored.key.weight_bits == 4
    wide = map_graph(published("criteo-small"), Hardware.mnsim())
    assert mapping.pes < wide.pes


def test_the_graphs_precision_of_activations_drives_the_arrays() -> None:
    genotype = presets.load("criteo-small")
    blocks = tuple(replace(b, activation_bits=(4,) * len(b.operators)) for b in genotype.blocks)
    graph = nasrec.graph_of(replace(genotype, blocks=blocks), presets.PRESETS["criteo-small"].features())
    found = {n.id: n.stored.key.act_bits for n in map_graph(graph, Hardware.mnsim()).nodes if n.stored is not None}
    assert {bits for node, bits in found.items() if node.endswith((".fc", ".efc"))} == {4}
    assert found["final"] == 8, "the hardware's own precision elsewhere"
    fewer, more = (estimate(map_graph(g, Hardware.mnsim())) for g in (graph, published("criteo-small")))
    assert fewer.latency_ns < more.latency_ns and fewer.energy_nJ < more.energy_nJ


@pytest.mark.parametrize("chip", hardware_presets())
def test_the_order_of_nodes_changes_nothing(chip: str) -> None:
    graph, hardware = published("criteo-full"), Hardware.preset(chip)
    report = estimate(map_graph(graph, hardware))
    for seed in range(3):
        other = shuffled(graph, seed)
        assert [n.id for n in other] != [n.id for n in graph]
        assert estimate(map_graph(other, hardware)).to_dict() == report.to_dict()


def test_without_packing_layers_lie_side_by_side_as_mnsim_has_them() -> None:
    mapping = map_graph(published("criteo-small"), Hardware.mnsim())
    next_tile = 0
    for node in mapping.nodes:
        if node.stored is not None:
            cost = linear_cost(node.stored.key.inputs, node.stored.key.outputs, node.stored.key.weight_bits)
            assert node.stored.tiles == tuple(range(next_tile, next_tile + cost.tiles))
            next_tile += cost.tiles
    assert mapping.tiles == next_tile


def test_packing_shares_arrays_without_overlap() -> None:
    rng = np.random.default_rng(0)
    size = 64
    pieces = [
        Pieces(owner, *(int(n) for n in rng.integers(1, size + 1, 2)), int(rng.integers(1, 4))) for owner in range(60)
    ]
    arrays = pack(pieces, size)
    assert sorted(b[:3] for a in arrays for b in a.blocks) == sorted(p[:3] for p in pieces for _ in range(p.times))
    for array in arrays:
        assert len({b.owner for b in array.blocks}) == len(array.blocks)
        cells = np.zeros((size, size), dtype=int)
        for block in array.blocks:
            cells[block.top : block.top + block.rows, block.left : block.left + block.columns] += 1
            assert block.top + block.rows <= size and block.left + block.columns <= size
        assert cells.max() == 1 and cells.sum() == array.cells
    shuffled_pieces = [pieces[i] for i in rng.permutation(len(pieces))]
    assert pack(shuffled_pieces, size) == arrays


def test_packing_needs_fewer_tiles_and_charges_every_element_once() -> None:
    graph, hardware = published("criteo-full"), Hardware.preset("default")
    packed, apart = (map_graph(graph, hardware.override(f"mapping.packing={flag}")) for flag in ("true", "false"))
    assert packed.pes < apart.pes and packed.utilisation > apart.utilisation
    for mapping in (packed, apart):
        assert sum(n.stored.share for n in mapping.nodes if n.stored) == pytest.approx(mapping.pes)
        assert 0 < mapping.utilisation <= 1


@pytest.mark.parametrize("chip", ["mnsim", "default", "isaac-like"])
def test_more_copies_never_slow_a_layer(chip: str) -> None:
    base = Hardware.preset(chip)
    for inputs, outputs, vectors in ((26, 64, 16), (16, 48, 64), (300, 200, 48), (13, 7, 5)):
        times = []
        for limit in (1, 2, 3, 4, 8, 16, 64):
            hardware = base.override(f"mapping.copies={limit}", "mapping.packing=false")
            report = estimate(map_graph(one_layer(inputs, outputs, vectors), hardware))
            task = next(t for t in report.tasks if t.stage == "matrix")
            times.append(task.duration_ns)
        assert all(late <= early * (1 + 1e-12) for early, late in pairwise(times)), times
    question = (Key(26, 64, 8, 8, 1), 16)
    assert choose_copies([question], 16, Hardware.preset("default"))[question].copies > 1


def one_layer(fields: int, out: int, channels: int) -> Graph:
    """An EFC over `channels` vectors of `fields` entries."""
    build = GraphBuilder("one")
    ids = build.input("sparse", TensorType((fields,), "i64"))
    embedding = build.add("embedding", [ids], rows=[10] * fields, dim=channels)
    return build.finish(build.add("field_linear", [embedding], out=out))


def test_a_chip_that_is_too_small_takes_fewer_copies_and_then_is_an_error() -> None:
    graph = published("criteo-small")
    hardware = Hardware.preset("default").override("mapping.copies=64")
    wide = map_graph(graph, hardware)
    tight = map_graph(graph, hardware.override("noc.grid=8x4"))
    assert tight.tiles <= 32 < wide.tiles
    with pytest.raises(MappingError, match=r"tiles are needed, default has 1 x 1 = 1; enlarge noc.grid"):
        map_graph(graph, hardware.override("noc.grid=1x1"))
