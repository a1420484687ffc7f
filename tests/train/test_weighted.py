"""A row of weight w counts as w equal rows, in training, in evaluation and on the command line's way from the log."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec.baselines import build
from nasrec.data import ClickLog, Splits
from nasrec.train import TrainConfig, evaluate, predict, train
from nasrec.train.calibration import reliability


class InDouble(nn.Module):
    """Double precision throughout: what is compared is the arithmetic, not its rounding."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        logits: Tensor = self.inner(dense.double(), sparse)
        return logits


@pytest.fixture
def logs(small: Splits) -> tuple[ClickLog, ClickLog]:
    """300 rows with weights 1 to 4, and the same with each row as often as its weight says."""
    rows = small.train.take(slice(0, 300))
    weight = np.random.default_rng(0).integers(1, 5, len(rows)).astype(np.float32)
    weighted = ClickLog(rows.schema, rows.dense, rows.sparse, rows.label, "weighted", weight=weight)
    return weighted, rows.take(np.repeat(np.arange(len(rows)), weight.astype(int)))


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_training_on_weights_is_training_on_repeated_rows(logs, optimizer: str) -> None:
    config = TrainConfig(epochs=20, batch_size=2000, optimizer=optimizer, lr=0.05, clip_norm=0.3, log_every=1)
    models, results = [], []
    for log in logs:
        model = InDouble(nasrec.compile_graph(build("deepfm", log.features(4), hidden=(8,)), seed=1))
        results.append(train(model, log, log, config))
        models.append(model)
    assert results[0].steps == results[1].steps == 20  # full batches
    for name, tensor in models[0].state_dict().items():
        torch.testing.assert_close(tensor, models[1].state_dict()[name], rtol=1e-9, atol=1e-12, msg=name)
    assert [p.loss for p in results[0].history] == pytest.approx([p.loss for p in results[1].history], rel=1e-12)
    assert results[0].history[-1].loss < results[0].history[0].loss - 0.01
    for one, two in zip(results[0].evaluations, results[1].evaluations, strict=True):
        found, expected = one.metrics.to_dict(), two.metrics.to_dict()
        assert (found.pop("rows"), expected.pop("rows")) == (300, len(logs[1]))
        assert found == pytest.approx(expected, rel=1e-6)  # predictions are kept in float32


def test_small_batches_share_the_weights_of_their_rows(logs) -> None:
    """A step's loss is the weighted mean of its own rows."""
    weighted, _ = logs
    model = nasrec.compile_graph(build("logistic_regression", weighted.features(4)), seed=1)
    result = train(model, weighted, None, TrainConfig(batch_size=100, lr=1e-30, log_every=1))
    for point, (dense, sparse, label, weight) in zip(result.history, weighted.reader(100, seed=0).epoch(), strict=True):
        losses = nn.functional.binary_cross_entropy_with_logits(model(dense, sparse), label, reduction="none")
        assert point.loss == pytest.approx(((losses * weight).sum() / weight.sum()).item(), rel=1e-5)


def test_evaluation_and_calibration(logs, make_fm) -> None:
    model = make_fm(logs[0].schema)
    one, two = evaluate(model, logs[0]), evaluate(model, logs[1])
    assert one.auc == pytest.approx(two.auc, rel=1e-6) and one.click_rate == pytest.approx(two.click_rate, rel=1e-6)
    found, expected = (reliability(*predict(model, log), bins=1) for log in logs)
    assert found.bins[0].click_rate == pytest.approx(expected.bins[0].click_rate)
    assert found.bins[0].predicted == pytest.approx(expected.bins[0].predicted, rel=1e-6)
