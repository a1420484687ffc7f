"""Quantisation as models compute it: floats rounded to the values that integers of few bits stand for.

Symmetric, as `nasrec_ir.quantize` defines it: round(x / scale) clipped to +-q_max, times the scale. Gradients pass
straight through the rounding, and not at all where values are clipped (Bengio et al. 2013). Scales get none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from nasrec_ir.quantize import largest_integer

__all__ = [
    "fake_quantize",
    "fake_quantize_inputs",
    "fake_quantize_matrices",
    "fake_quantize_weight",
    "input_scale",
    "weight_scale",
]


def fake_quantize_inputs(inputs: Sequence[Tensor], bits: int, scale: Tensor | None = None) -> list[Tensor]:
    """The operands of one product, [B, ...] each, quantised by one scale.

    Args:
        inputs: the operands.
        bits: precision, sign included.
        scale: [1]; without, that at which nothing is clipped: it follows the largest magnitude in the batch.
    """
    step = input_scale(inputs, bits) if scale is None else scale
    return [fake_quantize(x, bits, step, clips=scale is not None) for x in inputs]


def fake_quantize_weight(pieces: Sequence[Tensor], bits: int, *, per_tensor: bool = False) -> tuple[Tensor, ...]:
    """The column pieces of a stored matrix [out, in], quantised by a scale for each row, or by one for all.

    The scales are those of the whole that the pieces make up. No entry is clipped.
    """
    scale = weight_scale(pieces, bits, per_tensor=per_tensor)
    return tuple(fake_quantize(piece, bits, scale, clips=False) for piece in pieces)


def fake_quantize_matrices(parameters: Iterable[Tensor], bits: int | None, *, per_tensor: bool = False) -> list[Tensor]:
    """Parameters of which the matrices are quantised as `fake_quantize_weight` does, unless `bits` is None."""
    if bits is None:
        return list(parameters)
    return [p if p.dim() == 1 else fake_quantize_weight([p], bits, per_tensor=per_tensor)[0] for p in parameters]


def fake_quantize(x: Tensor, bits: int, scale: Tensor, *, clips: bool = True) -> Tensor:
    """x rounded to whole multiples of `scale`, at most q_max of them.

    Args:
        x: any shape. bfloat16 and float16 are rounded in float32 and given back in their own type.
        bits: precision, sign included.
        scale: positive, broadcasts over x.
        clips: whether |x| may exceed q_max scales, so that gradients must be looked at.
    """
    top = float(largest_integer(bits))
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    if wide.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_exporting():
        rounded: Tensor = _StraightThrough.apply(wide, scale.to(wide.dtype), top, clips)  # type: ignore[no-untyped-call]
    else:
        rounded = _rounded(wide, scale.to(wide.dtype), top)
    return rounded.to(x.dtype)


def input_scale(inputs: Sequence[Tensor], bits: int) -> Tensor:
    """The scale [] at which the largest magnitude of several tensors becomes q_max; 1 where all is zero or empty."""
    largest = [x.detach().abs().max() for x in inputs if x.numel()]
    if not largest:
        return inputs[0].new_ones(())
    return _scale(largest[0] if len(largest) == 1 else torch.stack(largest).max(), bits)


def weight_scale(pieces: Sequence[Tensor], bits: int, *, per_tensor: bool = False) -> Tensor:
    """The scale of each row of column pieces [out, in], as [out, 1], or of all of them, as []."""
    if per_tensor:
        return input_scale(pieces, bits)
    largest = [piece.detach().abs().amax(dim=1, keepdim=True) for piece in pieces if piece.shape[1]]
    if not largest:
        return pieces[0].new_ones((len(pieces[0]), 1))
    return _scale(largest[0] if len(largest) == 1 else torch.cat(largest, dim=1).amax(dim=1, keepdim=True), bits)


def _scale(largest: Tensor, bits: int) -> Tensor:
    """In float32 at least; 1 where the magnitude is zero, or too small to be divided. NaN stays NaN."""
    wide = largest.float() if largest.dtype in (torch.bfloat16, torch.float16) else largest
    scale = wide / largest_integer(bits)
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def _rounded(x: Tensor, scale: Tensor, top: float) -> Tensor:
    return (x / scale).round_().clamp_(-top, top).mul_(scale)


class _StraightThrough(torch.autograd.Function):
    """Rounding and clipping whose gradient is that of the clipping alone."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor, top: float, clips: bool) -> Tensor:
        return _rounded(x, scale, top)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float, bool], output: Tensor) -> None:
        x, scale, ctx.top, ctx.clips = inputs
        if ctx.clips:
            ctx.save_for_backward(x, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        if ctx.clips:
            x, scale = ctx.saved_tensors
            grad = grad * ((x / scale).round().abs() <= ctx.top)
        return grad, None, None, None
