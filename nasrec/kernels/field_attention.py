"""The whole attention operator: the face of its compiled operators, their fake kernels and autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.dispatch import Operator, has_kernel, register
from nasrec.kernels.self_attention import by_softmax, wide_type

__all__ = ["field_attention"]


def field_attention(
    x: Tensor, parameters: Sequence[Tensor], heads: int, *, padded: int = 0, eps: float = 1e-5
) -> Tensor:
    """The attention operator behind its field projection: [B, f, e] -> [B, f, e]; see `reference.field_attention`."""
    if x.dim() == 3 and has_kernel("field_attention", x) and _fits(x, parameters, heads, padded):
        out: Tensor = torch.ops.nasrec.field_attention(x, parameters, heads, padded, eps)[0]
        return out
    return reference.field_attention(x, parameters, heads, padded=padded, eps=eps)


def _fits(x: Tensor, parameters: Sequence[Tensor], heads: int, padded: int) -> bool:
    """Whether the reference would not raise, and all is of one type."""
    channels = x.shape[2]
    return (
        heads >= 1
        and channels % heads == 0
        and padded >= 0
        and all(p.dtype == x.dtype and p.device == x.device for p in parameters)
        and [tuple(p.shape) for p in parameters] == _shapes(channels)
    )


def _shapes(channels: int) -> list[tuple[int, ...]]:
    """Of the parameters, in order."""
    square, row = (channels, channels), (channels,)
    return [(3 * channels, channels), (3 * channels,), square, row, row, row, square, row, square, row, row, row]


def _fake(
    x: Tensor, parameters: Sequence[Tensor], heads: int, padded: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, fields, _ = x.shape
    wide = wide_type(x)
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=wide), x.new_empty(batch, heads, fields, dtype=wide)


def _backward_fake(
    grad: Tensor,
    x: Tensor,
    parameters: Sequence[Tensor],
    mixed: Tensor,
    reciprocals: Tensor,
    heads: int,
    padded: int,
    eps: float,
) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in (x, *parameters)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, parameters, *ctx.options = inputs
    _, mixed, reciprocals = output
    ctx.mark_non_differentiable(mixed, reciprocals)
    ctx.save_for_backward(mixed, reciprocals, x, *parameters)


def _autograd(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Any, ...]:
    mixed, reciprocals, x, *parameters = ctx.saved_tensors
    grads = torch.ops.nasrec.field_attention_backward(grad, x, parameters, mixed, reciprocals, *ctx.options)
    return grads[0], grads[1:], None, None, None


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    grad, x, parameters, _, _, *ctx.options = inputs
    ctx.save_for_backward(grad, x, *parameters)


def _double_autograd(ctx: Any, grad_grads: list[Tensor]) -> tuple[Any, ...]:
    """By the definition, for gradient penalties; the forward's results are functions of the rest, so all goes there."""
    grad, *operands = (x.detach().requires_grad_() for x in ctx.saved_tensors)
    heads, padded, eps = ctx.options
    with torch.enable_grad():
        x, *parameters = operands
        by_role = dict(zip(reference.FIELD_ATTENTION_ROLES, parameters, strict=True))
        out = reference.attention_operator(x, by_role, padded, eps, lambda qkv: by_softmax(qkv, heads))
        grads = torch.autograd.grad(out, operands, grad, create_graph=True)
        of_grad, of_x, *of_parameters = torch.autograd.grad(
            grads, [grad, *operands], grad_grads, allow_unused=True, materialize_grads=True
        )
    return of_grad, of_x, of_parameters, None, None, None, None, None


register(
    "field_attention",
    Operator("field_attention", _fake, _autograd, _save),
    Operator("field_attention_backward", _backward_fake, _double_autograd, _save_backward),
)
