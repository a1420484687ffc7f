"""Pairwise dot product: the face of its compiled operators, their fake kernels and autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["pairwise_dot"]


def pairwise_dot(*x: Tensor) -> Tensor:
    """Dot products of all pairs of fields: parts [B, r_p, e] -> [B, r(r-1)/2]; see `reference.pairwise_dot`."""
    if x and x[0].dim() == 3 and has_kernel("pairwise_dot", x[0]) and reference.same_batch_and_channels(x):
        out: Tensor = torch.ops.nasrec.pairwise_dot(x)
        return out
    return reference.pairwise_dot(*x)


def _fake(x: Sequence[Tensor]) -> Tensor:
    rows = sum(part.shape[1] for part in x)
    return x[0].new_empty(x[0].shape[0], rows * (rows - 1) // 2)


def _backward_fake(grad: Tensor, x: Sequence[Tensor]) -> list[Tensor]:
    return [part.new_empty(part.shape) for part in x]


def _save_parts(ctx: Any, inputs: tuple[Sequence[Tensor]], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[0])


def _autograd(ctx: Any, grad: Tensor) -> list[Tensor]:
    out: list[Tensor] = torch.ops.nasrec.pairwise_dot_backward(grad, ctx.saved_tensors)
    return out


def _save_grad_and_parts(ctx: Any, inputs: tuple[Tensor, Sequence[Tensor]], output: list[Tensor]) -> None:
    ctx.save_for_backward(inputs[0], *inputs[1])


def _double_autograd(ctx: Any, grad_grads: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The backward is G x with G symmetric, linear in both; only gradient penalties need this."""
    grad, *parts = ctx.saved_tensors
    x, grad_grad = torch.cat(parts, 1), torch.cat(grad_grads, 1)
    cross = torch.bmm(grad_grad, x.transpose(1, 2))
    rows, columns = torch.tril_indices(x.shape[1], x.shape[1], -1, device=x.device)
    grad_of_grad = (cross + cross.transpose(1, 2))[:, rows, columns]
    return grad_of_grad, torch.ops.nasrec.pairwise_dot_backward(grad, grad_grads)


register(
    "pairwise_dot",
    Operator("pairwise_dot", _fake, _autograd, _save_parts),
    Operator("pairwise_dot_backward", _backward_fake, _double_autograd, _save_grad_and_parts),
)
