"""A run that stops, however it stops, goes on from its checkpoint and ends bit for bit as it would have ended."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec import quant
from nasrec.baselines import build
from nasrec.errors import StateDictError, TrainError
from nasrec.layers import Quantizable
from nasrec.train import TrainConfig, TrainResult, evaluate, seed_everything, train
from nasrec.train.progress import Silent
from nasrec.train.store import FolderStore


class Stop(BaseException):
    pass


class StopAfter(Silent):
    """A process that dies after some steps, at once."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stop


def model_of(features: Any, name: str = "") -> nn.Module:
    model = nasrec.compile_graph(build("deepfm", features, hidden=(16,)), seed=3)
    if "few bits" in name:
        model = quant.quantize(model, quant.Scheme(4, 6))
        for layer in model.modules():
            if isinstance(layer, Quantizable):
                layer.observing = True
                layer.act_scale.fill_(0.05)
    return Dropped(model) if "dropout" in name else model


class Dropped(nn.Module):
    """Draws random numbers in every step."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        logits: Tensor = self.inner(nn.functional.dropout(dense, 0.3, self.training), sparse)
        return logits


SETTINGS: dict[str, dict[str, Any]] = {
    "adagrad with sparse gradients": {"sparse_embeddings": True, "eval_every": 7},
    "adam and dropout": {"optimizer": "adam", "lr": 0.02},
    "plateau and patience": {
        "optimizer": "adam", "lr": 0.1, "schedule": "plateau", "plateau_factor": 0.9, "patience": 3, "eval_every": 4,
        "epochs": 4,
    },
    "few bits whose scales follow the batches": {},
    "bfloat16": {"precision": "bfloat16", "weight_decay": 1e-3, "embedding_decay": 1e-2},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_equals_uninterrupted(small, tmp_path: Path, name: str) -> None:
    config = TrainConfig(**({"epochs": 2, "batch_size": 300, "log_every": 4} | SETTINGS[name]))
    features = small.schema.features(4)

    def run(progress: Any = None, store: Any = None) -> tuple[nn.Module, TrainResult]:
        seed_everything(random.randrange(10**6))  # whatever the process drew before
        model = model_of(features, name)
        return model, train(model, small.train, small.valid, config, progress, store=store)

    whole, expected = run()
    rng = random.Random(name)
    stops = 0
    while True:
        store = FolderStore(tmp_path, every=rng.randrange(1, 4))
        try:
            model, result = run(StopAfter(rng.randrange(3, 9)), store)
            break
        except Stop:
            stops += 1
    assert stops > 4
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key
    assert result.evaluations == expected.evaluations and result.best == expected.best
    assert [(p.step, p.loss, p.lr) for p in result.history] == [(p.step, p.loss, p.lr) for p in expected.history]
    assert (result.steps, result.rows, result.stopped_early) == (expected.steps, expected.rows, expected.stopped_early)
    if name == "plateau and patience":
        assert result.stopped_early


def test_interrupted_after_a_break_the_best_weights_are_those_of_the_report(small, tmp_path: Path) -> None:
    """The run dies after a look that no checkpoint knows of, goes on, and is interrupted before it looks again."""
    config = TrainConfig(batch_size=200, eval_every=5, log_every=1)
    features = small.schema.features(4)
    store = FolderStore(tmp_path, every=8)
    with pytest.raises(Stop):
        train(model_of(features), small.train, small.valid, config, StopAfter(12), store=store)

    class InterruptAfter(StopAfter):
        def advance(self, rows: int, loss: float) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    model = model_of(features)
    result = train(model, small.train, small.valid, config, InterruptAfter(1), store=FolderStore(tmp_path))
    assert result.interrupted and result.steps == 9 and result.best is not None and result.best.step == 5
    assert evaluate(model, small.valid, config.eval_batch_size) == result.best.metrics


def test_a_finished_run_makes_no_step(small, tmp_path: Path) -> None:
    config = TrainConfig(batch_size=1000, eval_every=2)
    features = small.schema.features(4)
    first = train(model_of(features), small.train, small.valid, config, store=FolderStore(tmp_path))
    model = model_of(features)
    again = train(model, small.train, small.valid, config, StopAfter(1), store=FolderStore(tmp_path))
    assert again.history == first.history and again.best == first.best
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(tensor, best[name]) for name, tensor in model.state_dict().items())


def test_other_runs_are_refused(small, tmp_path: Path) -> None:
    config = TrainConfig(batch_size=500)
    features = small.schema.features(4)

    def start(log: Any = small.train, settings: TrainConfig = config, channels: int = 4) -> None:
        model = model_of(small.schema.features(channels))
        train(model, log, small.valid, settings, StopAfter(3), store=FolderStore(tmp_path, every=1))

    with pytest.raises(Stop):
        start()
    for message, settings in (
        (r"a run with lr None, this one has 0\.3; give the same settings", TrainConfig(batch_size=500, lr=0.3)),
        ("a run with batch_size 500, this one has 250", TrainConfig(batch_size=250)),
    ):
        with pytest.raises(TrainError, match=message):
            start(settings=settings)
    with pytest.raises(nasrec.DataError, match="the reader's state does not fit: data was"):
        start(small.valid)
    with pytest.raises(StateDictError, match=r"weights: .* has shape \[.*\], the model expects \["):
        start(channels=8)
    train(model_of(features), small.train, small.valid, config, store=FolderStore(tmp_path))


def test_optimiser_of_another_model_is_refused(small, tmp_path: Path) -> None:
    config = TrainConfig(batch_size=500)
    store = FolderStore(tmp_path, every=1)
    with pytest.raises(Stop):
        train(model_of(small.schema.features(4)), small.train, None, config, StopAfter(3), store=store)
    path = tmp_path / "last.pt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["optimizer"]["param_groups"][0]["params"].pop()
    torch.save(checkpoint, path)
    with pytest.raises(TrainError, match="the optimiser's state does not fit the model"):
        train(model_of(small.schema.features(4)), small.train, None, config, store=FolderStore(tmp_path))
    del checkpoint["state"]["window"]
    torch.save(checkpoint, path)
    with pytest.raises(TrainError, match="the state of the run is damaged or of another version"):
        train(model_of(small.schema.features(4)), small.train, None, config, store=FolderStore(tmp_path))
    checkpoint["format"] = 0
    torch.save(checkpoint, path)
    with pytest.raises(TrainError, match="of another version of nasrec"):
        train(model_of(small.schema.features(4)), small.train, None, config, store=FolderStore(tmp_path))
