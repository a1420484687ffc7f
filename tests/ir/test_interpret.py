"""The interpreter: each op by its equation, spelled out with loops, and errors that name what does not fit."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nasrec_ir import GraphBuilder, InterpretError, ParamRef, TensorType, interpret, parse

Array = npt.NDArray[Any]
T = TensorType
RNG = np.random.default_rng(5)


def run(op: str, *operands: Array, params: dict[str, Array] | None = None, **attrs: Any) -> Array:
    b = GraphBuilder("g")
    ids = [b.input(f"x{i}", T(x.shape[1:], "i64" if x.dtype.kind == "i" else "f32")) for i, x in enumerate(operands)]
    if not ids:
        b.input("batch", T((1,)))
        operands = (np.zeros((3, 1)),)
    refs = {role: ParamRef(role, value.shape) for role, value in (params or {}).items()}
    return interpret(b.finish(b.add(op, ids, params=refs, **attrs)), params or {}, operands)


def draw(*shape: int) -> Array:
    return RNG.normal(size=shape)


X, F = draw(3, 5), draw(3, 4, 6)


def norm(x: Array, gain: Array, offset: Array, eps: float) -> Array:
    """Of one vector."""
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return np.array([(v - mean) / math.sqrt(variance + eps) * g + o for v, g, o in zip(x, gain, offset, strict=True)])


def test_embedding() -> None:
    ids, tables = np.array([[1, 0], [2, 2]]), [draw(3, 4), draw(5, 4)]
    got = run("embedding", ids, params={"tables.0": tables[0], "tables.1": tables[1]}, dim=4)
    want = [[tables[0][1], tables[1][0]], [tables[0][2], tables[1][2]]]
    np.testing.assert_array_equal(got, want)


def test_numeric_embedding() -> None:
    weight = draw(5, 4)
    got = run("numeric_embedding", X, params={"weight": weight}, dim=4)
    np.testing.assert_allclose(got, [[x[j] * weight[j] for j in range(5)] for x in X])


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid"])
def test_linear_with_everything(activation: str) -> None:
    y, weight, bias, gain, offset = draw(3, 2), draw(4, 7), draw(4), draw(4), draw(4)
    params = {"weight": weight, "bias": bias, "norm_weight": gain, "norm_bias": offset}
    got = run("linear", X, y, params=params, out=4, norm=True, eps=1e-3, activation=activation, keep=3)
    act = {"none": lambda v: v, "relu": lambda v: max(v, 0.0), "sigmoid": lambda v: 1 / (1 + math.exp(-v))}[activation]
    for sample in range(3):
        z = weight @ np.concatenate([X[sample], y[sample]]) + bias
        want = [act(v) for v in norm(z, gain, offset, 1e-3)[:3]]
        np.testing.assert_allclose(got[sample], want, rtol=1e-12)


def test_field_linear_with_everything() -> None:
    y, weight, bias, gain, offset = draw(3, 2, 6), draw(5, 6), draw(5), draw(5), draw(5)
    params = {"weight": weight, "bias": bias, "norm_weight": gain, "norm_bias": offset}
    got = run("field_linear", F, y, params=params, out=5, norm=True, activation="relu", keep=2)
    for sample in range(3):
        for channel in range(6):
            x = np.concatenate([F[sample, :, channel], y[sample, :, channel]])
            want = np.maximum(norm(weight @ x + bias, gain, offset, 1e-5)[:2], 0)
            np.testing.assert_allclose(got[sample, :, channel], want, rtol=1e-12)


def test_channel_linear() -> None:
    weight, bias = draw(3, 6), draw(3)
    got = run("channel_linear", F, params={"weight": weight, "bias": bias}, out=3, activation="relu")
    want = [[[max(weight[o] @ F[b, f] + bias[o], 0) for o in range(3)] for f in range(4)] for b in range(3)]
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("axis", [1, 2])
def test_layer_norm(axis: int) -> None:
    gain, offset = draw(F.shape[axis]), draw(F.shape[axis])
    got = run("layer_norm", F, params={"weight": gain, "bias": offset}, axis=axis, eps=0.25)
    want = np.apply_along_axis(lambda v: norm(v, gain, offset, 0.25), axis, F)
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("axis", [1, 2])
def test_batch_norm(axis: int) -> None:
    """By the running statistics, position by position."""
    size = F.shape[axis]
    params = {role: draw(size) for role in ("weight", "bias", "running_mean")} | {"running_var": abs(draw(size))}
    got = run("batch_norm", F, params=params, axis=axis, eps=0.25, momentum=0.5)
    for index, x in np.ndenumerate(F):
        gain, offset, mean, variance = (params[role][index[axis]] for role in params)
        assert got[index] == pytest.approx((x - mean) / math.sqrt(variance + 0.25) * gain + offset)


def test_dropout_is_for_training_alone() -> None:
    np.testing.assert_array_equal(run("dropout", F, rate=0.5), F)
    packed = draw(3, 4, 12)
    with_it, without = (run("self_attention", packed, heads=2, dropout=rate) for rate in (0.5, None))
    np.testing.assert_array_equal(with_it, without)


def test_layer_norm_of_no_units() -> None:
    empty = np.zeros(0)
    assert run("layer_norm", draw(3, 0), params={"weight": empty, "bias": empty}).shape == (3, 0)


def test_element_wise_ops() -> None:
    np.testing.assert_array_equal(run("relu", X), np.where(X > 0, X, 0))
    np.testing.assert_allclose(run("sigmoid", X), 1 / (1 + np.exp(-X)))
    np.testing.assert_array_equal(run("scale", X, factor=-0.5), X / -2)
    np.testing.assert_array_equal(run("add", X, X, X), X + X + X)
    np.testing.assert_array_equal(run("mul", X, X), X**2)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(run("sigmoid", np.array([[-1e4, 1e4]])), [[0, 1]])


def test_cutting_and_joining() -> None:
    np.testing.assert_array_equal(run("mask", X, keep=2), X * [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(run("slice", F, start=1, stop=3), F[:, 1:3])
    padded = run("pad", F, before=1, size=7)
    np.testing.assert_array_equal(padded[:, 1:5], F)
    assert padded.shape == (3, 7, 6) and not padded[:, :1].any() and not padded[:, 5:].any()
    np.testing.assert_array_equal(run("concat", F, F)[:, 4:], F)
    np.testing.assert_array_equal(run("zeros", shape=(2, 3)), np.zeros((3, 2, 3)))
    np.testing.assert_array_equal(run("reshape", F, shape=(24,))[:, 6:12], F[:, 1])
    np.testing.assert_array_equal(run("reshape", draw(3, 1) * 0 + 2, shape=()), [2, 2, 2])
    np.testing.assert_allclose(run("sum", F, axis=1), sum(F[:, f] for f in range(4)))
    np.testing.assert_allclose(run("sum", F, axis=2), sum(F[:, :, e] for e in range(6)))


def test_a_mask_does_not_write_into_its_operand() -> None:
    x = np.ones((2, 3))
    run("mask", x, keep=1)
    assert x.all()


def test_interactions() -> None:
    pairs = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    want = [[F[b, i] @ F[b, j] for i, j in pairs] for b in range(3)]
    np.testing.assert_allclose(run("pairwise_dot", F), want, rtol=1e-12)
    twice = sum(F[:, i] * F[:, j] for i in range(4) for j in range(4) if i != j)
    np.testing.assert_allclose(run("factorization_machine", F), twice, rtol=1e-12)
    other = draw(3, 2, 6)
    want = [[F[b, i] * other[b, j] for i in range(4) for j in range(2)] for b in range(3)]
    np.testing.assert_array_equal(run("hadamard_pairs", F, other), want)


def test_self_attention_head_by_head() -> None:
    packed, heads, width = draw(3, 4, 24), 2, 4
    got = run("self_attention", packed, heads=heads)
    for sample in range(3):
        for head in range(heads):
            q, k, v = (packed[sample, :, 8 * i + width * head : 8 * i + width * (head + 1)] for i in range(3))
            for field in range(4):
                scores = [math.exp(q[field] @ k[other] / math.sqrt(width)) for other in range(4)]
                want = sum(s * v[other] for other, s in enumerate(scores)) / sum(scores)
                np.testing.assert_allclose(got[sample, field, width * head : width * (head + 1)], want, rtol=1e-12)


def test_self_attention_of_large_scores_and_of_no_fields() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(run("self_attention", draw(1, 3, 6) * 1e3, heads=1)).all()
    assert run("self_attention", draw(3, 0, 24), heads=2).shape == (3, 0, 8)


# Parameters and inputs -----------------------------------------------------------------------------------------

GRAPH = parse(
    """
    graph g(%dense: f32[B, 2], %sparse: i64[B, 1]) -> f32[B, 2] {
      %e = embedding(%sparse) {dim = 2} [tables.0 = "table"[3, 2]] : f32[B, 1, 2]
      %s = sum(%e) {axis = 1} : f32[B, 2]
      %y = linear(%dense, %s) {out = 2} [weight = "w"[4, 6 | 1:2, 3:4 | 0:1, 3:6]] : f32[B, 2]
      return %y
    }
    """
)
STORED = np.arange(24.0).reshape(4, 6)
CUT = STORED[np.ix_([1, 3], [0, 3, 4, 5])]
PARAMETERS = {"table": np.arange(6.0).reshape(3, 2), "w": STORED}
INPUTS = {"dense": np.array([[1.0, 2.0]]), "sparse": np.array([[2]])}


def test_stored_parameters_are_sliced() -> None:
    want = CUT @ [1, 2, 4, 5]
    np.testing.assert_array_equal(interpret(GRAPH, PARAMETERS, INPUTS), [want])
    np.testing.assert_array_equal(interpret(GRAPH, PARAMETERS | {"w": CUT}, INPUTS), [want])


def test_inputs_by_name_or_in_order_as_arrays_or_lists() -> None:
    want = interpret(GRAPH, PARAMETERS, INPUTS)
    np.testing.assert_array_equal(interpret(GRAPH, PARAMETERS, [[[1, 2]], [[2]]]), want)
    np.testing.assert_array_equal(interpret(GRAPH, PARAMETERS, tuple(INPUTS.values())), want)


def test_an_empty_batch() -> None:
    got = interpret(GRAPH, PARAMETERS, [np.zeros((0, 2)), np.zeros((0, 1), dtype=int)])
    assert got.shape == (0, 2)


def test_precision() -> None:
    assert interpret(GRAPH, PARAMETERS, INPUTS).dtype == np.float64
    assert interpret(GRAPH, PARAMETERS, INPUTS, dtype=np.float32).dtype == np.float32


def test_torch_tensors_are_taken_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    parameters = {name: torch.nn.Parameter(torch.from_numpy(value)) for name, value in PARAMETERS.items()}
    inputs = {name: torch.from_numpy(value) for name, value in INPUTS.items()}
    np.testing.assert_array_equal(interpret(GRAPH, parameters, inputs), interpret(GRAPH, PARAMETERS, INPUTS))


ERRORS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "missing parameter": ({"w": STORED}, INPUTS, "parameter table (tables.0 of %e) is missing"),
    "misshapen parameter": (PARAMETERS | {"w": STORED.T}, INPUTS, "w has shape [6, 4], %y needs [4, 6]"),
    "parameter of words": (PARAMETERS | {"w": "abc"}, INPUTS, "parameter w must be an array of numbers, not str"),
    "ragged parameter": (PARAMETERS | {"w": [[1], [1, 2]]}, INPUTS, "parameter w must be an array of numbers"),
    "complex parameter": (PARAMETERS | {"w": STORED * 1j}, INPUTS, "parameter w must be an array of numbers"),
    "missing input": (PARAMETERS, {"dense": [[1, 2]]}, "inputs are ['dense'], the graph's arguments are dense, sparse"),
    "unknown input": (PARAMETERS, INPUTS | {"extra": 1}, "inputs are ['dense', 'extra', 'sparse']"),
    "too few inputs": (PARAMETERS, [[[1, 2]]], "1 inputs are given, the graph's arguments are dense, sparse"),
    "too many inputs": (PARAMETERS, [[[1, 2]], [[2]], 3], "3 inputs are given"),
    "misshapen input": (PARAMETERS, INPUTS | {"dense": [1, 2]}, "input dense has shape [2], the graph takes f32[B, 2]"),
    "scalar input": (PARAMETERS, INPUTS | {"dense": 1.0}, "input dense has shape []"),
    "batches differ": (PARAMETERS, INPUTS | {"sparse": [[1], [2]]}, "input sparse has 2 samples, dense has 1"),
    "ids that are no integers": (PARAMETERS, INPUTS | {"sparse": [[1.5]]}, "must be an array of category ids"),
    "input of words": (PARAMETERS, INPUTS | {"dense": "abc"}, "input dense must be an array of numbers, not str"),
    "id too large": (PARAMETERS, INPUTS | {"sparse": [[3]]}, "field 0: id 3 lies outside its table of 3 rows"),
    "negative id": (PARAMETERS, INPUTS | {"sparse": [[-1]]}, "field 0: id -1 lies outside"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    parameters, inputs, message = ERRORS[case]
    with pytest.raises(InterpretError, match=re.escape(message)):
        interpret(GRAPH, parameters, inputs)
