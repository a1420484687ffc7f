"""Self-attention of the fields: the face of its compiled operators, their fake kernels and autograd."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["self_attention"]


def self_attention(qkv: Tensor, heads: int, dropout: float = 0.0) -> Tensor:
    """Multi-head attention of the fields: packed Q, K, V [B, f, 3e] -> [B, f, e]; see `reference.self_attention`.

    With dropout, plain PyTorch computes it.
    """
    if not dropout and qkv.dim() == 3 and has_kernel("self_attention", qkv) and _fits(qkv, heads):
        out: Tensor = torch.ops.nasrec.self_attention(qkv, heads)[0]
        return out
    return reference.self_attention(qkv, heads, dropout)


def _fits(qkv: Tensor, heads: int) -> bool:
    """Whether the reference would not raise."""
    return heads >= 1 and qkv.shape[2] % (3 * heads) == 0


def _self_attention_fake(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    batch, fields, packed = qkv.shape
    return qkv.new_empty(batch, fields, packed // 3), qkv.new_empty(batch, heads, fields, dtype=wide_type(qkv))


def wide_type(x: Tensor) -> torch.dtype:
    """The type in which kernels accumulate elements of x."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _self_attention_backward_fake(grad: Tensor, qkv: Tensor, out: Tensor, reciprocals: Tensor, heads: int) -> Tensor:
    return qkv.new_empty(qkv.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, ctx.heads = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(qkv, *output)


def _self_attention_autograd(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
    qkv, out, reciprocals = ctx.saved_tensors
    return torch.ops.nasrec.self_attention_backward(grad, qkv, out, reciprocals, ctx.heads), None


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, qkv, _, _, ctx.heads = inputs
    ctx.save_for_backward(grad, qkv)


def _self_attention_double_autograd(ctx: Any, grad_grad: Tensor) -> tuple[Tensor | None, ...]:
    """By the definition, for gradient penalties; the forward's results are functions of qkv, so all goes there."""
    grad, qkv = (x.detach().requires_grad_() for x in ctx.saved_tensors)
    with torch.enable_grad():
        out = by_softmax(qkv, ctx.heads)
        (grad_qkv,) = torch.autograd.grad(out, qkv, grad, create_graph=True)
        grad_of_grad, grad_of_qkv = torch.autograd.grad(grad_qkv, (grad, qkv), grad_grad)
    return grad_of_grad, grad_of_qkv, None, None, None


def by_softmax(qkv: Tensor, heads: int) -> Tensor:
    """The definition in operations that can be differentiated any number of times, which SDPA's cannot."""
    q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind()  # each [B, heads, f, e/heads]
    weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[3]), dim=3)
    mixed: Tensor = weights @ v
    return mixed.transpose(1, 2).flatten(2)


register(
    "self_attention",
    Operator("self_attention", _self_attention_fake, _self_attention_autograd, _save),
    Operator("self_attention_backward", _self_attention_backward_fake, _self_attention_double_autograd, _save_backward),
)
