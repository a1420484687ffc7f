"""Pairwise dot product: the face of its compiled operators, their fake kernels and autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.dispatch import compiled_operators, has_kernel

__all__ = ["pairwise_dot"]


def pairwise_dot(x: Tensor) -> Tensor:
    """Dot products of all pairs of fields: [B, r, e] -> [B, r(r-1)/2]; see `reference.pairwise_dot`."""
    if x.dim() == 3 and has_kernel("pairwise_dot", x):
        out: Tensor = torch.ops.nasrec.pairwise_dot(x)
        return out
    return reference.pairwise_dot(x)


def _pairwise_dot_fake(x: Tensor) -> Tensor:
    rows = x.shape[1]
    return x.new_empty(x.shape[0], rows * (rows - 1) // 2)


def _pairwise_dot_backward_fake(grad: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _save_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _pairwise_dot_autograd(ctx: Any, grad: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    out: Tensor = torch.ops.nasrec.pairwise_dot_backward(grad, x)
    return out


def _pairwise_dot_double_autograd(ctx: Any, grad_grad: Tensor) -> tuple[Tensor, Tensor]:
    """The backward is G x with G symmetric, linear in both; only gradient penalties need this."""
    grad, x = ctx.saved_tensors
    cross = torch.bmm(grad_grad, x.transpose(1, 2))
    rows, columns = torch.tril_indices(x.shape[1], x.shape[1], -1, device=x.device)
    grad_of_grad = (cross + cross.transpose(1, 2))[:, rows, columns]
    return grad_of_grad, torch.ops.nasrec.pairwise_dot_backward(grad, grad_grad)


if compiled_operators("pairwise_dot", "pairwise_dot", "pairwise_dot_backward"):
    torch.library.register_fake("nasrec::pairwise_dot", _pairwise_dot_fake)
    torch.library.register_fake("nasrec::pairwise_dot_backward", _pairwise_dot_backward_fake)
    torch.library.register_autograd("nasrec::pairwise_dot", _pairwise_dot_autograd, setup_context=_save_inputs)
    torch.library.register_autograd(
        "nasrec::pairwise_dot_backward", _pairwise_dot_double_autograd, setup_context=_save_inputs
    )
