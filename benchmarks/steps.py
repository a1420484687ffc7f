"""A batch, and a training step: what every benchmark of whole models shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec import FeatureSpec

__all__ = ["ADAGRAD", "Batch", "adagrad", "train_step"]

ADAGRAD = {"release": {"eps": 1e-2}, "plain": {}, "fused": {"eps": 1e-2, "fused": True}}
"""Settings of `torch.optim.Adagrad`: the published release's, the library's own, the release's in one pass."""

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Batch:
    """Rows: dense [B, n] float, sparse [B, m] int64, target [B] of 0 and 1."""

    dense: Tensor
    sparse: Tensor
    target: Tensor

    @classmethod
    def random(cls, features: FeatureSpec, size: int, device: str, seed: int = 0) -> Batch:
        """Normal numbers, categories evenly spread over their tables."""
        generator = torch.Generator().manual_seed(seed)
        dense = torch.randn(size, features.num_dense, generator=generator)
        columns = [torch.randint(rows, (size,), generator=generator) for rows in features.cardinalities]
        target = torch.randint(2, (size,), generator=generator).float()
        return cls(dense.to(device), torch.stack(columns, dim=1).to(device), target.to(device))


def adagrad(parameters: Iterable[nn.Parameter], settings: str = "release") -> torch.optim.Optimizer:
    """The optimiser; `settings` is one of `ADAGRAD`."""
    chosen: dict[str, bool | float] = dict(ADAGRAD[settings])
    return torch.optim.Adagrad(parameters, lr=LEARNING_RATE, **chosen)  # type: ignore[arg-type]


def train_step(forward: Callable[[], Tensor], target: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Forward, binary cross-entropy, backward, update, gradients let go."""
    loss = binary_cross_entropy_with_logits(forward(), target)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
