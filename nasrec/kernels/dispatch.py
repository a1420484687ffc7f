"""The table of compiled operators, and the choice between them and the plain-torch reference.

A family's module calls `register` once for each of its operations, which notes its operators and tells torch of their
fake kernels and autograd, and asks `has_kernel` at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import extension

__all__ = ["COMPILED", "DEVICES", "KERNEL_TYPES", "Operator", "has_kernel", "is_compiled", "register"]

DEVICES = ("cpu", "cuda")
"""Kinds of device that kernels are compiled for."""

KERNEL_TYPES = (torch.float32, torch.float64, torch.bfloat16)
"""Element types that kernels are compiled for."""


@dataclass(frozen=True)
class Operator:
    """A compiled operator, and what torch has to know of it besides its kernels.

    Attributes:
        name: in csrc/library.cpp, where its schema stands.
        fake: the fake kernel: shapes and types of the results, from operands without data.
        backward: the gradients of its operands, given the context and the results' gradients; None where nothing
            differentiates it.
        save: what `backward` finds in the context, given the context, the operands and the results.
        devices: those that it has kernels for.
    """

    name: str
    fake: Callable[..., Any]
    backward: Callable[..., Any] | None = None
    save: Callable[..., None] | None = None
    devices: tuple[str, ...] = DEVICES


COMPILED: dict[str, tuple[Operator, ...]] = {}
"""The compiled operators behind each operation, by the operation's name."""

_READY: set[tuple[str, str]] = set()


def register(operation: str, *operators: Operator) -> bool:
    """Notes which operators serve an operation; whether the extension holds them all, and torch knows them."""
    COMPILED[operation] = operators
    if not all(extension.compiled(operator.name) for operator in operators):
        return False
    for operator in operators:
        torch.library.register_fake(f"nasrec::{operator.name}", operator.fake)
        if operator.backward is not None:
            torch.library.register_autograd(f"nasrec::{operator.name}", operator.backward, setup_context=operator.save)
    _READY.update((operation, device) for device in DEVICES if is_compiled(operation, device))
    _READY.add((operation, "meta"))
    return True


def is_compiled(operation: str, device: str) -> bool:
    """Whether the extension holds all kernels of an operation for a kind of device."""
    names = [operator.name for operator in COMPILED[operation] if device in operator.devices]
    return bool(names) and all(extension.compiled(name, device) for name in names)


def has_kernel(operation: str, x: Tensor) -> bool:
    """Whether a compiled kernel serves the operation for tensors like `x` now."""
    return not extension.reference_forced() and (operation, x.device.type) in _READY and x.dtype in KERNEL_TYPES
