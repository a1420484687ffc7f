"""Training and evaluation of any model of the form `model(dense, sparse) -> logits`.

Names load on first use: settings alone (`TrainConfig`) need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrec._lazy import lazy

if TYPE_CHECKING:
    from nasrec.metrics import Metrics, score
    from nasrec.train.config import TrainConfig
    from nasrec.train.loop import train
    from nasrec.train.prediction import evaluate, predict
    from nasrec.train.progress import Progress, console_progress
    from nasrec.train.recipe import TrainingRecipe
    from nasrec.train.result import Evaluation, HistoryPoint, TrainResult
    from nasrec.train.seeding import seed_everything

_HOMES = {
    "Evaluation": "nasrec.train.result",
    "HistoryPoint": "nasrec.train.result",
    "Metrics": "nasrec.metrics",
    "Progress": "nasrec.train.progress",
    "TrainConfig": "nasrec.train.config",
    "TrainResult": "nasrec.train.result",
    "TrainingRecipe": "nasrec.train.recipe",
    "console_progress": "nasrec.train.progress",
    "evaluate": "nasrec.train.prediction",
    "predict": "nasrec.train.prediction",
    "score": "nasrec.metrics",
    "seed_everything": "nasrec.train.seeding",
    "train": "nasrec.train.loop",
}

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


__getattr__, __dir__ = lazy(__name__, _HOMES)
