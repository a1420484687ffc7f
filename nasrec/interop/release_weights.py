"""Weights under the published release's parameter names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from nasrec.compiler import CompiledModel, tensor_of
from nasrec.compiler.slices import take
from nasrec.errors import StateDictError
from nasrec.supernet import Supernet
from nasrec_ir import ParamRef

__all__ = ["load_state_dict"]


def load_state_dict(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copies weights by the release's names into a compiled model or a supernet.

    A compiled model takes just the slices it uses; entries of pruned blocks are ignored. Nothing is copied unless
    everything fits.

    Args:
        model: from `nasrec.compile`, or a `Supernet` with full-width masking.
        state_dict: tensors (or arrays) by the release's `state_dict` keys, each of the release's full shape.

    Raises:
        StateDictError: an entry is missing, has another shape or is no tensor of real numbers; the message names it.
    """
    if not isinstance(state_dict, Mapping):
        raise StateDictError(f"a state dict is a mapping of names to tensors, not {type(state_dict).__name__}")
    pairs = []
    for ref, parameter in _parameters(model):
        value = state_dict.get(ref.name)
        if value is None:
            raise StateDictError(f"{ref.name} is missing from the state dict; the model needs it")
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            raise StateDictError(f"{ref.name} is a {type(value).__name__}, not a tensor") from None
        if not tensor.is_floating_point() or tensor.is_meta:
            raise StateDictError(f"{ref.name} is a tensor of {tensor.dtype} on {tensor.device}, not of real numbers")
        if tuple(tensor.shape) != ref.shape:
            raise StateDictError(
                f"{ref.name} has shape {list(tensor.shape)} in the state dict, the model expects {list(ref.shape)}"
            )
        pairs.append((parameter, take(tensor, ref)))
    with torch.no_grad():
        for parameter, tensor in pairs:
            parameter.copy_(tensor)


def _parameters(model: nn.Module) -> Iterator[tuple[ParamRef, Tensor]]:
    if isinstance(model, Supernet):
        if model.masking != "full_width":
            raise StateDictError("the release's weights belong to a supernet with masking='full_width'")
        for name, parameter in model.named_parameters():
            yield ParamRef(name, tuple(parameter.shape)), parameter
        return
    graph = getattr(model, "graph", None)
    if graph is None or not hasattr(model, "layer_names"):
        raise StateDictError(f"{type(model).__name__} was not made by nasrec.compile")
    for node in graph:
        for role, ref in node.params:
            yield ref, tensor_of(cast(CompiledModel, model), node, role)
