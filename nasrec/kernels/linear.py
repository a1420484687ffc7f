"""Linear over several inputs, with norm and activation: the face of its compiled operators."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nasrec.kernels import reference
from nasrec.kernels.product import Product

__all__ = ["linear"]


def linear(
    inputs: Sequence[Tensor],
    weight: Tensor | Sequence[Tensor],
    bias: Tensor | None = None,
    *,
    norm: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-5,
    activation: str = "none",
    keep: int | None = None,
) -> Tensor:
    """Linear over several inputs as if concatenated: inputs [B, n_j], weight [out, sum n_j] -> [B, out].

    See `reference.linear`. The weight may be given as column pieces, views of a larger matrix: only they are read,
    and their gradients have their size.
    """
    return _LINEAR(inputs, weight, bias, norm, eps, activation, keep)


def _fake(inputs: Sequence[Tensor], out: int, keep: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    batch = inputs[0].shape[0]
    return (batch, keep), (batch, out), (batch,)


_LINEAR = Product("linear", reference.linear, _fake)
