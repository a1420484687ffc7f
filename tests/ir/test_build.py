"""The graph builder: names, defaults, and mistakes that surface where they are made."""

from __future__ import annotations

import doctest
import re
from typing import Any

import pytest

import nasrec_ir.build
from nasrec_ir import GraphBuilder, ParamRef, TensorType, VerifyError, verify

T = TensorType


def test_the_example_of_the_docstring_runs() -> None:
    example = doctest.DocTestFinder().find(GraphBuilder, globs=vars(nasrec_ir.build).copy())[0]
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_default_parameters_are_named_by_node_and_role() -> None:
    b = GraphBuilder("g")
    x = b.input("x", T((4,)))
    b.add("linear", [x], id="a.fc", out=3, biased=True, norm=True)
    node = b["a.fc"]
    assert [(role, ref.name, ref.shape) for role, ref in node.params] == [
        ("weight", "a.fc.weight", (3, 4)),
        ("bias", "a.fc.bias", (3,)),
        ("norm_weight", "a.fc.norm_weight", (3,)),
        ("norm_bias", "a.fc.norm_bias", (3,)),
    ]


def test_optional_parameters_need_asking_for() -> None:
    b = GraphBuilder("g")
    b.add("linear", [b.input("x", T((4,)))], id="y", out=3)
    assert b["y"].param("bias") is None
    assert b["y"].param("weight") == ParamRef("y.weight", (3, 4))


def test_given_parameters_are_put_in_the_tables_order() -> None:
    b = GraphBuilder("g")
    x = b.input("x", T((4,)))
    refs = {"bias": ParamRef("b", (3,)), "weight": ParamRef("w", (3, 4))}
    verify(b.finish(b.add("linear", [x], out=3, params=refs)))


def test_taken_names_get_a_number_and_lose_it_when_free() -> None:
    b = GraphBuilder("g")
    x = b.input("x", T((4,)))
    first, second = b.add("relu", [x]), b.add("relu", [x])
    assert (first, second) == ("relu", "relu_2")
    assert [node.id for node in b.finish_live(second)] == ["x", "relu"]
    assert [node.id for node in b.finish_live(b.add("add", [first, second]))] == ["x", "relu", "relu_2", "add"]


def test_numbers_do_not_depend_on_what_is_gone() -> None:
    b = GraphBuilder("g")
    x = b.input("x", T((4,)))
    fixed = b.add("sigmoid", [x], id="relu_3")
    relus = [b.add("relu", [x]) for _ in range(4)]
    assert relus == ["relu", "relu_2", "relu_4", "relu_5"]
    graph = b.finish_live(b.add("add", [fixed, *relus[2:]]))
    assert [node.id for node in graph] == ["x", "relu_3", "relu", "relu_2", "add"]
    verify(graph)


def test_defaults_and_none_are_not_written() -> None:
    b = GraphBuilder("g")
    x = b.input("x", T((4,)))
    b.add("linear", [x], id="y", out=3, activation="none", eps=1e-5, keep=None)
    assert b["y"].attrs == (("out", 3),)


MISTAKES: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("rleu", ["x"], {}, "%rleu = rleu: no such op; there are add,"),
    ("relu", ["y"], {}, "%relu = relu: operand %y does not exist"),
    ("relu", [], {}, "0 operands where 1 are needed"),
    ("mask", ["x"], {}, "attribute keep is missing"),
    ("mask", ["x"], {"keep": None}, "attribute keep is missing"),
    ("mask", ["x"], {"width": 3}, "unknown attribute 'width'"),
    ("mask", ["x"], {"keep": 9}, "keep = 9 exceeds"),
    ("mask", ["x"], {"keep": "3"}, "keep = '3' must be an integer"),
    ("embedding", ["s"], {"dim": 8, "rows": [5]}, "rows has 1 entries for 2 tables"),
    ("embedding", ["s"], {"dim": 8}, "rows has 0 entries for 2 tables"),
]


@pytest.mark.parametrize(
    ("op", "inputs", "options", "message"), MISTAKES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_mistakes(op: str, inputs: list[str], options: dict[str, Any], message: str) -> None:
    b = GraphBuilder("g")
    b.input("x", T((4,)))
    b.input("s", T((2,), "i64"))
    with pytest.raises(VerifyError, match=re.escape(message)):
        b.add(op, inputs, **options)
