"""A trained model in few bits."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn

from nasrec.compiler import CompiledModel, compile_graph, tensor_of
from nasrec.compiler.modes import temporarily_set
from nasrec.errors import QuantError
from nasrec.layers import FieldAttention, Quantizable
from nasrec.quant.scheme import Scheme, annotate
from nasrec_ir import Graph, ParamRef
from nasrec_ir.ops import OPS

__all__ = ["in_floats", "quantize", "with_graph"]


def quantize(model: CompiledModel, scheme: Scheme) -> CompiledModel:
    """A model with the weights of another one, quantised; calibrate it before use where activations are.

    Args:
        model: from `nasrec.compile`, `compile_graph` or `Supernet.extract`; stays as it is.
        scheme: the bits.

    Returns:
        A model on the same device and of the same type, whose `graph` says its precisions.

    Raises:
        QuantError: that is no compiled model, or the scheme does not fit it.
    """
    if not isinstance(getattr(model, "graph", None), Graph):
        raise QuantError(f"{type(model).__name__} was not made by nasrec.compile; only compiled models are quantised")
    return with_graph(model, annotate(model.graph, scheme))


def with_graph(model: CompiledModel, graph: Graph) -> CompiledModel:
    """A model of another graph over the same parameters, with the weights of this one."""
    like = next(model.parameters())
    made = compile_graph(graph, seed=0).to(device=like.device, dtype=like.dtype)
    held = {ref: tensor_of(model, node, role) for node in model.graph for role, ref in node.params}
    with torch.no_grad():
        for node in graph:
            for role, ref in node.params:
                if ref in held:
                    tensor_of(made, node, role).copy_(held[ref])
                elif role not in OPS[node.op].buffers:
                    raise QuantError(f"graph {graph.name}: the model has no {_shown(ref)}")
    return made.train(model.training)


def in_floats(model: nn.Module) -> AbstractContextManager[None]:
    """Within the block a quantised model computes with its float weights and activations."""
    layers = [module for module in model.modules() if isinstance(module, (Quantizable, FieldAttention))]
    return temporarily_set(layers, "floating")


def _shown(ref: ParamRef) -> str:
    return f"parameter {ref.name} {list(ref.view_shape)}"
