"""Graphs: immutable, comparable, with a networkx graph behind them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import networkx as nx
import pytest

from nasrec_ir import Graph, ParamRef, TensorType, VerifyError, parse, verify
from tests.ir.random_graphs import random_graph

GRAPH = parse(
    """
    graph g(%x: f32[B, 4], %unused: i64[B, 1]) -> f32[B, 4] {
      %a = linear(%x) {out = 4} [weight = "w"[4, 4], bias = "b"[4]] : f32[B, 4]
      %b0.r = relu(%a) : f32[B, 4]
      %dead = sigmoid(%b0.r) : f32[B, 4]
      %c = add(%b0.r, %a, %a) : f32[B, 4]
      return %c
    }
    """
)


def test_access() -> None:
    assert GRAPH["a"].op == "linear" and "a" in GRAPH and "z" not in GRAPH and len(GRAPH) == 6
    assert [node.id for node in GRAPH.inputs] == ["x", "unused"]
    assert GRAPH.type == TensorType((4,))
    assert GRAPH["b0.r"].scope == "b0"
    assert GRAPH.parameters() == {"a.weight": ParamRef("w", (4, 4)), "a.bias": ParamRef("b", (4,))}
    assert repr(GRAPH) == "<Graph g: 6 nodes>"


def test_users_and_what_is_live() -> None:
    assert GRAPH.users["a"] == ("b0.r", "c")
    assert GRAPH.users["c"] == GRAPH.users["unused"] == ()
    assert GRAPH.live_ids() == {"x", "a", "b0.r", "c"}


def test_equality_is_of_name_nodes_and_output() -> None:
    assert Graph("g", GRAPH.nodes, "c") == GRAPH and hash(Graph("g", GRAPH.nodes, "c")) == hash(GRAPH)
    assert Graph("h", GRAPH.nodes, "c") != GRAPH
    assert Graph("g", GRAPH.nodes, "dead") != GRAPH
    assert Graph("g", GRAPH.nodes[:-1], "dead") != GRAPH
    assert GRAPH != "g"


@pytest.mark.parametrize("seed", range(5))
def test_the_networkx_view(seed: int) -> None:
    graph = random_graph(seed)
    view = graph.digraph
    assert list(view) == [node.id for node in graph]
    assert nx.is_directed_acyclic_graph(view)
    assert set(view.edges) == {(operand, node.id) for node in graph for operand in node.inputs}
    assert all(view.nodes[node.id]["node"] is node for node in graph)
    assert nx.ancestors(view, graph.output) | {graph.output} == graph.live_ids()


@pytest.mark.parametrize("name", ["name", "nodes", "output", "anything"])
def test_graphs_cannot_be_changed(name: str) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        setattr(GRAPH, name, "h")
    with pytest.raises(AttributeError, match="immutable"):
        delattr(GRAPH, name)


def test_copies_are_equal_and_verify() -> None:
    for twin in (copy.copy(GRAPH), copy.deepcopy(GRAPH), pickle.loads(pickle.dumps(GRAPH))):
        assert twin == GRAPH and twin.users == GRAPH.users
        verify(twin)


def test_what_verified_is_remembered_for_this_graph_and_level_alone() -> None:
    graph = Graph(GRAPH.name, GRAPH.nodes, GRAPH.output)
    verify(graph)
    with pytest.raises(VerifyError, match="does not reach the output"):
        verify(graph, "executable")
    verify(graph)
    broken = Graph(graph.name, [*graph.nodes[:-1], replace(graph["c"], inputs=("z",))], "c")
    for _ in range(2):
        with pytest.raises(VerifyError, match="operand %z does not exist"):
            verify(broken)
