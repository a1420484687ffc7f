"""The faces of the compiled operators: fake kernels, autograd, and the choice between kernel and reference.

The schemas stand in csrc/library.cpp. Autograd lives here rather than in C++, so that `torch.compile` and
`torch.export` see through it; every backward is an operator of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import extension, reference

__all__ = ["pairwise_dot"]

_KERNEL_TYPES = (torch.float32, torch.float64, torch.bfloat16)


def pairwise_dot(x: Tensor) -> Tensor:
    """Dot products of all pairs of fields: [B, r, e] -> [B, r(r-1)/2]; see `reference.pairwise_dot`."""
    if _has_kernel("pairwise_dot", x):
        out: Tensor = torch.ops.nasrec.pairwise_dot(x)
        return out
    return reference.pairwise_dot(x)


def _has_kernel(op: str, x: Tensor) -> bool:
    return not extension.reference_forced() and (op, x.device.type) in _KERNELS and x.dtype in _KERNEL_TYPES


def _register() -> frozenset[tuple[str, str]]:
    """Attach fake kernels and autograd to the operators that the extension registered; returns (op, device) pairs."""
    if not extension.compiled("pairwise_dot"):
        return frozenset()
    torch.library.register_fake("nasrec::pairwise_dot", _pairwise_dot_fake)
    torch.library.register_fake("nasrec::pairwise_dot_backward", _pairwise_dot_backward_fake)
    torch.library.register_autograd(
        "nasrec::pairwise_dot", _pairwise_dot_autograd, setup_context=_save_first_input
    )
    kernels = {("pairwise_dot", d) for d in ("cpu", "cuda") if extension.compiled("pairwise_dot", d)}
    return frozenset(kernels | {("pairwise_dot", "meta")})


def _pairwise_dot_fake(x: Tensor) -> Tensor:
    torch._check(x.dim() == 3, lambda: f"pairwise_dot: x must be [B, r, e], got {x.dim()} axes")
    rows = x.shape[1]
    return x.new_empty(x.shape[0], rows * (rows - 1) // 2)


def _pairwise_dot_backward_fake(grad: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _save_first_input(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _pairwise_dot_autograd(ctx: Any, grad: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    out: Tensor = torch.ops.nasrec.pairwise_dot_backward(grad, x)
    return out


_KERNELS = _register()
