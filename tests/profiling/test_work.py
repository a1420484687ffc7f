"""Work of a node: multiply-accumulates and bytes, by hand."""

from __future__ import annotations

import nasrec
import nasrec_ir
from nasrec import FeatureSpec, Genotype
from nasrec.profiling.work import NO_WORK, NodeWork, Work, node_work
from nasrec_ir import GraphBuilder, TensorType

B = 10
NOWHERE: tuple[set[str], set[str]] = (set(), set())


def test_products_with_raw_and_with_computed_operands() -> None:
    """The raw features need no gradient: no product for it, no bytes written."""
    b = GraphBuilder("g")
    dense = b.input("dense", TensorType((13,)))
    first = b.add("linear", [dense], id="first", out=4, biased=True)
    second = b.add("linear", [dense, first], id="second", out=2)
    work = node_work(b.finish(second), B, NOWHERE)
    stored = 4 * (13 * 4 + 4)
    assert work["first"].forward == Work(B * 13 * 4, B * 4 * (13 + 4) + stored)
    # reads operand, parameters, gradient of the result; writes gradients of the parameters
    assert work["first"].backward == Work(B * 13 * 4, B * 4 * (13 + 4) + 2 * stored)
    stored = 4 * 17 * 2
    assert work["second"].forward == Work(B * 17 * 2, B * 4 * (17 + 2) + stored)
    # all 17 columns of the matrix's gradient, 4 columns of the operands'
    assert work["second"].backward == Work(B * (17 + 4) * 2, B * 4 * (17 + 4 + 2) + 2 * stored)


def test_products_of_activations_are_twice_as_many_backward() -> None:
    b = GraphBuilder("g")
    sparse = b.input("sparse", TensorType((3,), "i64"))
    fields = b.add("embedding", [sparse], id="fields", rows=[50, 60, 70], dim=8)
    work = node_work(b.finish(b.add("pairwise_dot", [fields], id="pairs")), B, NOWHERE)
    assert work["pairs"].forward == Work(B * 3 * 3 * 8, B * 4 * (24 + 3))
    assert work["pairs"].backward == Work(B * 2 * 3 * 3 * 8, B * 4 * (24 + 24 + 3))
    # of the tables only rows looked up: ids and rows read, rows written; backward as many
    assert work["fields"] == NodeWork(Work(0, B * (3 * 8 + 24 * 4 + 24 * 4)), Work(0, B * (3 * 8 + 24 * 4 + 24 * 4)))


def test_nothing_is_trained_before_the_first_parameter() -> None:
    b = GraphBuilder("g")
    dense = b.input("dense", TensorType((13,)))
    graph = b.finish(b.add("linear", [b.add("relu", [dense], id="relu")], id="final", out=1))
    work = node_work(graph, B, NOWHERE)
    assert work["relu"] == NodeWork(Work(0, B * 4 * 26), NO_WORK)
    assert work["final"].backward.macs == work["final"].forward.macs


def test_an_operand_read_twice_counts_twice() -> None:
    b = GraphBuilder("g")
    x = b.add("linear", [b.input("dense", TensorType((13,)))], id="x", out=5)
    work = node_work(b.finish(b.add("mul", [x, x], id="square")), B, NOWHERE)
    assert work["square"].forward == Work(0, B * 4 * 15)
    assert work["square"].backward == Work(0, B * 4 * (10 + 10 + 5))


def test_still_nodes_move_nothing(genotype: Genotype, features: FeatureSpec) -> None:
    graph = nasrec.graph_of(genotype, features)
    plain = node_work(graph, B, NOWHERE)
    spared = node_work(graph, B, ({"flat", "final"}, {"flat"}))
    assert plain["flat"].forward.moved_bytes > 0 and spared["flat"] == NodeWork(NO_WORK, NO_WORK)
    assert spared["final"] == NodeWork(Work(plain["final"].forward.macs, 0), plain["final"].backward)
    assert {key: plain[key] for key in plain if key not in ("flat", "final")} == {
        key: spared[key] for key in spared if key not in ("flat", "final")
    }


def test_macs_are_those_of_the_cost_table(genotype: Genotype, features: FeatureSpec) -> None:
    graph = nasrec.graph_of(genotype, features)
    work = node_work(graph, B, NOWHERE)
    assert list(work) == [node.id for node in graph if node.op != "input"]
    assert sum(own.forward.macs for own in work.values()) == B * nasrec_ir.cost(graph).macs
    for node_id, own in work.items():
        assert own.backward.macs <= 2 * own.forward.macs, node_id
