"""Slices of stored tensors, as the IR's parameter references name them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasrec_ir import ParamRef
from nasrec_ir.types import Segments

__all__ = ["Cell", "cells", "pieces", "put", "scattered", "split_columns", "take"]

MANY = 64
"""Ranges beyond which one gathered copy costs less than a view, a product and an update for each."""


def take(tensor: Tensor, ref: ParamRef) -> Tensor:
    """The rows and columns that a reference selects: a view where they are contiguous, else a copy."""
    if ref.whole:
        return tensor
    rows = _along(tensor, ref.rows, 0)
    return _along(rows, ref.columns, 1) if tensor.dim() == 2 else rows


def put(tensor: Tensor, ref: ParamRef, values: Tensor) -> None:
    """The way back from `take`: writes the rows and columns of a matrix that a `scattered` reference selects."""
    columns = _positions(ref.columns).to(tensor.device)
    for start, stop in ref.rows:
        tensor.narrow(0, start, stop - start).index_copy_(1, columns, values)


def scattered(ref: ParamRef) -> bool:
    """Whether the columns are so many ranges that they are better copied together."""
    return len(ref.columns) > MANY and len(ref.rows) == 1


def pieces(tensor: Tensor, ref: ParamRef) -> tuple[Tensor, ...]:
    """The columns of `take` as one view for each segment; one copy where the rows are not contiguous."""
    return tuple(take(tensor, part) for part in split_columns(ref))


def split_columns(ref: ParamRef) -> tuple[ParamRef, ...]:
    """A reference to each column segment; the reference itself where that makes no views, or too many."""
    if len(ref.rows) != 1 or len(ref.columns) < 2 or scattered(ref):
        return (ref,)
    return tuple(replace(ref, columns=(segment,)) for segment in ref.columns)


class Cell(NamedTuple):
    """A contiguous range of a stored tensor, and where `take` puts it."""

    stored: tuple[slice, ...]
    taken: tuple[slice, ...]


def cells(ref: ParamRef) -> tuple[Cell, ...]:
    """The contiguous ranges that a reference consists of."""
    rows = _placed(ref.rows)
    if len(ref.shape) == 1:
        return tuple(Cell((stored,), (taken,)) for stored, taken in rows)
    columns = _placed(ref.columns)
    return tuple(Cell((r, c), (to_r, to_c)) for r, to_r in rows for c, to_c in columns)


def _placed(segments: Segments) -> list[tuple[slice, slice]]:
    """Each segment, and its place when they stand side by side."""
    out, offset = [], 0
    for start, stop in segments:
        out.append((slice(start, stop), slice(offset, offset + stop - start)))
        offset += stop - start
    return out


def _along(tensor: Tensor, segments: Segments, dim: int) -> Tensor:
    if len(segments) > MANY:
        return tensor.index_select(dim, _positions(segments).to(tensor.device))
    parts = [tensor.narrow(dim, start, stop - start) for start, stop in segments]
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts, dim) if parts else tensor.narrow(dim, 0, 0)


@lru_cache(maxsize=64)
def _positions(segments: Segments) -> Tensor:
    """All positions in the segments, int64."""
    return torch.from_numpy(np.concatenate([np.arange(start, stop) for start, stop in segments]))
