"""Linear along the fields, with norm and activation: the face of its compiled operators."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.product import Product

__all__ = ["field_linear"]


def field_linear(
    inputs: Sequence[Tensor],
    weight: Tensor | Sequence[Tensor],
    bias: Tensor | None = None,
    *,
    norm: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-5,
    activation: str = "none",
    keep: int | None = None,
) -> Tensor:
    """Linear along the fields, for each channel: inputs [B, f_j, e], weight [out, sum f_j] -> [B, out, e].

    See `reference.field_linear`. The weight may be given as column pieces, views of a larger matrix: only they are
    read, and their gradients have their size.
    """
    return _FIELD_LINEAR(inputs, weight, bias, norm, eps, activation, keep)


def _fake(inputs: Sequence[Tensor], out: int, keep: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    batch, _, channels = inputs[0].shape
    return (batch, keep, channels), (batch, out, channels), (batch, channels)


_FIELD_LINEAR = Product("field_linear", reference.field_linear, _fake)
