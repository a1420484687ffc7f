"""Tensors by name, copied from one place to another once all of them are known to fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nasrec.errors import StateDictError

__all__ = ["copy_tensors", "snapshot"]


def copy_tensors(source: Mapping[str, Tensor], target: Mapping[str, Tensor], what: str) -> None:
    """Copies in place.

    Raises:
        StateDictError: a name is missing or unknown, or a shape differs; nothing is copied then.
    """
    for name, tensor in target.items():
        if not isinstance(source.get(name), Tensor):
            raise StateDictError(f"{what}: {name} is missing; they are another model's")
        if source[name].shape != tensor.shape:
            raise StateDictError(
                f"{what}: {name} has shape {list(source[name].shape)}, the model expects {list(tensor.shape)}"
            )
    if left_over := sorted(set(source) - set(target)):
        raise StateDictError(f"{what}: the model has no {left_over[0]}; they are another model's")
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def snapshot(weights: Mapping[str, Tensor], into: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights as tensors of their own, in the memory of an earlier snapshot if there is one."""
    if into is None:
        return {name: tensor.detach().clone() for name, tensor in weights.items()}
    for name, tensor in weights.items():
        into[name].copy_(tensor.detach())
    return into
