"""Cost: figures by hand, and totals that are sums."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from nasrec_ir import OPS, Cost, GraphBuilder, NodeCost, ParamRef, TensorType, cost
from nasrec_ir.ops import attributes
from tests.ir.random_graphs import random_graph

T = TensorType


def node_cost(op: str, *operands: TensorType, **attrs: object) -> NodeCost:
    b = GraphBuilder("g")
    ids = [b.input(f"x{i}", t) for i, t in enumerate(operands)]
    rows = [100, 20, 3][: operands[0].shape[0]] if op == "embedding" else []
    graph = b.finish(b.add(op, ids, rows=rows, biased=True, **attrs))
    (node,) = cost(graph).nodes
    return node


def test_linear() -> None:
    node = node_cost("linear", T((10,)), T((3,)), out=4, norm=True)
    assert node.home == "crossbar"
    assert node.macs == 13 * 4
    assert node.parameters == 13 * 4 + 4 + 4 + 4
    assert node.parameter_bytes == 4 * node.parameters
    assert (node.read_bytes, node.written_bytes) == (13 * 4, 4 * 4)


def test_a_cut_writes_less_but_multiplies_all() -> None:
    """The norm needs every unit, so all rows are computed."""
    node = node_cost("linear", T((10,)), out=8, norm=True, keep=3)
    assert (node.macs, node.written_bytes) == (80, 12)


def test_field_linear_multiplies_for_every_channel() -> None:
    node = node_cost("field_linear", T((10, 16)), T((3, 16)), out=4)
    assert node.macs == 13 * 4 * 16
    assert node.parameters == 13 * 4 + 4


def test_channel_linear_multiplies_for_every_field() -> None:
    node = node_cost("channel_linear", T((10, 16)), out=48)
    assert node.macs == 10 * 16 * 48


def test_products_between_activations() -> None:
    assert node_cost("pairwise_dot", T((7, 16))).macs == 7 * 7 * 16, "the paper counts the full square"
    assert node_cost("self_attention", T((7, 48)), heads=8).macs == 2 * 7 * 7 * 16
    assert node_cost("pairwise_dot", T((7, 16))).home == "digital"


@pytest.mark.parametrize("op", ["factorization_machine", "relu", "sigmoid", "layer_norm"])
def test_element_wise_work_counts_no_macs(op: str) -> None:
    assert node_cost(op, T((7, 16))).macs == 0


def test_embedding_reads_rows_not_tables() -> None:
    node = node_cost("embedding", T((3,), "i64"), dim=16)
    assert node.home == "memory"
    assert (node.macs, node.parameters) == (0, 123 * 16)
    assert node.read_bytes == 3 * 8 + 3 * 16 * 4
    assert node.written_bytes == 3 * 16 * 4


def test_precision_shrinks_the_weight_alone() -> None:
    node = node_cost("linear", T((10,)), out=3, norm=True, weight_bits=4)
    scales = 4 * 3
    assert node.parameter_bytes == 30 * 4 // 8 + 4 * (3 + 3 + 3) + scales
    assert (node.weight_bits, node.act_bits) == (4, None)
    assert node_cost("linear", T((3,)), out=1, weight_bits=3).parameter_bytes == -(-3 * 3 // 8) + 4 + 4
    one = node_cost("linear", T((10,)), out=3, norm=True, weight_bits=4, act_bits=8, per_tensor=True)
    assert one.parameter_bytes == node.parameter_bytes - scales + 4 and one.act_bits == 8


def test_a_slice_costs_what_it_selects() -> None:
    b = GraphBuilder("g")
    weight = ParamRef("w", (100, 100), ((0, 2),), ((0, 3), (50, 51)))
    graph = b.finish(b.add("linear", [b.input("x", T((4,)))], params={"weight": weight}, out=2))
    assert cost(graph).parameters == 8


def small_model() -> Cost:
    b = GraphBuilder("g")
    dense, sparse = b.input("dense", T((13,))), b.input("sparse", T((3,), "i64"))
    raw = b.add("embedding", [sparse], dim=8, rows=[10, 20, 30])
    fc = b.add("linear", [dense], id="b0.fc", out=16)
    fields = b.add("field_linear", [raw], id="b2.efc", out=4)
    fm = b.add("factorization_machine", [fields], id="b2.fm")
    last = b.add("linear", [fc, fm], id="final", out=1, biased=True)
    return cost(b.finish(b.add("reshape", [last], id="logit", shape=())))


def test_a_small_model_by_hand() -> None:
    total = small_model()
    assert total.macs == 13 * 16 + 3 * 4 * 8 + (16 + 8)
    assert total.flops == 2 * total.macs
    assert total.embedding_parameters == 60 * 8
    assert total.parameters == 60 * 8 + 13 * 16 + 3 * 4 + 24 + 1
    assert total.parameter_bytes == 4 * total.parameters
    assert total.activation_bytes == 4 * (3 * 8 + 16 + 4 * 8 + 8 + 1 + 1)
    assert total.live_blocks == (0, 2)
    assert [node.id for node in total.nodes] == ["embedding", "b0.fc", "b2.efc", "b2.fm", "final", "logit"]


def test_names_that_look_like_blocks_but_are_none() -> None:
    b = GraphBuilder("g")
    x = b.input("b7", T((3,)))
    y = b.add("relu", [b.add("relu", [b.add("relu", [x], id="bias.x")], id="b1x.y")], id="b12.z")
    assert cost(b.finish(y)).live_blocks == (12,)


def test_plain_values_for_json() -> None:
    total = small_model()
    plain = json.loads(json.dumps(total.to_dict()))
    assert plain["macs"] == total.macs and plain["flops"] == total.flops and plain["live_blocks"] == [0, 2]
    assert plain["nodes"][1] == {f.name: getattr(total.nodes[1], f.name) for f in fields(NodeCost)}


@pytest.mark.parametrize("seed", range(40))
def test_totals_are_sums(seed: int) -> None:
    graph = random_graph(seed)
    total = cost(graph)
    assert [node.id for node in total.nodes] == [node.id for node in graph if node.op != "input"]
    assert total.macs == sum(n.macs for n in total.nodes)
    assert total.parameters == sum(n.parameters for n in total.nodes)
    assert total.parameter_bytes == sum(n.parameter_bytes for n in total.nodes)
    assert total.activation_bytes == sum(n.written_bytes for n in total.nodes)
    assert total.embedding_parameters == sum(n.parameters for n in total.nodes if n.op == "embedding")
    trained = (ref for key, ref in graph.parameters().items() if ".running_" not in key)
    assert total.parameters == sum(ref.elements for ref in trained)


@pytest.mark.parametrize("seed", range(40))
def test_macs_of_stored_products_are_entries_of_the_weight_times_vectors(seed: int) -> None:
    graph = random_graph(seed)
    for node, priced in zip((n for n in graph if n.op != "input"), cost(graph).nodes, strict=True):
        if (row := OPS[node.op]).matvec:
            weight = node.param("weight")
            operands = [graph[i].type for i in node.inputs]
            vectors = row.matvec(operands, attributes(node)).vectors
            assert weight is not None and priced.macs == weight.elements * vectors
