"""How to prune: how many rounds, how much in each, and what tells a structure's worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasrec.checks import format_value
from nasrec.errors import PruneError

__all__ = ["CHOICES", "PruneSettings"]

CHOICES = {
    "method": ("mask", "magnitude"),
    "by": ("macs", "structures"),
    "ranking": ("global", "matrix"),
    "norm": ("l2", "l1"),
}
"""What the settings that are words may say."""


@dataclass(frozen=True)
class PruneSettings:
    """Settings of iterative pruning. Raises `PruneError` naming the field on a value out of range.

    - `rounds`: T, how often the lowest structures are dropped.
    - `share`: how much of what is left a round drops: the model's multiply-accumulates fall by this share, or that
      share of its structures leaves, as `by` says ("macs" or "structures"). MACs of a matrix are its entries, so the
      former is the lottery ticket's share of the remaining weights.
    - `method`: "mask", learned masks (`nasrec.prune.masks`), or "magnitude", norms of trained weights
      (`nasrec.prune.scores`).
    - `ranking`: "global", one order over the model, or "matrix", each layer's structures among themselves.
    - `norm`: "l2" or "l1", of rows and columns, for the magnitudes.
    - `min_units`: rows that every matrix keeps, and fields that every embedding keeps (or all, where it has fewer).
    - `features`: whether input columns may leave too: dense features, and fields with their embedding tables.
    - `sparsity`: weight of the mean mask in the loss that masks are learned by. `mask_units`: hidden units of the mask
      generators. `mask_lr`: their peak learning rate, by Adam, whatever the weights are trained by.
    """

    rounds: int = 5
    share: float = 0.2
    method: str = "mask"
    by: str = "macs"
    ranking: str = "global"
    norm: str = "l2"
    min_units: int = 2
    features: bool = False
    sparsity: float = 0.01
    mask_units: int = 16
    mask_lr: float = 0.003

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise PruneError(f"{name} must be {' or '.join(allowed)}, not {format_value(getattr(self, name))}")
        for name in ("rounds", "min_units", "mask_units"):
            self._require(name, lambda v: type(v) is int and v >= 1, "a whole number of at least 1")
        self._require("share", lambda v: _real(v) and 0 < v < 1, "a number between 0 and 1")
        self._require("sparsity", lambda v: _real(v) and v >= 0, "a number of at least 0")
        self._require("mask_lr", lambda v: _real(v) and v > 0, "a number above 0")
        self._require("features", lambda v: type(v) is bool, "true or false")

    def _require(self, name: str, allowed: Callable[[Any], bool], what: str) -> None:
        value = getattr(self, name)
        if not allowed(value):
            raise PruneError(f"{name} must be {what}, not {format_value(value)}")


def _real(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
