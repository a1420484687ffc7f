"""The result of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.metrics import Metrics
from nasrec.train.config import TrainConfig

__all__ = ["Evaluation", "HistoryPoint", "TrainResult"]


@dataclass(frozen=True)
class HistoryPoint:
    """Training up to `step` (counted from 1): `loss` is the mean over the steps since the point before."""

    step: int
    epoch: int
    rows: int
    loss: float
    lr: float
    rows_per_s: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics on the validation log after `step` steps."""

    step: int
    epoch: int
    metrics: Metrics


@dataclass(frozen=True)
class TrainResult:
    """The result of a run. The model holds the weights of `best` if there was a validation log, else the last ones.

    `rows_per_s` is over training steps alone, without evaluations. `interrupted`: Ctrl-C ended the run;
    `stopped_early`: `patience` did.
    """

    config: TrainConfig
    steps: int
    rows: int
    train_s: float
    rows_per_s: float
    history: tuple[HistoryPoint, ...]
    evaluations: tuple[Evaluation, ...]
    best: Evaluation | None
    interrupted: bool
    stopped_early: bool
