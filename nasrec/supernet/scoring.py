"""Scores of genotypes by the shared weights, for ranking and search."""

from __future__ import annotations

import numpy as np
import torch

from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.metrics import Metrics
from nasrec.supernet.finetune import FinetuneConfig, HeadInputs, drawn, tuned
from nasrec.supernet.net import Supernet
from nasrec.train.prediction import device_of, predict_with

__all__ = ["Scorer"]


class Scorer:
    """`scorer(genotype)`: metrics of a path on validation rows, with its last linear fine-tuned first if asked for.

    The rows that all genotypes need are read once and kept in memory. A score is a function of the shared weights,
    genotype, rows and settings alone.

    Args:
        net: the supernet; stays as it is.
        valid_log: rows to score on.
        train_log: rows to fine-tune on; needed with `tuning` only.
        tuning: how the last linear is fine-tuned; default: not at all.
        most_rows: of validation, spread evenly over the log; default: all.
        batch_size: rows of a pass.
        precision: "float32", or "bfloat16" for everything before the last linear.

    Raises:
        TrainError: tuning without rows for it, or an unknown precision.
    """

    def __init__(
        self,
        net: Supernet,
        valid_log: Log,
        *,
        train_log: Log | None = None,
        tuning: FinetuneConfig | None = None,
        most_rows: int | None = None,
        batch_size: int = 2048,
        precision: str = "float32",
    ) -> None:
        if tuning is not None and train_log is None:
            raise TrainError("fine-tuning needs rows to train on; give train_log")
        if precision not in ("float32", "bfloat16"):
            raise TrainError(f"precision {precision!r} is unknown; use float32 or bfloat16")
        self.net, self.tuning, self.batch_size = net, tuning, batch_size
        self._dtype = torch.bfloat16 if precision == "bfloat16" else None
        self._valid = _spread(valid_log, most_rows)
        self._train = None if train_log is None or tuning is None else drawn(train_log, tuning)

    def __call__(self, genotype: Genotype) -> Metrics:
        """Raises `SpaceError` where the genotype is not in the supernet's space."""
        inputs = HeadInputs(self.net, genotype, self._dtype)
        head = inputs.head
        if self.tuning is not None and self._train is not None:
            head = tuned(inputs, self._train, self.tuning)
        return predict_with(
            lambda dense, sparse: head(inputs(dense, sparse)), device_of(self.net), self._valid, self.batch_size
        ).score()


def _spread(log: Log, most: int | None) -> Log:
    """At most so many rows, evenly spaced, in memory."""
    if most is None or log.num_rows <= most:
        return log
    return log.take(np.linspace(0, log.num_rows - 1, most).astype(np.int64))
