"""The choice between compiled operator and plain-torch reference, the same for every family.

A family's module calls `compiled_operators` once, which says whether there is anything to attach fake kernels and
autograd to, and `has_kernel` at each call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nasrec.kernels import extension

__all__ = ["COMPILED", "KERNEL_TYPES", "compiled_operators", "has_kernel"]

KERNEL_TYPES = (torch.float32, torch.float64, torch.bfloat16)
"""Element types that kernels are compiled for."""

COMPILED: dict[str, tuple[str, ...]] = {}
"""The compiled operators behind each operation, by the operation's name."""

_READY: set[tuple[str, str]] = set()


def compiled_operators(operation: str, *operators: str) -> bool:
    """Notes which operators serve an operation; whether the extension holds them all."""
    COMPILED[operation] = operators
    if not all(extension.compiled(operator) for operator in operators):
        return False
    devices = [d for d in ("cpu", "cuda") if all(extension.compiled(operator, d) for operator in operators)]
    _READY.update((operation, device) for device in [*devices, "meta"])
    return True


def has_kernel(operation: str, x: Tensor) -> bool:
    """Whether a compiled kernel serves the operation for tensors like `x` now."""
    return not extension.reference_forced() and (operation, x.device.type) in _READY and x.dtype in KERNEL_TYPES
