"""How to train: optimiser, schedule, when to evaluate and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nasrec.errors import TrainError

__all__ = ["CHOICES", "TrainConfig", "learning_rate"]

CHOICES = {
    "optimizer": ("adagrad", "adam", "adamw"),
    "schedule": ("cosine", "constant", "plateau"),
    "precision": ("float32", "bfloat16"),
    "monitor": ("log_loss", "auc"),
}
"""What the fields that are words may say."""

_DEFAULT_LR = {"adagrad": 0.1, "adam": 1e-3, "adamw": 1e-3}
# Rare ids see few gradients, small ones; with PyTorch's own 1e-10 Adagrad turns each into a step of the full learning
# rate, and embeddings overfit within an epoch.
_DEFAULT_EPS = {"adagrad": 1e-2, "adam": 1e-8, "adamw": 1e-8}


_OPTIONAL_COUNTS = ("eval_every", "patience", "max_steps")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Raises `TrainError` naming the field on a value out of range.

    - `epochs`: passes over the rows; `max_steps`: a smaller number of steps, None = all of them.
    - `batch_size`: rows of a step, of all ranks together.
    - `optimizer`: "adagrad", "adam" or "adamw"; `lr`: peak learning rate (None: 0.1 or 0.001); `eps`: added to the
      optimiser's denominator (None: 0.01 or 1e-8).
    - `weight_decay`: L2 penalty on all weights; `embedding_decay`: the same on embedding tables (None: `weight_decay`).
    - `precision`: "float32", or "bfloat16" for forward and backward; weights and updates stay float32.
    - `sparse_embeddings`: tables of compiled models get sparse gradients, and only the rows that a batch names are
      updated: the same result, but time and memory of a step do not grow with the tables. For Adagrad without decay.
    - `schedule`: "cosine" falls to 0 over the run, "constant" stays, "plateau" is multiplied by `plateau_factor` at
      every evaluation on the validation log that is not a new best; `warmup`: share of the steps over which the rate
      rises linearly from 0 before.
    - `clip_norm`: largest global gradient norm, None = no clipping.
    - `eval_every`: steps between evaluations on the validation log, None = after every epoch only.
    - `monitor`: "log_loss" or "auc", what picks the best weights; `patience`: evaluations without a new best before
      stopping, None = never stop early.
    - `log_every`: steps between history points. `eval_batch_size`: rows of an evaluation batch.
    - `seed`: of shuffling and of what the model draws (dropout); the initial weights are the caller's.
    """

    epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 512
    optimizer: str = "adagrad"
    lr: float | None = None
    weight_decay: float = 0.0
    embedding_decay: float | None = None
    eps: float | None = None
    precision: str = "float32"
    sparse_embeddings: bool = False
    schedule: str = "cosine"
    plateau_factor: float = 0.1
    warmup: float = 0.05
    clip_norm: float | None = 1.0
    eval_every: int | None = None
    monitor: str = "log_loss"
    patience: int | None = None
    log_every: int = 50
    eval_batch_size: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise TrainError(f"{name} {getattr(self, name)!r} is unknown; use one of {', '.join(allowed)}")
        for name in ("epochs", "batch_size", "log_every", "eval_batch_size", *_OPTIONAL_COUNTS):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL_COUNTS:
                continue
            if type(value) is not int or value < 1:
                raise TrainError(f"{name} must be a whole number of at least 1, got {value!r}")
        if type(self.seed) is not int or self.seed < 0:
            raise TrainError(f"seed must be a whole number of at least 0, got {self.seed!r}")
        for name in ("lr", "eps", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise TrainError(f"{name} must be a positive number or None, got {value!r}")
        for name, value in (("weight_decay", self.weight_decay), ("embedding_decay", self.table_decay)):
            if not (_is_number(value) and value >= 0):
                raise TrainError(f"{name} must be at least 0, got {value!r}")
        if self.sparse_embeddings and (self.optimizer != "adagrad" or self.table_decay):
            raise TrainError(
                "sparse_embeddings needs optimizer 'adagrad' and no decay of the tables, which leave other rows alone"
            )
        if not (_is_number(self.plateau_factor) and 0 < self.plateau_factor < 1):
            raise TrainError(f"plateau_factor must lie between 0 and 1, got {self.plateau_factor!r}")
        if not (_is_number(self.warmup) and 0 <= self.warmup < 1):
            raise TrainError(f"warmup is a share of the steps, from 0 to below 1, got {self.warmup!r}")

    @property
    def peak_lr(self) -> float:
        """The learning rate after warm-up."""
        return _DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    @property
    def table_decay(self) -> float:
        """L2 penalty on embedding tables."""
        return self.weight_decay if self.embedding_decay is None else self.embedding_decay

    def total_steps(self, batches: int) -> int:
        """Steps of a run over epochs of that many batches, if nothing stops it early."""
        steps = self.epochs * batches
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @property
    def denominator_eps(self) -> float:
        """The constant beside the root of squared gradients."""
        return _DEFAULT_EPS[self.optimizer] if self.eps is None else self.eps


def learning_rate(config: TrainConfig, step: int, total_steps: int, cuts: int = 0) -> float:
    """The rate of `step` (from 0) in a run of `total_steps`: linear warm-up, then constant, `cuts` times cut down by
    plateaus, or half a cosine wave."""
    warmup_steps = round(config.warmup * total_steps)
    if step < warmup_steps:
        return config.peak_lr * (step + 1) / (warmup_steps + 1)
    if config.schedule != "cosine":
        return config.peak_lr * config.plateau_factor**cuts
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return config.peak_lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
