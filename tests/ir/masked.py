"""The meaning of a cut, spelled out at full size: every value beside a mask of what of it is there, nothing removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec_ir import Graph, Node
from nasrec_ir.interpret import EVALUATE, take
from nasrec_ir.ops import attributes
from nasrec_ir.passes import Expand
from nasrec_ir.pruning import Cut

Array = npt.NDArray[Any]


def run_masked(
    graph: Graph, parameters: Mapping[str, Array], inputs: Mapping[str, Array], cuts: Mapping[str, Cut]
) -> Array:
    """The output [B] with absent positions zero, and left out of norms and softmaxes."""
    values: dict[str, tuple[Array, Array]] = {}
    for node in Expand().apply(graph):
        cut = cuts.get(node.id, Cut())
        xs = [values[operand] for operand in node.inputs]
        params = {role: take(parameters[ref.name], ref) for role, ref in node.params}
        if node.op == "input":
            value, there = inputs[node.id], np.ones(node.type.shape, bool)
            there[sorted(cut.rows)] = False
            value = value * there if node.type.dtype == "f32" else value
        elif node.op == "zeros":
            value = np.zeros((len(next(iter(inputs.values()))), *node.type.shape))
            there = _without(node, cut)
        else:
            there = _there(node, [mask for _, mask in xs], cut)
            value = _value(node, xs, params, cut, there) * there
        assert value.shape[1:] == there.shape == node.type.shape
        values[node.id] = value, there
    return values[graph.output][0]


def _value(node: Node, xs: Sequence[tuple[Array, Array]], params: Mapping[str, Array], cut: Cut, there: Array) -> Array:
    attrs, arrays = attributes(node), [x for x, _ in xs]
    if node.op in ("linear", "field_linear"):
        x = np.concatenate(arrays, axis=1)
        x = np.delete(x, sorted(cut.columns), axis=1)
        rows = np.isin(np.arange(attrs["out"]), sorted(cut.rows), invert=True)
        y = np.einsum("oi,bi...->bo...", np.delete(params["weight"], sorted(cut.columns), axis=1), x)
        column = (slice(None), *(None,) * (y.ndim - 2))
        y = y + params["bias"][column] if "bias" in params else y
        if attrs["norm"]:
            y = _normal(y, rows[column] & np.ones(y.shape[1:], bool), 1, attrs["eps"])
            y = y * params["norm_weight"][column] + params["norm_bias"][column]
        y = y if attrs["keep"] is None else y[:, : attrs["keep"]]
        return EVALUATE[attrs["activation"]]([y], {}, {}) if attrs["activation"] != "none" else y
    if node.op == "layer_norm":
        shape = tuple(-1 if axis == attrs["axis"] else 1 for axis in range(arrays[0].ndim))
        y = _normal(arrays[0], xs[0][1], attrs["axis"], attrs["eps"])
        return np.asarray(y * params["weight"].reshape(shape) + params["bias"].reshape(shape))
    if node.op == "self_attention":
        fields = xs[0][1].any(axis=1)
        out = np.zeros((len(arrays[0]), *node.type.shape))
        out[:, fields] = EVALUATE[node.op]([arrays[0][:, fields]], attrs, params)
        return out
    return EVALUATE[node.op](arrays, attrs, params)


def _normal(x: Array, there: Array, axis: int, eps: float) -> Array:
    """Normalised over the entries that are there."""
    count = np.maximum(1, there.sum(axis=axis - 1, keepdims=True))
    centred = (x - (x * there).sum(axis=axis, keepdims=True) / count) * there
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=axis, keepdims=True) / count + eps))


def _without(node: Node, cut: Cut) -> Array:
    there = np.ones(node.type.shape, bool)
    there[sorted(cut.rows)] = False
    return there


def _there(node: Node, masks: Sequence[Array], cut: Cut) -> Array:
    attrs = attributes(node)
    match node.op:
        case "embedding":
            return _without(node, cut)
        case "numeric_embedding":
            return np.repeat(masks[0][:, None], attrs["dim"], axis=1)
        case "linear" | "field_linear":
            rows = np.isin(np.arange(node.type.shape[0]), sorted(cut.rows), invert=True)
            return rows if len(node.type.shape) == 1 else np.outer(rows, masks[0].any(axis=0) | (len(masks[0]) == 0))
        case "channel_linear":
            channels = np.isin(np.arange(attrs["out"]), sorted(cut.rows), invert=True)
            return np.outer(masks[0].any(axis=1), channels)
        case "self_attention":
            return np.repeat(masks[0].any(axis=1)[:, None], node.type.shape[1], axis=1)
        case "add":
            return np.logical_or.reduce(masks)
        case "mul":
            return np.logical_and(*masks)
        case "pad":
            before, inner = attrs["before"], len(masks[0])
            there = _without(node, cut)
            if there.ndim == 2:
                there = there & masks[0].any(axis=0)
            there[before : before + inner] = masks[0]
            return there
        case "slice" | "take" | "concat":
            return EVALUATE[node.op]([mask[None] for mask in masks], attrs, {})[0].astype(bool)
        case "reshape":
            there = masks[0].reshape(attrs["shape"])
            return np.repeat(there.any(axis=1)[:, None], there.shape[1], axis=1) if there.ndim == 2 else there
        case "sum":
            return masks[0].any(axis=attrs["axis"] - 1)
        case "factorization_machine":
            return masks[0].any(axis=0)
        case "pairwise_dot":
            rows = np.concatenate(masks).any(axis=1)
            i, j = np.tril_indices(len(rows), k=-1)
            return rows[i] & rows[j]
        case "hadamard_pairs":
            left, right = masks
            return (left[:, None] & right[None]).reshape(-1, left.shape[1])
        case _:
            return masks[0]
