"""Rows to time a model on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nasrec.features import FeatureSpec

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Rows to run on: dense [B, num_dense] float, sparse [B, num_sparse] int64, label [B] float of 0 and 1."""

    dense: Tensor
    sparse: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def random(cls, features: FeatureSpec, size: int, *, device: torch.device, seed: int = 0) -> Batch:
        """Normal numbers, categories evenly spread over their tables, labels of both kinds."""
        generator = torch.Generator().manual_seed(seed)
        dense = torch.randn(size, features.num_dense, generator=generator)
        sparse = torch.empty(size, features.num_sparse, dtype=torch.int64)
        for column, rows in enumerate(features.cardinalities):
            sparse[:, column] = torch.randint(rows, (size,), generator=generator)
        label = torch.randint(2, (size,), generator=generator).float()
        return cls(dense.to(device), sparse.to(device), label.to(device))
