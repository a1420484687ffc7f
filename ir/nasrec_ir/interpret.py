"""The plain oracle: runs a graph node by node with numpy, in double precision unless told otherwise."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec_ir.errors import InterpretError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.passes.expand import Expand
from nasrec_ir.quantize import quantize, scale_of
from nasrec_ir.types import ParamRef, Segments

__all__ = ["interpret", "take"]

Array = npt.NDArray[Any]
Attrs = Mapping[str, Any]
Params = Mapping[str, Array]
Evaluate = Callable[[Sequence[Array], Attrs, Params], Array]


def interpret(
    graph: Graph,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Runs a graph by the equations of the op table, with nothing skipped; fused ops by their expansion.

    Args:
        graph: a graph that verifies at any level.
        parameters: array-likes by parameter name (`ParamRef.name`), of the full shape in the store or already cut
            to the slice that the graph selects.
        inputs: array-likes by argument name, or in the order of the graph's arguments.
        dtype: precision of every real value.

    Returns:
        The output, `[B, ...]`.

    Raises:
        InterpretError: a parameter or input is missing or has another shape, or an id lies outside its table.
    """
    graph = Expand().apply(graph)
    values, batch = _bind(graph, inputs, dtype)
    for node in graph:
        if node.op == "input":
            continue
        params = {role: _parameter(node, role, ref, parameters, dtype) for role, ref in node.params}
        if node.op == "zeros":
            values[node.id] = np.zeros((batch, *node.type.shape), dtype)
            continue
        operands = [values[operand] for operand in node.inputs]
        values[node.id] = EVALUATE[node.op](operands, attributes(node), params)
    return values[graph.output]


def take(array: Array, ref: ParamRef) -> Array:
    """The slice of a stored array that a reference selects."""
    if ref.whole:
        return array
    rows = array[_index(ref.rows)]
    return rows[:, _index(ref.columns)] if array.ndim == 2 else rows


def _index(segments: Segments) -> Array:
    return np.concatenate([np.arange(start, stop) for start, stop in segments] or [np.arange(0)])


def _bind(
    graph: Graph, inputs: Mapping[str, Any] | Sequence[Any], dtype: npt.DTypeLike
) -> tuple[dict[str, Array], int]:
    names = [node.id for node in graph.inputs]
    if not isinstance(inputs, Mapping) and len(inputs) != len(names):
        raise InterpretError(f"{len(inputs)} inputs are given, the graph's arguments are {', '.join(names)}")
    given = inputs if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=True))
    if set(given) != set(names):
        raise InterpretError(f"inputs are {sorted(map(str, given))}, the graph's arguments are {', '.join(names)}")
    values: dict[str, Array] = {}
    batch: int | None = None
    for node in graph.inputs:
        array = _array(f"input {node.id}", given[node.id], np.int64 if node.type.dtype == "i64" else dtype)
        if array.ndim == 0 or array.shape[1:] != node.type.shape:
            raise InterpretError(f"input {node.id} has shape {list(array.shape)}, the graph takes {node.type}")
        batch = array.shape[0] if batch is None else batch
        if array.shape[0] != batch:
            raise InterpretError(f"input {node.id} has {array.shape[0]} samples, {names[0]} has {batch}")
        values[node.id] = array
    return values, batch or 0


def _parameter(node: Node, role: str, ref: ParamRef, parameters: Mapping[str, Any], dtype: npt.DTypeLike) -> Array:
    if ref.name not in parameters:
        raise InterpretError(f"parameter {ref.name} ({role} of %{node.id}) is missing")
    array = _array(f"parameter {ref.name}", parameters[ref.name], dtype)
    if array.shape == ref.shape:
        return take(array, ref)
    if array.shape == ref.view_shape:
        return array
    raise InterpretError(f"parameter {ref.name} has shape {list(array.shape)}, %{node.id} needs {list(ref.shape)}")


def _array(what: str, value: Any, dtype: npt.DTypeLike) -> Array:
    if hasattr(value, "detach"):  # a torch tensor that may require gradients; no import of torch needed
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or (np.dtype(dtype).kind == "i" and array.dtype.kind == "f"):
            raise TypeError
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError, OverflowError):
        wanted = "category ids" if np.dtype(dtype).kind == "i" else "numbers"
        raise InterpretError(f"{what} must be an array of {wanted}, not {type(value).__name__}") from None


def _epilogue(y: Array, attrs: Attrs, params: Params) -> Array:
    """Bias, norm, keep and activation along axis 1."""
    column = (slice(None), *(None,) * (y.ndim - 2))
    if "bias" in params:
        y = y + params["bias"][column]
    if attrs["norm"]:
        y = _normalize(y, 1, attrs["eps"]) * params["norm_weight"][column] + params["norm_bias"][column]
    if attrs["keep"] is not None:
        y = y[:, : attrs["keep"]]
    return _activate(y, attrs["activation"])


def _in_precision(product: Evaluate) -> Evaluate:
    """A product with a stored matrix, on the integers that its bits leave."""

    def run(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
        if bits := attrs["act_bits"]:
            largest = [np.max(np.abs(x), initial=0.0) for x in xs]
            scale = params["act_scale"] if "act_scale" in params else scale_of(largest, bits)
            xs = [quantize(x, bits, scale).values for x in xs]
        if bits := attrs["weight_bits"]:
            weight = params["weight"]
            scale = scale_of(weight, bits, None if attrs["per_tensor"] else 1)
            params = {**params, "weight": quantize(weight, bits, scale).values}
        return product(xs, attrs, params)

    return run


def _linear(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return _epilogue(np.concatenate(xs, axis=1) @ params["weight"].T, attrs, params)


def _field_linear(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    y = np.einsum("of,bfe->boe", params["weight"], np.concatenate(xs, axis=1))
    return _epilogue(y, attrs, params)


def _channel_linear(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    y = xs[0] @ params["weight"].T
    return _activate(y + params["bias"] if "bias" in params else y, attrs["activation"])


def _layer_norm(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x, axis = xs[0], attrs["axis"]
    shape = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    y = _normalize(x, axis, attrs["eps"])
    return y * params["weight"].reshape(shape) + params["bias"].reshape(shape)


def _batch_norm(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x = xs[0]
    shape = tuple(-1 if i == attrs["axis"] else 1 for i in range(x.ndim))
    weight, bias, mean, variance = (
        params[role].reshape(shape) for role in ("weight", "bias", "running_mean", "running_var")
    )
    return np.asarray((x - mean) / np.sqrt(variance + attrs["eps"]) * weight + bias)


def _normalize(x: Array, axis: int, eps: float) -> Array:
    if x.shape[axis] == 0:
        return x
    centered = x - x.mean(axis=axis, keepdims=True)
    variance = (centered * centered).mean(axis=axis, keepdims=True)
    return np.asarray(centered / np.sqrt(variance + eps))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + e), e / (1 + e)))


def _activate(x: Array, activation: str) -> Array:
    if activation == "relu":
        return np.maximum(x, 0)
    return _sigmoid(x) if activation == "sigmoid" else x


def _embedding(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    ids = xs[0]
    for field, table in enumerate(params.values()):
        outside = (ids[:, field] < 0) | (ids[:, field] >= len(table))
        if outside.any():
            raise InterpretError(
                f"field {field}: id {ids[outside, field][0]} lies outside its table of {len(table)} rows"
            )
    columns = [table[ids[:, field]] for field, table in enumerate(params.values())]
    dtype = next(iter(params.values())).dtype if params else np.float64
    return np.stack(columns, axis=1) if columns else np.zeros((len(ids), 0, attrs["dim"]), dtype)


def _pairwise_dot(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x = np.concatenate(xs, axis=1)
    gram = x @ x.transpose(0, 2, 1)
    i, j = np.tril_indices(gram.shape[1], k=-1)
    return np.asarray(gram[:, i, j])


def _factorization_machine(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    return np.asarray(xs[0].sum(axis=1) ** 2 - (xs[0] ** 2).sum(axis=1))


def _self_attention(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    batch, fields, packed = xs[0].shape
    heads, width = attrs["heads"], packed // 3 // attrs["heads"]
    q, k, v = xs[0].reshape(batch, fields, 3, heads, width).transpose(2, 0, 3, 1, 4)
    if fields == 0:
        return xs[0][:, :, : packed // 3]
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ v
    return np.asarray(mixed.transpose(0, 2, 1, 3).reshape(batch, fields, packed // 3))


def _hadamard_pairs(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    left, right = xs
    pairs = left[:, :, None] * right[:, None]
    return np.asarray(pairs.reshape(len(left), left.shape[1] * right.shape[1], left.shape[2]))


def _mask(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    out = xs[0].copy()
    out[:, attrs["keep"] :] = 0
    return out


def _pad(xs: Sequence[Array], attrs: Attrs, params: Params) -> Array:
    x, before = xs[0], attrs["before"]
    widths = [(0, 0), (before, attrs["size"] - before - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]
    return np.pad(x, widths)


EVALUATE: dict[str, Evaluate] = {
    "embedding": _embedding,
    "numeric_embedding": lambda xs, attrs, params: xs[0][:, :, None] * params["weight"],
    "linear": _in_precision(_linear),
    "field_linear": _in_precision(_field_linear),
    "channel_linear": _in_precision(_channel_linear),
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "dropout": lambda xs, attrs, params: xs[0],
    "relu": lambda xs, attrs, params: np.maximum(xs[0], 0),
    "sigmoid": lambda xs, attrs, params: _sigmoid(xs[0]),
    "scale": lambda xs, attrs, params: xs[0] * attrs["factor"],
    "add": lambda xs, attrs, params: functools.reduce(operator.add, xs),
    "mul": lambda xs, attrs, params: xs[0] * xs[1],
    "mask": _mask,
    "slice": lambda xs, attrs, params: xs[0][:, attrs["start"] : attrs["stop"]],
    "take": lambda xs, attrs, params: xs[0][:, list(attrs["positions"])],
    "pad": _pad,
    "concat": lambda xs, attrs, params: np.concatenate(xs, axis=1),
    "reshape": lambda xs, attrs, params: xs[0].reshape(len(xs[0]), *attrs["shape"]),
    "sum": lambda xs, attrs, params: xs[0].sum(axis=attrs["axis"]),
    "pairwise_dot": _pairwise_dot,
    "factorization_machine": _factorization_machine,
    "self_attention": _self_attention,
    "hadamard_pairs": _hadamard_pairs,
}
"""One function an op, `(operands, attributes, parameters) -> result`; `zeros` is done by the caller, who knows B."""
