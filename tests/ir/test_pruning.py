"""Removal of rows, columns and fields against the masked original; coupling; clear errors."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nasrec_ir import Graph, GraphBuilder, PruneError, TensorType, cost, dump, interpret, parse, verify
from nasrec_ir.interpret import take
from nasrec_ir.ops import attributes
from nasrec_ir.passes import OPTIMISE, Expand
from nasrec_ir.pruning import FIXED, Cut, Pruned, couple, remove
from tests.ir.masked import run_masked
from tests.ir.random_graphs import random_graph, random_inputs, random_parameters

Array = npt.NDArray[Any]
Rng = np.random.Generator

# The package's attributes of these names are what the modules are for.
coupling, removal = (importlib.import_module(f"nasrec_ir.pruning.{name}") for name in ("coupling", "remove"))


def kept_parameters(pruned: Pruned, graph: Graph, values: dict[str, Array]) -> dict[str, Array]:
    """What the pruned graph's parameters hold of the original ones."""
    found = {}
    for name, kept in pruned.kept.items():
        ref = graph[kept.node].param(kept.role)
        assert ref is not None
        found[name] = kept.take(take(values[ref.name], ref))
    return found


def agree(graph: Graph, cuts: dict[str, Cut], seed: int) -> Pruned:
    """Removes, and holds the result to the masked original, to the precision of float64."""
    pruned = remove(graph, cuts)
    values, inputs = random_parameters(graph, seed), random_inputs(graph, seed)
    want = run_masked(graph, values, inputs, cuts)
    got = interpret(pruned.graph, kept_parameters(pruned, graph, values), inputs)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11 * max(1.0, float(np.abs(want).max(initial=0))))
    verify(pruned.graph, "executable")
    assert parse(dump(pruned.graph)) == pruned.graph
    return pruned


def random_cuts(graph: Graph, rng: Rng) -> dict[str, Cut]:
    """Of each node that has rows some, independently: a third of the nodes, about a third of the rows."""
    cuts = {}
    for node in graph:
        rows = columns = 0
        if node.op in ("linear", "field_linear", "channel_linear"):
            rows = attributes(node)["out"]
        elif node.op in ("embedding", "pad", "zeros") or (node.op == "input" and node.type.dtype == "f32"):
            rows = node.type.shape[0]
        if node.op in ("linear", "field_linear"):
            columns = sum(graph[operand].type.shape[0] for operand in node.inputs)
        if rng.random() < 0.5:
            cuts[node.id] = Cut(_some(rows, rng), _some(columns, rng) if rng.random() < 0.5 else frozenset())
    return {node: cut for node, cut in cuts.items() if cut.rows or cut.columns}


def _some(count: int, rng: Rng) -> frozenset[int]:
    """About a third of them, never all."""
    chosen = np.flatnonzero(rng.random(count) < 0.3)
    return frozenset(map(int, chosen[: max(0, count - 1)]))


def executable(seed: int) -> Graph:
    return OPTIMISE.run(random_graph(seed, nodes=14))


def test_random_graphs_without_random_rows_and_columns_equal_the_masked_original() -> None:
    done = 0
    for seed in range(150):
        graph, rng = executable(seed), np.random.default_rng(seed)
        cuts = random_cuts(graph, rng)
        try:
            pruned = remove(graph, cuts)
        except PruneError:
            continue
        agree(graph, cuts, seed)
        done += bool(cuts) and cost(pruned.graph).macs < cost(graph).macs
    assert done >= 60


def test_nothing_cut_is_the_same_graph() -> None:
    for seed in range(40):
        graph = executable(seed)
        pruned = agree(graph, {}, seed)
        assert cost(pruned.graph).macs == cost(OPTIMISE.run(graph)).macs
        assert [node.op for node in pruned.graph] == [node.op for node in OPTIMISE.run(graph)]


def test_random_structures_of_random_graphs_equal_the_masked_original() -> None:
    done = 0
    for seed in range(150):
        graph = Expand().apply(executable(seed))
        coupling = couple(graph)
        leaving = np.flatnonzero(np.random.default_rng(seed).random(coupling.count) < 0.3)
        cuts = coupling.cuts(leaving)
        try:
            remove(graph, cuts)
        except PruneError:
            continue
        agree(graph, cuts, seed)
        done += len(leaving) > 0
    assert done >= 60


def small() -> Graph:
    """Two dense layers that are added up, a merger of their units into fields, and pairs of these."""
    b = GraphBuilder("small")
    dense, ids = b.input("dense", TensorType((3,))), b.input("sparse", TensorType((4,), "i64"))
    fields = b.add("embedding", [ids], id="fields", dim=2, rows=[5] * 4)
    units = [b.add("linear", [dense], id=name, out=8, norm=True) for name in ("left", "right")]
    added = b.add("add", units, id="added")
    merged = b.add("reshape", [added], id="merged", shape=(4, 2))
    pairs = b.add("pairwise_dot", [fields, merged], id="pairs")
    out = b.add("linear", [pairs, dense], id="out", out=1, biased=True)
    return b.finish(b.add("reshape", [out], id="logit", shape=()))


def test_structures_tie_what_is_added_and_what_a_field_is_made_of() -> None:
    coupling = couple(small())
    assert coupling.count == 3 + 4 + 4  # dense columns, fields, merged fields of two units from either layer
    np.testing.assert_array_equal(coupling.rows["left"], coupling.rows["right"])
    np.testing.assert_array_equal(coupling.rows["left"], np.repeat(coupling.rows["left"][::2], 2))
    assert set(coupling.rows["out"]) == {FIXED}
    assert coupling.columns["out"].shape == (28 + 3, 2)
    merged = coupling.rows["left"][0]
    assert (coupling.columns["out"] == merged).sum() == 7  # pairs of the first merged field with all others
    np.testing.assert_array_equal(coupling.columns["out"][28:, 1], [FIXED] * 3)


def test_a_structure_leaves_everywhere() -> None:
    graph = small()
    coupling = couple(graph)
    pruned = agree(graph, coupling.cuts([int(coupling.rows["dense"][1]), int(coupling.rows["fields"][0]),
                                         int(coupling.rows["left"][4])]), 0)  # fmt: skip
    refs = {f"{node.id}.{role}": ref.shape for node in pruned.graph for role, ref in node.params}
    assert refs["left.weight"] == refs["right.weight"] == (6, 2) and refs["left.norm_bias"] == (6,)
    assert refs["out.weight"] == (1, 6 * 5 // 2 + 2)
    assert [ref for ref in refs if ref.startswith("fields.")] == [f"fields.tables.{j}" for j in range(3)]
    assert pruned.kept["fields.tables.1"].role == "tables.1"  # the parameter's name is the original's
    assert [node.type for node in pruned.graph.inputs] == [node.type for node in graph.inputs]
    assert cost(pruned.graph).macs < cost(graph).macs


def test_one_layer_may_read_less_than_others() -> None:
    pruned = agree(small(), {"left": Cut(columns=frozenset({0}))}, 0)
    assert pruned.graph["left"].type.shape == (8,)
    refs = {node.id: ref.shape for node in pruned.graph for role, ref in node.params if role == "weight"}
    assert refs["left"] == (8, 2) and refs["right"] == (8, 3)


BAD = [
    ({"nothing": Cut(frozenset({0}))}, "no node %nothing"),
    ({"left": Cut(frozenset({8}))}, "%left: row 8 lies outside of its 8"),
    ({"left": Cut(columns=frozenset({3}))}, "%left: column 3 lies outside of its 3"),
    ({"added": Cut(frozenset({0}))}, "%added: add has no rows of its own"),
    ({"sparse": Cut(frozenset({0}))}, "%sparse: input has no rows of its own"),
    ({"fields": Cut(columns=frozenset({0}))}, "columns can be cut of linear and field_linear"),
    ({"left": Cut(frozenset(range(8)))}, "%left: 0 of its 8 units would be left, fewer than 1"),
    ({"dense": Cut(frozenset(range(3)))}, "%dense: nothing of it would be left"),
    ({"fields": Cut(frozenset(range(4)))}, "%fields: all of its fields would leave"),
    ({"out": Cut(columns=frozenset(range(31)))}, "%out: it would read nothing any more"),
]


@pytest.mark.parametrize(("cuts", "message"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_impossible_cuts_are_named(cuts: dict[str, Cut], message: str) -> None:
    with pytest.raises(PruneError, match=message):
        remove(small(), cuts)


def test_as_many_units_as_asked_for_are_kept() -> None:
    with pytest.raises(PruneError, match="%right: 3 of its 8 units would be left, fewer than 4"):
        remove(small(), {"right": Cut(frozenset(range(5)))}, min_units=4)
    remove(small(), {"right": Cut(frozenset(range(4)))}, min_units=4)


@pytest.mark.parametrize("op", ["pairwise_dot", "factorization_machine", "self_attention", "mul", "batch_norm"])
def test_an_op_without_a_rule_keeps_what_it_reads(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a new op needs none to be right: around it is pruned, through it is not."""
    for table in (coupling.RULES, removal.RULES):
        monkeypatch.delitem(table, op)
    done = 0
    for seed in range(100):
        graph = Expand().apply(executable(seed))
        structures = couple(graph)
        read = {operand for node in graph if node.op == op for operand in node.inputs}
        for operand in read & set(structures.rows):
            assert set(structures.rows[operand]) <= {FIXED}
        cuts = structures.cuts(np.flatnonzero(np.random.default_rng(seed).random(structures.count) < 0.3))
        try:
            remove(graph, cuts)
        except PruneError:
            continue
        agree(graph, cuts, seed)
        done += bool(cuts and read)
    assert done >= 10


def test_a_cut_of_what_an_op_without_a_rule_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(removal.RULES, "pairwise_dot")
    with pytest.raises(PruneError, match="%pairs: pairwise_dot needs all 4 rows of %fields; keep them"):
        remove(small(), {"fields": Cut(frozenset({0}))})
