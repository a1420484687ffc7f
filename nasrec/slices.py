"""Slices of stored tensors, as the IR's parameter references name them."""

from __future__ import annotations

import torch
from torch import Tensor

from nasrec_ir import ParamRef
from nasrec_ir.types import Segments

__all__ = ["pieces", "take"]


def take(tensor: Tensor, ref: ParamRef) -> Tensor:
    """The rows and columns that a reference selects: a view where they are contiguous, else a copy."""
    if ref.whole:
        return tensor
    rows = _along(tensor, ref.rows, 0)
    return _along(rows, ref.columns, 1) if tensor.dim() == 2 else rows


def pieces(tensor: Tensor, ref: ParamRef) -> tuple[Tensor, ...]:
    """The columns of `take` as one view for each segment; one copy where the rows are not contiguous."""
    if ref.whole or len(ref.rows) != 1 or len(ref.columns) < 2:
        return (take(tensor, ref),)
    rows = _along(tensor, ref.rows, 0)
    return tuple(rows.narrow(1, start, stop - start) for start, stop in ref.columns)


def _along(tensor: Tensor, segments: Segments, dim: int) -> Tensor:
    pieces = [tensor.narrow(dim, start, stop - start) for start, stop in segments]
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces, dim) if pieces else tensor.narrow(dim, 0, 0)
