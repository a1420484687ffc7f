"""Slices of stored tensors, as the IR's parameter references name them."""

from __future__ import annotations

import torch
from torch import Tensor

from nasrec_ir import ParamRef
from nasrec_ir.types import Segments

__all__ = ["take"]


def take(tensor: Tensor, ref: ParamRef) -> Tensor:
    """The rows and columns that a reference selects: a view where they are contiguous, else a copy."""
    if ref.whole:
        return tensor
    rows = _along(tensor, ref.rows, 0)
    return _along(rows, ref.columns, 1) if tensor.dim() == 2 else rows


def _along(tensor: Tensor, segments: Segments, dim: int) -> Tensor:
    pieces = [tensor.narrow(dim, start, stop - start) for start, stop in segments]
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces, dim) if pieces else tensor.narrow(dim, 0, 0)
