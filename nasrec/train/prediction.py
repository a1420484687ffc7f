"""Predictions of a model on a log, and their scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasrec.compiler.modes import evaluating
from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.metrics import Metrics, score
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext

__all__ = ["Predictions", "check_logits", "device_of", "evaluate", "forward", "predict", "predict_with"]


class Predictions(NamedTuple):
    """float32 [N] each, but `weights` may be None."""

    logits: NDArray[np.float32]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None

    def score(self) -> Metrics:
        """How good they are."""
        return score(*self)


def evaluate(
    model: nn.Module, log: Log, batch_size: int = 4096, *, context: DistributedContext = SINGLE_PROCESS
) -> Metrics:
    """Scores a model on all rows of a log, in evaluation mode; the model's mode is put back afterwards.

    Raises `TrainError` when the model's output has another shape than [B] or is not finite.
    """
    return predict(model, log, batch_size, context=context).score()


def predict(
    model: nn.Module, log: Log, batch_size: int = 4096, *, context: DistributedContext = SINGLE_PROCESS
) -> Predictions:
    """Logits, labels and weights of all rows, in the log's order; each of several ranks computes its share of them,
    and gets all, a batch of one rank after that of another."""
    with evaluating(model):
        return predict_with(model, device_of(model), log, batch_size, context)


def predict_with(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    device: torch.device,
    log: Log,
    batch_size: int,
    context: DistributedContext = SINGLE_PROCESS,
) -> Predictions:
    """As `predict`, for anything that maps dense and sparse rows to logits."""
    share = -(-batch_size // context.size)
    columns: list[list[torch.Tensor]] = [[], [], []]
    with torch.no_grad():
        reader = log.reader(share, shuffle="none", rank=context.rank, world_size=context.size)
        for dense, sparse, label, *weight in reader.epoch():
            if not len(label):
                # The last share of a rank, see `Reader`. A model whose tables lie on all ranks still needs this one.
                forward(
                    model,
                    dense.new_zeros(1, dense.shape[1]).to(device),
                    sparse.new_zeros(1, sparse.shape[1]).to(device),
                )
                continue
            out = forward(model, dense.to(device), sparse.to(device))
            check_logits(out, label)
            for column, values in zip(columns, (out.float(), label, *weight), strict=False):
                column.append(values)
    # Gathered on the CPU, where the score is computed.
    found = [context.all_gather_rows(torch.cat(column).cpu()).numpy() for column in columns if column]
    return Predictions(found[0], found[1], found[2] if len(found) == 3 else None)


def forward(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], dense: torch.Tensor, sparse: torch.Tensor
) -> torch.Tensor:
    """`model(dense, sparse)`, with a failure inside it told as a `TrainError` that gives the batch's columns."""
    try:
        logits = model(dense, sparse)
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
