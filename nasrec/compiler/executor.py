"""Runs an optimised graph on tensors that live elsewhere: how a supernet takes a step along one path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.compiler.slices import pieces, take
from nasrec.kernels.fake_quantize import fake_quantize_inputs, fake_quantize_matrices, fake_quantize_weight
from nasrec_ir import Graph, Node
from nasrec_ir.ops import OPS, attributes

__all__ = ["PRODUCTS", "Params", "execute", "slices_of"]

Attrs = Mapping[str, Any]
Params = Mapping[str, Any]
"""A tensor for each role; the weight of one of `PRODUCTS` may be a tuple of column pieces."""

Execute = Callable[[Sequence[Tensor], Attrs, Params], Tensor]

PRODUCTS = frozenset({"linear", "field_linear"})
"""Ops whose weight may come in pieces, so that a slice of several column ranges is never copied together."""


def execute(
    graph: Graph,
    parameters: Callable[[Node], Params],
    inputs: Sequence[Tensor],
    look_up: Callable[[Node, Tensor], Tensor] | None = None,
) -> Tensor:
    """Runs a graph as it means inference: batch norms by their running statistics, without dropout.

    Args:
        graph: an executable graph.
        parameters: gives the slices that a node's references name; see `slices_of`.
        inputs: one tensor for each argument of the graph, in order.
        look_up: what to do for an embedding instead, given the node and the ids.

    Returns:
        The output, `[B, ...]`.
    """
    values: dict[str, Tensor] = {}
    given = iter(inputs)
    for node in graph:
        if node.op == "input":
            values[node.id] = next(given)
        elif node.op == "zeros":
            values[node.id] = _zeros(inputs, node.type.shape)
        elif node.op == "embedding" and look_up is not None:
            values[node.id] = look_up(node, values[node.inputs[0]])
        else:
            operands = [values[operand] for operand in node.inputs]
            values[node.id] = EXECUTE[node.op](operands, attributes(node), parameters(node))
    return values[graph.output]


def slices_of(stored: Callable[[str], Tensor]) -> Callable[[Node], Params]:
    """Parameters of nodes as slices of stored tensors, which are given by name; gradients reach those in full size."""

    def slices(node: Node) -> Params:
        return {
            role: (pieces if role == "weight" and node.op in PRODUCTS else take)(stored(ref.name), ref)
            for role, ref in node.params
        }

    return slices


def _zeros(inputs: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Zeros of the batch, precision and device that the real-valued inputs have."""
    like = next((value for value in inputs if value.is_floating_point()), None)
    dtype = torch.get_default_dtype() if like is None else like.dtype
    return torch.zeros((len(inputs[0]), *shape), dtype=dtype, device=inputs[0].device)


def _product(function: Callable[..., Tensor]) -> Execute:
    def run(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
        norm = (params["norm_weight"], params["norm_bias"]) if attrs["norm"] else None
        return function(
            xs,
            params["weight"],
            params.get("bias"),
            norm=norm,
            eps=attrs["eps"],
            activation=attrs["activation"],
            keep=attrs["keep"],
        )

    return run


def _in_precision(product: Execute) -> Execute:
    """A product with a stored matrix, on what its bits leave of operands and matrix."""

    def run(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
        if bits := attrs["act_bits"]:
            xs = fake_quantize_inputs(xs, bits, params.get("act_scale"))
        if bits := attrs["weight_bits"]:
            weight = params["weight"]
            pieces = (weight,) if isinstance(weight, Tensor) else weight
            pieces = fake_quantize_weight(pieces, bits, per_tensor=attrs["per_tensor"])
            params = {**params, "weight": pieces[0] if isinstance(weight, Tensor) else pieces}
        return product(xs, attrs, params)

    return run


def _channel_linear(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
    return kernels.channel_linear(xs[0], params["weight"], params.get("bias"), activation=attrs["activation"])


def _field_attention(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
    options = {key: attrs[key] for key in ("padded", "eps")}
    parameters = fake_quantize_matrices(params.values(), attrs["weight_bits"], per_tensor=attrs["per_tensor"])
    return kernels.field_attention(xs[0], parameters, attrs["heads"], **options)


def _pad(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
    x, before = xs[0], attrs["before"]
    channels = (0, 0) * (x.dim() - 2)
    return nn.functional.pad(x, (*channels, before, attrs["size"] - before - x.shape[1]))


def _add(xs: Sequence[Tensor], attrs: Attrs, params: Params) -> Tensor:
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def _kernel(op: str) -> Execute:
    """The kernel of an op's name, given operands, then parameters and attributes by name."""
    kernel: Callable[..., Tensor] = getattr(kernels, op)
    return lambda xs, attrs, params: kernel(*xs, **params, **attrs)


EXECUTE: dict[str, Execute] = {op: _kernel(op) for op in OPS if op in kernels.__all__} | {
    "embedding": lambda xs, attrs, params: kernels.embedding(xs[0], list(params.values())),
    "numeric_embedding": lambda xs, attrs, params: kernels.numeric_embedding(xs[0], params["weight"]),
    "linear": _in_precision(_product(kernels.linear)),
    "field_linear": _in_precision(_product(kernels.field_linear)),
    "channel_linear": _in_precision(_channel_linear),
    "dropout": lambda xs, attrs, params: xs[0],
    "relu": lambda xs, attrs, params: torch.relu(xs[0]),
    "sigmoid": lambda xs, attrs, params: torch.sigmoid(xs[0]),
    "scale": lambda xs, attrs, params: attrs["factor"] * xs[0],
    "add": _add,
    "mul": lambda xs, attrs, params: xs[0] * xs[1],
    "slice": lambda xs, attrs, params: xs[0][:, attrs["start"] : attrs["stop"]],
    "take": lambda xs, attrs, params: xs[0][:, list(attrs["positions"])],
    "pad": _pad,
    "concat": lambda xs, attrs, params: torch.cat(list(xs), dim=1),
    "reshape": lambda xs, attrs, params: xs[0].reshape(len(xs[0]), *attrs["shape"]),
    "sum": lambda xs, attrs, params: xs[0].sum(dim=attrs["axis"]),
    "self_attention": lambda xs, attrs, params: kernels.self_attention(xs[0], attrs["heads"]),
    "field_attention": _field_attention,
}
"""One function an op, `(operands, attributes, parameters) -> result`: the kernel of its name, unless listed here."""
