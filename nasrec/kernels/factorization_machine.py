"""Factorization machine: the face of its compiled operators, their fake kernels and autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["factorization_machine"]


def factorization_machine(x: Tensor) -> Tensor:
    """(sum)^2 - sum of squares of the fields: [B, f, e] -> [B, e]; see `reference.factorization_machine`."""
    if x.dim() == 3 and has_kernel("factorization_machine", x):
        out: Tensor = torch.ops.nasrec.factorization_machine(x)
        return out
    return reference.factorization_machine(x)


def _fake(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[2])


def _backward_fake(grad: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _save_fields(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _autograd(ctx: Any, grad: Tensor) -> Tensor:
    out: Tensor = torch.ops.nasrec.factorization_machine_backward(grad, *ctx.saved_tensors)
    return out


def _save_grad_and_fields(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _double_autograd(ctx: Any, grad_grad: Tensor) -> tuple[Tensor, Tensor]:
    """The backward, 2 g (sum x - x_i), is linear in both; only gradient penalties need this."""
    grad, x = ctx.saved_tensors
    cross = grad_grad.sum(1) * x.sum(1) - (grad_grad * x).sum(1)
    return 2 * cross, torch.ops.nasrec.factorization_machine_backward(grad, grad_grad)


register(
    "factorization_machine",
    Operator("factorization_machine", _fake, _autograd, _save_fields),
    Operator("factorization_machine_backward", _backward_fake, _double_autograd, _save_grad_and_fields),
)
