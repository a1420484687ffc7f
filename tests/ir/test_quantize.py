"""Precision of stored products in the IR: rules, text form, oracle, passes."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec_ir import GraphBuilder, ParamRef, TensorType, VerifyError, dump, interpret, parse, verify
from nasrec_ir.draw.caption import captions
from nasrec_ir.passes import OPTIMIZE, Expand
from nasrec_ir.quantize import quantize, scale_of


def product(op: str = "linear", shape: tuple[int, ...] = (5,), static: bool = False, **attrs: object) -> GraphBuilder:
    b = GraphBuilder("g")
    x = b.input("x", TensorType(shape))
    width = shape[-1] if op == "channel_linear" else shape[0]
    params = {"weight": ParamRef("w", (3, width))} | ({"act_scale": ParamRef("s", (1,))} if static else {})
    b.add(op, [x], id="y", params=params, out=3, **attrs)  # type: ignore[arg-type]
    return b


def test_definition() -> None:
    q = quantize(np.array([-1.0, 0.26, 2.0, 0.25, -0.75]), 3, 0.5)
    assert q.integers.tolist() == [-2, 1, 3, 0, -2], "halves to even"
    assert q.values.tolist() == [-1, 0.5, 1.5, 0, -1]
    assert quantize(np.array([1.5, -3]), 3).integers.tolist() == [2, -3], "the largest value is the largest integer"
    assert scale_of([], 8) == scale_of([0.0], 8) == 1 and scale_of([-14.0, 2], 4) == 2
    assert scale_of(np.array([[7.0, 1], [0, 0]]), 4, 1).tolist() == [[1], [1]]
    assert np.isnan(scale_of([np.nan, 1], 8))


@pytest.mark.parametrize(("op", "shape"), [("linear", (5,)), ("field_linear", (5, 2)), ("channel_linear", (2, 5))])
def test_the_oracle_rounds_operands_and_weight(op: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((3, 5)), rng.standard_normal((4, *shape))
    floats = product(op, shape).finish("y")
    for per_tensor in (False, True):
        for static in (None, 0.2):
            graph = product(op, shape, static is not None, weight_bits=3, act_bits=4, per_tensor=per_tensor).finish("y")
            verify(graph)
            assert parse(dump(graph)) == graph
            found = interpret(graph, {"w": w, "s": [static or 0]}, [x])
            wq = quantize(w, 3, scale_of(w, 3) if per_tensor else scale_of(w, 3, 1)).values
            xq = quantize(x, 4, static or np.abs(x).max() / 7).values
            np.testing.assert_array_equal(found, interpret(floats, {"w": wq}, [xq]))


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"act_bits": 1}, "act_bits = 1 must be an integer from 2 to 16"),
        ({"weight_bits": 17}, "weight_bits = 17 must be an integer from 2 to 16"),
        ({"per_tensor": True}, "per_tensor is for weights with weight_bits"),
    ],
)
def test_wrong_precisions_are_named(attrs: dict[str, object], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        product(**attrs)  # type: ignore[arg-type]


def test_a_scale_of_floats_is_refused() -> None:
    with pytest.raises(VerifyError, match="linear has no parameter 'act_scale'"):
        verify(product(static=True).finish("y"))


def test_passes_carry_precision_and_scale() -> None:
    b = GraphBuilder("g")
    x = b.input("x", TensorType((5,)))
    masked = b.add("mask", [x], keep=3)
    params = {"weight": ParamRef("w", (4, 5)), "act_scale": ParamRef("s", (1,))}
    y = b.add("linear", [masked], id="y", params=params, out=4, weight_bits=4, act_bits=8)
    y = b.add("slice", [b.add("relu", [y])], start=1, stop=3)
    graph = OPTIMIZE.run(b.finish(b.add("reshape", [b.add("linear", [y], out=1)], id="logit", shape=())))
    (node,) = [node for node in graph if node.id == "y"]
    assert node.attrs == (("out", 2), ("activation", "relu"), ("weight_bits", 4), ("act_bits", 8))
    assert dict(node.params)["weight"] == ParamRef("w", (4, 5), ((1, 3),), ((0, 3),))
    assert dict(node.params)["act_scale"] == ParamRef("s", (1,)), "no rows are cut off a scale"
    assert captions(graph)["y"].op == "linear + relu + W4 A8"


def test_attention_keeps_its_scales_through_its_expansion() -> None:
    b = GraphBuilder("g")
    x = b.input("x", TensorType((3, 8)))
    graph = b.finish(b.add("field_attention", [x], id="a", heads=2, weight_bits=4, per_tensor=True))
    plain = [dict(node.attrs) for node in Expand().apply(graph) if node.op == "channel_linear"]
    assert len(plain) == 4 and all(attrs["weight_bits"] == 4 and attrs["per_tensor"] for attrs in plain)
    with pytest.raises(VerifyError, match="unknown attribute 'act_bits'"):
        b.add("field_attention", [x], heads=2, act_bits=4)
