"""A model over a log, without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasrec.data.dataset import BatchSource
from nasrec.errors import TrainError
from nasrec.train.metrics import Metrics, score

__all__ = ["check_logits", "device_of", "evaluate", "forward", "predict"]


def evaluate(model: nn.Module, log: BatchSource, batch_size: int = 4096) -> Metrics:
    """Score a model on all rows of a log, in evaluation mode; the model's mode is put back afterwards.

    Raises `TrainError` when the model's output has another shape than [B] or is not finite.
    """
    logits, labels = predict(model, log, batch_size)
    return score(logits, labels)


def predict(
    model: nn.Module, log: BatchSource, batch_size: int = 4096
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits [N] and labels [N] of all rows, in the log's order."""
    device = device_of(model)
    logits, labels = [], []
    with _evaluation_mode(model), torch.no_grad():
        for dense, sparse, label in log.batches(batch_size):
            out = forward(model, dense.to(device), sparse.to(device))
            check_logits(out, label)
            logits.append(out.float())
            labels.append(label)
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).numpy()


def forward(model: nn.Module, dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
    """`model(dense, sparse)`, with a failure inside it told as a `TrainError` that gives the batch's columns."""
    try:
        logits: torch.Tensor = model(dense, sparse)
    except (RuntimeError, IndexError) as error:
        raise TrainError(
            f"the model failed on dense {list(dense.shape)}, sparse {list(sparse.shape)} with ids up to "
            f"{int(sparse.max())}: {' '.join(str(error).split())[:300]}; was it built for this log's columns and "
            "cardinalities?"
        ) from error
    return logits


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are; the CPU if it has none."""
    tensor = next(model.parameters(), None)
    return torch.device("cpu") if tensor is None else tensor.device


def check_logits(logits: object, label: torch.Tensor) -> None:
    """Raise `TrainError` unless the model's output is one logit a row."""
    if isinstance(logits, torch.Tensor) and logits.shape == label.shape and logits.is_floating_point():
        return
    got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
    raise TrainError(f"the model's forward gave {got}, expected float logits {list(label.shape)}, one for each row")


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
