"""Training and evaluation of any model of the form `model(dense, sparse) -> logits`."""

from __future__ import annotations

from nasrec.metrics import Metrics, score
from nasrec.train.config import TrainConfig
from nasrec.train.loop import train
from nasrec.train.predict import evaluate, predict
from nasrec.train.progress import Progress, console_progress
from nasrec.train.recipe import TrainingRecipe
from nasrec.train.result import Evaluation, HistoryPoint, TrainResult
from nasrec.train.seeding import seed_everything

__all__ = [
    "Evaluation",
    "HistoryPoint",
    "Metrics",
    "Progress",
    "TrainConfig",
    "TrainResult",
    "TrainingRecipe",
    "console_progress",
    "evaluate",
    "predict",
    "score",
    "seed_everything",
    "train",
]
