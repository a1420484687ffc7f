"""Small runs that several ranks make, and one alone.

`python -m tests.train.distributed.ranks_cases FOLDER` is one of the ranks.

Each case gives plain values and tensors, which that process leaves in FOLDER/RANK.pt.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nasrec
from nasrec import quant
from nasrec.baselines import build
from nasrec.data import ClickLog, Splits, synthesize
from nasrec.layers import Quantizable
from nasrec.train import TrainConfig, TrainResult, evaluate, predict, train
from nasrec.train.distributed.context import DistributedContext, joined
from nasrec.train.store import FolderStore

Case = Callable[[DistributedContext, Path], dict[str, Any]]


def rows(count: int = 1301) -> Splits[ClickLog]:
    """Few, and by no batch size an even number."""
    return synthesize("criteo", count, seed=2, max_cardinality=300).log.split()


class InDouble(nn.Module):
    """Double precision inside, since sums come in another order on two ranks; a row counts by itself."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return self.inner(dense.double(), sparse)


def model_for(log: ClickLog, seed: int = 0) -> nn.Module:
    return InDouble(nasrec.compile_graph(build("deepfm", log.features(4)), seed=seed))


def outcome(model: nn.Module, result: TrainResult) -> dict[str, Any]:
    return {
        "weights": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "losses": torch.tensor([point.loss for point in result.history]),
        "scores": torch.tensor([[one.metrics.log_loss, one.metrics.auc] for one in result.evaluations]),
        "counts": [result.steps, result.rows, result.stopped_early, result.interrupted],
        "best": result.best and result.best.step,
    }


def trained(
    context: DistributedContext, splits: Splits[ClickLog], config: TrainConfig, store: FolderStore | None = None
) -> Any:
    model = model_for(splits.train, seed=context.rank)  # the first rank's weights count
    return outcome(model, train(model, splits.train, splits.valid, config, store=store, context=context))


def dense_gradients(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Adagrad, clipped, with decay; the last batch is uneven; the best weights are not the last."""
    config = TrainConfig(epochs=4, batch_size=128, lr=0.9, clip_norm=0.5, weight_decay=1e-3, log_every=3, eval_every=4)
    return trained(context, rows(), config)


def adam(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """With plateaus and early stopping, which each rank decides."""
    config = TrainConfig(
        epochs=9, batch_size=128, optimizer="adam", lr=0.01, schedule="plateau", patience=2, eval_every=5, log_every=7
    )
    return trained(context, rows(), config)


def sparse_gradients(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Only touched rows travel; rows weigh differently; clipped by a norm over rows that both ranks touch."""
    splits = rows()
    weighted = ClickLog(
        splits.train.schema, splits.train.dense, splits.train.sparse, splits.train.label, "weighted",
        weight=np.random.default_rng(0).integers(1, 9, len(splits.train)).astype(np.float32),
    )  # fmt: skip
    config = TrainConfig(epochs=2, batch_size=128, lr=0.3, clip_norm=0.05, sparse_embeddings=True, log_every=3)
    return trained(context, Splits(weighted, splits.valid, splits.test), config)


class Moody(nn.Module):
    """Reaches some weights on some rows only, in turns with dense and with sparse gradients, and one never."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.rare = nn.Embedding(ids, 2, sparse=True).double()
        self.twice = nn.Parameter(torch.ones(ids, 1, dtype=torch.float64))
        self.never = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.scale = nn.Parameter(torch.ones(300, 300, dtype=torch.float64))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        logits = self.bias + dense.double().sum(1) * self.scale.mean()
        chosen = dense[:, 0] > 1.2
        if chosen.any():
            ids = sparse[:, 0] * chosen
            logits = logits + chosen * (self.rare(ids).sum(1) + self.twice[ids, 0])
        return logits


def gradients_of_few_rows(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Ranks without a gradient for a weight beside ranks with one; weights without any stay, decay or not."""
    splits = rows(301)
    torch.manual_seed(context.rank)
    model = Moody(splits.train.schema.cardinalities[0])
    config = TrainConfig(epochs=2, batch_size=8, sparse_embeddings=True, log_every=5)
    return outcome(model, train(model, splits.train, None, config, context=context))


def batch_norm(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Each rank drops and normalises its own rows; two ranks are not one with the same batch then."""
    splits = rows()
    graph = build("deepfm", splits.train.features(4), hidden=(8, 8), batch_norm=True, dropout=0.2)
    model = InDouble(nasrec.compile_graph(graph, seed=context.rank))
    config = TrainConfig(epochs=3, batch_size=128, lr=0.05, monitor="auc", eval_every=3)
    return outcome(model, train(model, splits.train, splits.valid, config, context=context))


def few_bits(context: DistributedContext, folder: Path, observing: bool = False) -> dict[str, Any]:
    """Quantisation-aware, with calibrated scales."""
    splits = rows(601)
    graph = build("dlrm", splits.train.features(4), bottom=(8,), hidden=(8,))
    model = quant.quantize(nasrec.compile_graph(graph, seed=context.rank).double(), quant.Scheme(4, 6))
    for layer in (layer for layer in model.modules() if isinstance(layer, Quantizable)):
        layer.observing = observing
    quant.calibrate(model, splits.train)
    config = TrainConfig(epochs=2, batch_size=64, lr=0.1, log_every=3)
    whole = InDouble(model)
    return outcome(whole, train(whole, splits.train, splits.valid, config, context=context))


def few_bits_observed(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """The scales follow each rank's own rows; two ranks are not one with the same batch then."""
    return few_bits(context, folder, observing=True)


class StopAfter(nn.Module):
    """Sends its process what Ctrl-C sends, in the midst of a step."""

    def __init__(self, inner: nn.Module, steps: int) -> None:
        super().__init__()
        self.inner, self.left = inner, steps

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        self.left -= self.training
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self.inner(dense, sparse)


RESUMED = TrainConfig(epochs=2, batch_size=64, lr=0.2, eval_every=6, log_every=4, sparse_embeddings=True)


def interrupted(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """A run that stops after its eighth step; in FOLDER/interrupted is its checkpoint. Only the last rank is asked."""
    splits, inner = rows(), model_for(rows().train)
    model = StopAfter(inner, 8 if context.rank == context.size - 1 else -1)
    store = FolderStore(folder / "interrupted") if context.is_main else None
    return outcome(inner, train(model, splits.train, splits.valid, RESUMED, store=store, context=context))


def resumed(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Goes on from FOLDER/resume, which is the first rank's own."""
    splits, inner = rows(), model_for(rows().train, seed=context.rank)
    store = FolderStore(folder / "resume") if context.is_main else None
    done = train(StopAfter(inner, -1), splits.train, splits.valid, RESUMED, store=store, context=context)
    return outcome(inner, done)


def exchanges(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """What `DistributedContext` offers, on uneven shares of 0 .. 9."""
    share = torch.arange(10)[context.rank * 7 : 7 + 3 * context.rank] if context.size == 2 else torch.arange(10)
    large, column = torch.full((300, 300), 1.0 / context.size), torch.ones(4, 6)[:, ::2] / context.size
    half = torch.ones(3, dtype=torch.bfloat16) / context.size
    context.all_reduce_([large, column, half])
    copied = torch.full((3, 4), float(context.rank)).t()
    context.broadcast_([copied])
    nested = {"a": [torch.tensor(3), {"b": torch.arange(4.0).view(2, 2).t()}], "c": (None, "text", 1.5)}
    context.barrier()
    return {
        "total": torch.tensor(context.sum((float(len(share)), 1.0 / context.size))),
        "gathered": context.all_gather_rows(share),
        "gathered_rows": context.all_gather_rows(share[:, None].repeat(1, 2)),
        "nothing": context.all_gather_rows(torch.empty(0, 3)),
        "added": [float(large.sum()), float(column.sum()), float(half.sum())],
        "copied": copied,
        "from_first": flat(context.broadcast_object(nested if context.is_main else None)),
    }


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for inner in value.values() for item in flat(inner)]
    return [item for inner in value for item in flat(inner)] if isinstance(value, list | tuple) else [value]


def scored(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """All rows once, whichever rank computes them; shares differ in size."""
    splits = rows(301)
    model = model_for(splits.train)
    found = predict(model, splits.train, 64, context=context)
    score = evaluate(model, splits.train, 64, context=context)
    return {
        "logits": np.sort(found.logits),
        "counts": len(found.labels),
        "clicks": float(found.labels.sum()),
        "score": torch.tensor(score.log_loss),
    }


CASES: tuple[Case, ...] = (
    exchanges, scored, dense_gradients, adam, sparse_gradients, gradients_of_few_rows, batch_norm, few_bits,
    few_bits_observed, interrupted, resumed,
)  # fmt: skip


def main(folder: Path) -> None:
    with joined() as context:
        results = {case.__name__: case(context, folder) for case in CASES}
    torch.save(results, folder / f"{context.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
