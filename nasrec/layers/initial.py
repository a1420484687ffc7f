"""Initial values that several layers share."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["xavier_uniform"]


def xavier_uniform(weight: Tensor) -> None:
    """Draws them in place: Xavier-uniform."""
    if weight.numel():  # a product over no columns has nothing to draw
        nn.init.xavier_uniform_(weight)
