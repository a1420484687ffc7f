"""Models with batch norm and dropout in the loop: reproducible, resumable, equal on all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import nasrec
from nasrec import CompiledModel, baselines
from nasrec.data import Splits, SyntheticLog, synthesize
from nasrec.train import TrainConfig, evaluate, train
from nasrec.train.distributed.context import DistributedContext
from nasrec.train.learner import ModelLearner, StepBatch
from nasrec.train.progress import Silent
from nasrec.train.store import FolderStore

CONFIG = TrainConfig(epochs=2, batch_size=128, optimizer="adam", lr=0.01, monitor="auc", patience=2, schedule="plateau")


@pytest.fixture(scope="module")
def splits() -> Splits:
    synthetic: SyntheticLog = synthesize("frappe", 1500, seed=4)
    return synthetic.log.split()


def make(splits: Splits, seed: int = 0) -> CompiledModel:
    graph = baselines.deepfm(splits.train.features(4), hidden=(8, 8), dropout=0.3, batch_norm=True)
    return nasrec.compile_graph(graph, seed=seed, embedding_std=1e-2)


def same(one: CompiledModel, two: CompiledModel) -> bool:
    other = two.state_dict()
    return all(torch.equal(value, other[key]) for key, value in one.state_dict().items())


class Stop(Silent):
    """Ctrl-C after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_resumed_run_is_the_uninterrupted_one(splits: Splits, tmp_path: Path) -> None:
    """Bit for bit: what a step drops follows from its number, and running statistics are in the checkpoint."""
    whole, model = make(splits), make(splits)
    expected = train(whole, splits.train, splits.valid, CONFIG)
    assert train(model, splits.train, splits.valid, CONFIG, Stop(7), store=FolderStore(tmp_path)).interrupted
    fresh = make(splits, seed=1)
    torch.manual_seed(77)
    resumed = train(fresh, splits.train, splits.valid, CONFIG, store=FolderStore(tmp_path))
    assert same(fresh, whole) and resumed.evaluations == expected.evaluations


def test_the_best_weights_come_with_their_statistics(splits: Splits) -> None:
    model = make(splits)
    result = train(model, splits.train, splits.valid, CONFIG)
    assert result.best is not None and evaluate(model, splits.valid) == result.best.metrics


def test_a_last_batch_of_one_row_is_trained_on(splits: Splits) -> None:
    model = make(splits)
    config = TrainConfig(batch_size=len(splits.train) - 1)
    assert train(model, splits.train, None, config).steps == 2
    assert all(value.isfinite().all() for value in model.state_dict().values())


@dataclass(frozen=True)
class Pair(DistributedContext):
    """Two ranks in one process: what the other one holds is given beforehand."""

    size: int = 2
    other: tuple[Tensor, ...] = ()

    def all_gather(self, values: Sequence[int]) -> list[list[int]]:
        return [list(values)] * 2

    def all_reduce_(self, tensors: Sequence[Tensor]) -> None:
        if len(tensors) == len(self.other):  # running statistics; gradients are many more
            for tensor, other in zip(tensors, self.other, strict=True):
                tensor.add_(other)


def test_running_statistics_are_the_mean_over_the_ranks(splits: Splits) -> None:
    """As after a batch of each rank's own; how gradients are shared is another matter."""
    dense, sparse, label = next(iter(splits.train.reader(256, seed=0).epoch()))
    halves = [StepBatch(dense[i::2], sparse[i::2], label[i::2], None, 256.0) for i in range(2)]
    alone = []
    for half in halves:
        model = make(splits)
        torch.manual_seed(6)
        ModelLearner(model.train(), CONFIG).step(half, 0, 0.0)
        alone.append([value.clone() for value in model.buffers()])
    model = make(splits)
    torch.manual_seed(6)
    ModelLearner(model.train(), CONFIG, Pair(other=tuple(alone[1]))).step(halves[0], 0, 0.0)
    assert len(alone[0]) == 4
    for got, one, two in zip(model.buffers(), *alone, strict=True):
        torch.testing.assert_close(got, (one + two) / 2)
