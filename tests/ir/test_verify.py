"""The verifier: every rule has a graph that breaks it alone, and the message names the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nasrec_ir import Graph, GraphBuilder, Node, ParamRef, TensorType, VerifyError, verify
from nasrec_ir.graph import AttrValue
from nasrec_ir.malformed import malformed
from nasrec_ir.verify import EXECUTABLE, MOST_PROBLEMS, STRUCTURE, problems, rule_stores
from tests.ir.random_graphs import random_graph

T = TensorType
X = Node("x", "input", (), (), (), T((4,)))
S = Node("s", "input", (), (), (), T((2,), "i64"))
WEIGHT = ParamRef("w", (3, 4))
TABLE = ParamRef("t", (5, 8))


def op(name: str, kind: str, inputs: tuple[str, ...], type_: TensorType, **attrs: AttrValue) -> Node:
    return Node(name, kind, inputs, tuple(attrs.items()), (), type_)


def linear(ref: ParamRef = WEIGHT, name: str = "y", out: int = 3, **extra: ParamRef) -> Node:
    params = (("weight", ref), *extra.items())
    return Node(name, "linear", ("x",), (("out", out),), params, T((out,)))


def graph(*nodes: Node, output: str = "", name: str = "g") -> Graph:
    return Graph(name, nodes, output or nodes[-1].id)


def embedding(**tables: ParamRef) -> Node:
    params = tuple((role.replace("_", "."), ref) for role, ref in tables.items())
    return Node("e", "embedding", ("s",), (("dim", 8),), params, T((2, 8)))


RELU = op("y", "relu", ("x",), T((4,)))

BROKEN: dict[str, tuple[Graph, str, str]] = {
    # rule: what breaks it, the node that is named, what is said
    "graph name": (graph(X, RELU, name="9g"), "", "graph name '9g' is not an identifier"),
    "id": (graph(X, replace(RELU, id="a b")), "", "id 'a b' is not an identifier"),
    "unicode id": (graph(X, replace(RELU, id="å")), "", "id 'å' is not an identifier"),
    "id with newline": (graph(X, replace(RELU, id="y\n")), "", r"id 'y\n' is not an identifier"),
    "long id": (graph(X, replace(RELU, id="y" * 201)), "", "is not an identifier"),
    "dotted argument": (graph(replace(X, id="a.b")), "a.b", "an argument's name must be a plain identifier"),
    "keyword argument": (graph(replace(X, id="class")), "class", "an argument's name must be a plain identifier"),
    "unknown op": (graph(X, op("y", "rleu", ("x",), T((4,)))), "y", "unknown op 'rleu'"),
    "missing operand": (graph(X, op("y", "relu", ("z",), T((4,)))), "y", "operand %z does not exist"),
    "order": (graph(X, op("y", "relu", ("z",), T((4,))), op("z", "relu", ("x",), T((4,)))), "y", "not defined before"),
    "cycle": (graph(X, op("y", "relu", ("z",), T((4,))), op("z", "relu", ("y",), T((4,)))), "y", "a cycle"),
    "itself": (graph(X, op("y", "relu", ("y",), T((4,)))), "y", "a cycle"),
    "output": (graph(X, RELU, output="z"), "", "output %z does not exist"),
    "no argument": (graph(op("z", "zeros", (), T((1,), live=(0, 0)), shape=(1,))), "", "a graph needs an argument"),
    "late argument": (graph(X, RELU, S), "s", "an argument must stand before all other nodes"),
    "argument with attributes": (graph(replace(X, attrs=(("keep", 1),))), "x", "has no operands, attributes or"),
    "argument partly zero": (graph(replace(X, type=T((4,), live=(0, 2)))), "x", "nothing of an argument is known"),
    "element kind": (graph(replace(X, type=T((4,), "f16"))), "x", "unknown element kind 'f16'"),
    "rank": (graph(replace(X, type=T((4, 4, 4)))), "x", "or more than two"),
    "negative axis": (graph(replace(X, type=T((-4,)))), "x", "has an axis outside of 0..2147483647"),
    "entries": (graph(replace(X, type=T((2**16, 2**16)))), "x", "holds more than 2147483647 entries"),
    "arity": (graph(X, op("y", "mul", ("x",), T((4,)))), "y", "mul: 1 operands where 2 are needed"),
    "no operand": (graph(X, op("y", "add", (), T((4,)))), "y", "0 operands where at least 1"),
    "unknown attribute": (graph(X, op("y", "relu", ("x",), T((4,)), slope=1)), "y", "unknown attribute 'slope'"),
    "attribute kind": (graph(X, op("y", "mask", ("x",), T((4,)), keep=-1)), "y", "keep = -1 must be an integer"),
    "written default": (
        graph(X, op("y", "slice", ("x",), T((4,)), start=0, stop=4)),
        "y",
        "start = 0 is the default and must be left out",
    ),
    "attribute order": (
        graph(X, op("y", "slice", ("x",), T((2,)), stop=3, start=1)),
        "y",
        "in the order start, stop",
    ),
    "attribute twice": (
        graph(X, Node("y", "slice", ("x",), (("stop", 2), ("stop", 2)), (), T((2,)))),
        "y",
        "written once each",
    ),
    "missing attribute": (graph(X, op("y", "mask", ("x",), T((4,)))), "y", "attribute keep is missing"),
    "type rule": (graph(X, op("y", "mask", ("x",), T((4,)), keep=5)), "y", "mask: keep = 5 exceeds the 4 units"),
    "declared type": (graph(X, op("y", "relu", ("x",), T((5,)))), "y", "type is f32[B, 5] but relu gives f32[B, 4]"),
    "declared live": (
        graph(X, op("y", "mask", ("x",), T((4,)), keep=2)),
        "y",
        "type is f32[B, 4] but mask gives f32[B, 4] live 0:2",
    ),
    "missing parameter": (graph(X, replace(linear(), params=())), "y", "parameter weight is missing"),
    "unknown parameter": (graph(X, linear(gain=WEIGHT)), "y", "linear has no parameter 'gain'"),
    "parameter twice": (
        graph(X, replace(linear(), params=(("weight", WEIGHT), ("weight", WEIGHT)))),
        "y",
        "a parameter is given twice",
    ),
    "parameter order": (
        graph(S, embedding(tables_1=TABLE, tables_0=TABLE)),
        "e",
        "parameters must stand in the order of the op table, not tables.1, tables.0",
    ),
    "slice shape": (graph(X, linear(ParamRef("w", (3, 5)))), "y", "weight selects [3, 5] of 'w', not [3, 4]"),
    "vector as matrix": (graph(X, linear(ParamRef("w", (12,)))), "y", "weight selects [12] of 'w', not [3, 4]"),
    "table width": (
        graph(S, embedding(tables_0=TABLE, tables_1=ParamRef("u", (5, 9)))),
        "e",
        "tables.1 selects [5, 9] of 'u', not [any, 8]",
    ),
    "parameter name": (graph(X, linear(ParamRef("", (3, 4)))), "y", "name '' must be printable"),
    "unprintable name": (graph(X, linear(ParamRef("w\n", (3, 4)))), "y", "must be printable"),
    "parameter shape": (graph(X, linear(ParamRef("w", (3, 4, 1)))), "y", "is not one or two sizes"),
    "rows overlap": (graph(X, linear(ParamRef("w", (9, 4), ((0, 2), (1, 2))))), "y", "rows [(0, 2), (1, 2)] are not"),
    "rows touch": (graph(X, linear(ParamRef("w", (9, 4), ((0, 2), (2, 3))))), "y", "ascending, disjoint, merged"),
    "rows outside": (graph(X, linear(ParamRef("w", (9, 4), ((7, 10),)))), "y", "within 0:9"),
    "empty columns range": (
        graph(X, linear(ParamRef("w", (3, 9), columns=((0, 4), (5, 5))))),
        "y",
        "columns [(0, 4), (5, 5)] are not",
    ),
    "columns of a vector": (
        graph(X, linear(bias=ParamRef("b", (3,), columns=((0, 1),)))),
        "y",
        "bias: a vector has no columns",
    ),
    "one name, two shapes": (
        graph(X, linear(), linear(ParamRef("w", (4, 4), ((0, 3),)), name="z")),
        "z",
        "w has shape [4, 4] here, [3, 4] elsewhere",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_alone(rule: str) -> None:
    broken, where, message = BROKEN[rule]
    with pytest.raises(VerifyError) as caught:
        verify(broken)
    assert message in str(caught.value)
    assert [(node, message in text) for node, text in caught.value.problems] == [(where, True)]
    assert where == "" or f"%{where}: " in str(caught.value)
    assert str(caught.value).startswith("graph ")


def executable(body: Callable[[GraphBuilder, str], str]) -> Graph:
    b = GraphBuilder("g")
    units = body(b, b.input("x", T((4,))))
    return b.finish(b.add("reshape", [b.add("linear", [units], id="last", out=1)], id="logit", shape=()))


def _dead(b: GraphBuilder, x: str) -> str:
    b.add("relu", [x], id="idle")
    return x


EXECUTABLE_BROKEN: dict[str, tuple[Graph, str, str]] = {
    "dead": (executable(_dead), "idle", "does not reach the output"),
    "mask": (
        executable(lambda b, x: b.add("sigmoid", [b.add("mask", [x], keep=2)])),
        "mask",
        "a mask is left; run the elide-zeros pass",
    ),
    "zero product": (
        executable(lambda b, x: b.add("pad", [x], size=6)),
        "last",
        "multiplies zeros of %pad; run the elide-zeros pass",
    ),
    "logit": (graph(X, RELU), "y", "the output is f32[B, 4], not one logit per sample"),
}


@pytest.mark.parametrize("rule", EXECUTABLE_BROKEN)
def test_each_rule_of_executable_graphs_alone(rule: str) -> None:
    broken, where, message = EXECUTABLE_BROKEN[rule]
    verify(broken)
    with pytest.raises(VerifyError) as caught:
        verify(broken, "executable")
    assert [(node, message in text) for node, text in caught.value.problems] == [(where, True)]


def test_a_good_graph_verifies_at_both_levels() -> None:
    good = executable(lambda b, x: b.add("relu", [x]))
    verify(good)
    verify(good, "executable")
    assert problems(good, "executable") == []


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_verify(seed: int) -> None:
    verify(random_graph(seed))


def test_nodes_of_an_earlier_graph_are_checked_again_where_their_operands_changed() -> None:
    first = graph(X, RELU, op("z", "relu", ("y",), T((4,))))
    verify(first)
    narrower = op("y", "slice", ("x",), T((2,)), stop=2)
    with pytest.raises(VerifyError, match=r"%z: type is f32\[B, 4\] but relu gives f32\[B, 2\]"):
        verify(graph(X, narrower, first["z"]), before=first)
    verify(graph(X, RELU, first["z"], op("w", "relu", ("z",), T((4,)))), before=first)


def test_an_earlier_graph_that_did_not_verify_vouches_for_nothing() -> None:
    broken = graph(X, op("y", "relu", ("x",), T((5,))))
    with pytest.raises(VerifyError, match="type is"):
        verify(Graph("h", broken.nodes, "y"), before=broken)


def test_all_problems_are_listed_at_once() -> None:
    broken = graph(X, op("a", "relu", ("x",), T((5,))), op("b", "mask", ("x",), T((4,))), linear(ParamRef("w", (1, 1))))
    with pytest.raises(VerifyError) as caught:
        verify(broken)
    assert [where for where, _ in caught.value.problems] == ["a", "b", "y"]
    assert all(f"%{where}: " in str(caught.value) for where in "aby")


def test_a_long_list_is_cut_in_the_message_but_carried_whole() -> None:
    nodes = [op(f"n{i}", "relu", ("x",), T((5,))) for i in range(40)]
    with pytest.raises(VerifyError, match="and 28 more") as caught:
        verify(graph(X, *nodes))
    assert len(caught.value.problems) == 40


def test_hostile_graphs_do_not_fill_memory_with_problems() -> None:
    ids = Node("s", "input", (), (), (), T((65536,), "i64"))
    nodes = [Node(f"e{i}", "embedding", ("s",), (("dim", 1),), (), T((65536, 1))) for i in range(3)]
    assert len(problems(graph(ids, *nodes))) == MOST_PROBLEMS


def test_two_nodes_of_one_id_are_refused_by_the_graph() -> None:
    with pytest.raises(VerifyError, match="two nodes are called 'x'"):
        graph(X, X)


def test_levels_are_known_by_name() -> None:
    with pytest.raises(VerifyError, match="level must be one of lowered, executable"):
        verify(graph(X, RELU), "runnable")  # type: ignore[arg-type]


def test_every_rule_is_exercised() -> None:
    """Each rule that stands alone finds something in the broken graphs above."""
    graphs = [broken for broken, _, _ in (*BROKEN.values(), *EXECUTABLE_BROKEN.values())]
    for rule in (*STRUCTURE, rule_stores, *EXECUTABLE):
        assert any(_finds(rule, broken) for broken in graphs), rule.__name__


def _finds(rule: Callable[[Graph], Any], broken: Graph) -> bool:
    try:
        return bool(list(rule(broken)))
    except (KeyError, IndexError):  # a graph that an earlier group refuses
        return False


WRONG: dict[str, tuple[Node, str]] = {
    "op": (replace(RELU, op=None), "op must be a string"),  # type: ignore[arg-type]
    "inputs list": (replace(RELU, inputs=["x"]), "inputs must be a tuple of ids"),  # type: ignore[arg-type]
    "inputs None": (replace(RELU, inputs=None), "inputs must be a tuple"),  # type: ignore[arg-type]
    "input number": (replace(RELU, inputs=(1,)), "inputs must be a tuple"),  # type: ignore[arg-type]
    "attrs dict": (replace(RELU, attrs={"a": 1}), "attrs must be a tuple"),  # type: ignore[arg-type]
    "attr value": (replace(RELU, attrs=(("a", None),)), "attrs must be a tuple"),  # type: ignore[arg-type]
    "attr key": (replace(RELU, attrs=((1, 1),)), "attrs must be a tuple"),  # type: ignore[arg-type]
    "huge attr": (replace(RELU, attrs=(("a", 10**5000),)), "attrs must be a tuple"),
    "params": (replace(RELU, params=((1, WEIGHT),)), "params must be a tuple"),  # type: ignore[arg-type]
    "ref": (replace(RELU, params=(("w", "w"),)), "params must be a tuple"),  # type: ignore[arg-type]
    "ref name": (linear(replace(WEIGHT, name=None)), "params must be a tuple"),  # type: ignore[arg-type]
    "ref rows": (linear(replace(WEIGHT, rows=[(0, 3)])), "params must be a tuple"),  # type: ignore[arg-type]
    "ref range": (linear(replace(WEIGHT, rows=((0, 3, 1),))), "params must be a tuple"),  # type: ignore[arg-type]
    "ref float": (linear(replace(WEIGHT, columns=((0, 4.0),))), "params must be a tuple"),  # type: ignore[arg-type]
    "type": (replace(RELU, type=(4,)), "type must be a TensorType"),  # type: ignore[arg-type]
    "bool size": (replace(RELU, type=T((True,))), "type must be a TensorType"),
    "float size": (replace(RELU, type=T((4.0,))), "type must be a TensorType"),  # type: ignore[arg-type]
    "list shape": (replace(RELU, type=T([4])), "type must be a TensorType"),  # type: ignore[arg-type]
    "huge size": (replace(RELU, type=T((10**5000,))), "type must be a TensorType"),
    "dtype": (replace(RELU, type=T((4,), None)), "type must be a TensorType"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("field", WRONG)
def test_fields_of_the_wrong_kind(field: str) -> None:
    node, message = WRONG[field]
    with pytest.raises(VerifyError) as caught:
        verify(graph(X, node))
    assert [(where, message in text) for where, text in caught.value.problems] == [("y", True)]


@pytest.mark.parametrize("value", [None, "graph", 3, [X, RELU], {"nodes": [X]}, RELU], ids=lambda v: type(v).__name__)
def test_what_is_no_graph(value: object) -> None:
    with pytest.raises(VerifyError, match="a graph is needed"):
        verify(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("nodes", [None, 3, [None], ["x"], [replace(X, id=[])]], ids=str)
def test_what_is_no_list_of_nodes(nodes: Any) -> None:
    with pytest.raises(VerifyError, match="nodes must be Node objects"):
        Graph("g", nodes, "x")


@pytest.mark.parametrize(("name", "output"), [(None, "x"), ("g", None), ("g", ["x"]), (3, "x")], ids=str)
def test_name_and_output_must_be_strings(name: Any, output: Any) -> None:
    with pytest.raises(VerifyError, match="must be a string"):
        verify(Graph(name, [X], output))


def test_a_subclass_of_node_is_no_node() -> None:
    class Fancy(Node):
        pass

    fancy = Fancy("y", "relu", ("x",), (), (), T((4,)))
    assert [text for _, text in malformed(graph(X, fancy))] == ["node 1 is no Node but a value of type Fancy"]
