"""Training steps: what every benchmark of whole models shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.train import adagrad as optim

__all__ = ["ADAGRAD", "LEARNING_RATE", "adagrad", "our_adagrad", "train_step"]

ADAGRAD: Mapping[str, Mapping[str, Any]] = {
    "release": {"eps": 1e-2},
    "plain": {},
    "fused": {"eps": 1e-2, "fused": True},
}
"""Settings of `torch.optim.Adagrad`: the published release's, the library's own, the release's in one pass."""

LEARNING_RATE = 0.01


def adagrad(parameters: Iterable[nn.Parameter], settings: str = "release") -> torch.optim.Optimizer:
    """The reference's optimiser; `settings` is one of `ADAGRAD`."""
    return torch.optim.Adagrad(parameters, lr=LEARNING_RATE, **ADAGRAD[settings])


def our_adagrad(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Ours, with the release's settings."""
    return optim.Adagrad(parameters, lr=LEARNING_RATE, eps=ADAGRAD["release"]["eps"])


def train_step(forward: Callable[[], Tensor], label: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Forward, binary cross-entropy, backward, update, gradients let go."""
    loss = binary_cross_entropy_with_logits(forward(), label)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
