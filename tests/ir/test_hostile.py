"""Hostile texts and objects: whatever is thrown at the IR, it answers with one clear error of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_ir import Graph, NasrecError, Node, ParamRef, TensorType, VerifyError, dump, parse, verify
from nasrec_ir.codegen import generate
from nasrec_ir.ops import OPS
from nasrec_ir.passes import OPTIMIZE
from tests.ir.random_graphs import random_graph

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|%?[A-Za-z_][A-Za-z0-9_.]*|->|-?[0-9.]+(?:e[+-]?[0-9]+)?|\s+|.')
TEXTS = [dump(random_graph(seed, nodes=5)) for seed in range(8)]
TEXTS += [dump(OPTIMIZE.run(random_graph(seed, nodes=9))) for seed in range(8)]
TOKENS = [TOKEN.findall(text) for text in TEXTS]

NASTY = st.sampled_from(
    [
        *(
            "0",
            "1",
            "-1",
            "00",
            "2147483647",
            "2147483648",
            "9" * 20,
            "9" * 5000,
            "1e5",
            "1.5",
            "1e999",
            "-0.0",
            "0x10",
        ),
        *("%dense", "%sparse", "%nowhere", "%__import__", "%a..b", "%", "%%", "%é", "%class", "%self.x", "%B"),
        *("graph", "return", "live", "none", "true", "false", "B", "f32", "i64", "f64", "input", *OPS),
        *("(", ")", "[", "]", "{", "}", ",", ":", "|", "=", "->", "#", '"', "\\", "'", "(" * 300, "[" * 300, "{" * 300),
        *('"w"', '""', '"\\u0000"', '"\\ud800"', '"\\', '"' + "w" * 300 + '"', '"%s%n{0}"', '"é"', '"\u202e"'),
        *(
            "é",
            "\x00",
            "\ufeff",
            "\u2028",
            "😀",
            "\t",
            "\n",
            "\r",
            ";",
            "__import__('os').system('true')",
            "$(x)",
            "`x`",
        ),
        *("keep", "out", "shape", "norm", "eps", "nan", "inf", "weight", "bias", "tables.0", "tables.99999"),
    ]
)


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    """A good text after a few changes of tokens."""
    tokens = list(draw(st.sampled_from(TOKENS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(tokens) - 1))
        other = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["delete", "insert", "replace", "double", "swap", "cut", "move"])):
            case "delete":
                del tokens[place]
            case "insert":
                tokens.insert(place, draw(NASTY))
            case "replace":
                tokens[place] = draw(NASTY)
            case "double":
                tokens.insert(place, tokens[other])
            case "swap":
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case "cut":
                tokens = tokens[: place + 1]
            case "move":
                low, high = sorted((place, other))
                tokens = tokens[:low] + tokens[high:] + tokens[low:high]
        tokens = tokens or [""]
    return "".join(tokens)


def answer(text: str) -> None:
    """The text is a graph that all else takes, or it is refused in one line."""
    graph, refusal = attempt(parse, text)
    if refusal is None:
        holds_up(graph)


def attempt(step: Callable[..., Any], *arguments: Any) -> tuple[Any, NasrecError | None]:
    """What a step gives, or its refusal, which is one line of bounded length."""
    try:
        return step(*arguments), None
    except NasrecError as error:
        refusal = error
    assert str(refusal).isprintable() and 5 < len(str(refusal)) < 5000
    return None, refusal


def holds_up(graph: Graph) -> None:
    """What verifies is good for every reader."""
    assert parse(dump(graph)) == graph
    optimised, refusal = attempt(OPTIMIZE.run, graph)
    if refusal is None:
        compile(generate(optimised).text, "generated", "exec")
    else:  # a graph, but not one to run
        assert "not one logit per sample" in str(refusal)


@given(mutated_texts())
@settings(max_examples=600)
def test_mutated_texts(text: str) -> None:
    answer(text)


@pytest.mark.slow
@given(mutated_texts())
@settings(max_examples=8000)
def test_many_mutated_texts(text: str) -> None:
    answer(text)


@given(st.text(max_size=200))
@settings(max_examples=150)
def test_any_text(text: str) -> None:
    answer(text)
    answer("graph g(" + text)
    answer("graph g(%x: f32[B]) -> f32[B] { %y = relu(%x)" + text + " : f32[B] return %y }")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "graph g(" + "%x: f32[B], " * 10_000,
        "graph g(%x: f32[B" + ", 1" * 10_000 + "]) -> f32[B] { return %x }",
        "graph g(%x: f32[B, 4]) -> f32[B] { %y = mask(%x) {keep = " + "(" * 10_000,
        '"' * 100_000,
        "#" * 100_000,
        "\n" * 100_000,
        "graph g(%s: i64[B, 2147483647]) -> f32[B] { %e = embedding(%s) {dim = 1} : f32[B, 2147483647, 1] return %e }",
        "graph g(%x: f32[B, 65536, 1]) -> f32[B, 2147450880] { %p = pairwise_dot(%x) : f32[B, 2147450880] return %p }",
    ],
    ids=lambda text: text[:24],
)
def test_large_texts(text: str) -> None:
    attempt(parse, text)


def test_long_chains() -> None:
    """Thousands of nodes in a row: nothing recurses."""
    lines = [f"%n{i} = relu(%n{i - 1}) : f32[B]" for i in range(1, 5000)]
    graph = parse("graph g(%n0: f32[B]) -> f32[B] { " + "\n".join(lines) + " return %n4999 }")
    holds_up(graph)


def test_a_sum_of_thousands() -> None:
    operands = ", ".join(["%x"] * 3000)
    graph = parse(f"graph g(%x: f32[B]) -> f32[B] {{ %y = add({operands}) : f32[B] return %y }}")
    verify(OPTIMIZE.run(graph), "executable")


# Objects -------------------------------------------------------------------------------------------------------

VALUES = st.sampled_from(
    [
        *(None, True, False, -1, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 10**30, 10**5000, -(10**5000), 1.5, float("nan")),
        *(
            float("inf"),
            "",
            "x",
            "dense",
            "relu",
            "input",
            "é",
            "a\nb",
            "x" * 10_000,
            b"x",
            (),
            (0,),
            (1, 2),
            (-1,),
            (3, 4, 5),
        ),
        *(
            (2**40,),
            (10**5000,),
            (None,),
            ("x",),
            ("dense", "dense"),
            ((0, 1),),
            ((1, 0),),
            ((0, 1), (1, 2)),
            ((-1, 2),),
        ),
        *(((0, 10**5000),), (("keep", 1),), (("keep", float("nan")),), (("shape", (-1,)),), (("out", 10**5000),)),
        *((("weight", None),), (("weight", ParamRef("w", (1, 1))),), (("weight", ParamRef("w", (1, 1))),) * 2),
        *([], [1], {}, {"a": 1}, set(), object(), int, len, np.int64(3), np.ones(3), np.float64(1.5)),
        *(TensorType(()), TensorType((2,)), TensorType((2, 3), live=(0, 1)), ParamRef("w", (2, 3))),
    ]
)
FIELDS = {kind: [f.name for f in fields(kind)] for kind in (Node, TensorType, ParamRef)}


def forged(thing: Any, field: str, value: Any) -> Any:
    """A copy of a frozen object with one field changed, past its constructor."""
    copy = object.__new__(type(thing))
    for name in FIELDS[type(thing)]:
        object.__setattr__(copy, name, value if name == field else getattr(thing, name))
    return copy


@st.composite
def mutated_graphs(draw: st.DrawFn) -> tuple[Any, list[Any], Any]:
    """Name, nodes and output of a good graph after a few changes of fields and of the order."""
    graph = random_graph(draw(st.integers(0, 30)), nodes=5)
    name, nodes, output = graph.name, list(graph.nodes), graph.output
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(nodes) - 1))
        node = nodes[place]
        match draw(st.sampled_from(["field", "field", "type", "ref", "order", "delete", "double", "graph", "node"])):
            case "field" if type(node) is Node:
                nodes[place] = forged(node, draw(st.sampled_from(FIELDS[Node])), draw(VALUES))
            case "type" if type(node) is Node and type(node.type) is TensorType:
                changed = forged(node.type, draw(st.sampled_from(FIELDS[TensorType])), draw(VALUES))
                nodes[place] = forged(node, "type", changed)
            case "ref" if type(node) is Node and node.params and type(node.params) is tuple:
                role, ref = node.params[0]
                if type(ref) is ParamRef:
                    changed = forged(ref, draw(st.sampled_from(FIELDS[ParamRef])), draw(VALUES))
                    nodes[place] = forged(node, "params", ((role, changed), *node.params[1:]))
            case "order":
                other = draw(st.integers(0, len(nodes) - 1))
                nodes[place], nodes[other] = nodes[other], nodes[place]
            case "delete" if len(nodes) > 1:
                del nodes[place]
            case "double":
                nodes.insert(place, node)
            case "graph":
                name, output = draw(st.sampled_from([(name, draw(VALUES)), (draw(VALUES), output)]))
            case "node":
                nodes[place] = draw(VALUES)
    return name, nodes, output


def judged(parts: tuple[Any, list[Any], Any]) -> None:
    """The graph is refused with a VerifyError and nothing else, or it is good."""
    graph, refusal = attempt(Graph, *parts)
    if refusal is None:
        _, refusal = attempt(verify, graph)
    if refusal is None:
        holds_up(graph)
    else:
        assert type(refusal) is VerifyError


@given(mutated_graphs())
@settings(max_examples=600)
def test_mutated_graphs(parts: tuple[Any, list[Any], Any]) -> None:
    judged(parts)


@pytest.mark.slow
@given(mutated_graphs())
@settings(max_examples=8000)
def test_many_mutated_graphs(parts: tuple[Any, list[Any], Any]) -> None:
    judged(parts)
