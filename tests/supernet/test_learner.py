"""Training a supernet: it learns, repeats, resumes, and does in slices what whole-store training does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nasrec import SearchSpace, Supernet
from nasrec.data import ClickLog, Splits
from nasrec.errors import FeatureError, PassError, StateDictError, TrainError
from nasrec.supernet import PathSampling, Scorer, SupernetLearner, train
from nasrec.supernet.ahead import PathPrefetcher
from nasrec.train import TrainConfig, TrainResult
from nasrec.train.learner import StepBatch, click_loss
from nasrec.train.progress import Silent
from nasrec.train.store import FolderStore

MakeNet = Callable[..., Supernet]
CONFIG = TrainConfig(lr=0.12, batch_size=64, max_steps=40, log_every=10)


class StopAt(Silent):
    """Ends a run after some steps: by Ctrl-C, or by an error that nobody expects."""

    def __init__(self, steps: int, error: BaseException) -> None:
        self.left, self.error = steps, error

    def advance(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


def same(one: Supernet, other: Supernet) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def losses(result: TrainResult) -> list[float]:
    return [point.loss for point in result.history]


def batches(log: ClickLog, size: int) -> list[StepBatch]:
    return [StepBatch(*columns, None, size) for columns in log.reader(size).epoch() if len(columns[2]) == size]


def test_a_supernet_learns_and_its_subnets_rank_clicks(splits: Splits, make_net: MakeNet) -> None:
    net, untrained = make_net(), make_net()
    config = TrainConfig(lr=0.12, batch_size=64, epochs=2, log_every=50)
    result = train(net, splits.train, None, config)
    assert result.steps == 300 and result.best is None
    assert losses(result)[-1] < 0.75 * losses(result)[0]
    space, rng = net.space, np.random.default_rng(5)
    for genotype in [space.sample(rng, operators="single", counts="binomial") for _ in range(2)]:
        metrics = Scorer(net, splits.valid)(genotype)
        assert metrics.auc > 0.6 and metrics.normalised_entropy < 1, "better than chance"
        before = Scorer(untrained, splits.valid)(genotype)
        assert metrics.auc > before.auc + 0.05 and metrics.log_loss < before.log_loss


@pytest.mark.parametrize("masking", ["full_width", "sliced"])
def test_two_runs_are_equal_and_seeds_matter(splits: Splits, make_net: MakeNet, masking: str) -> None:
    nets = [make_net(masking=masking) for _ in range(3)]
    found = [
        losses(train(net, splits.train, None, replace(CONFIG, seed=seed)))
        for net, seed in zip(nets, (0, 0, 1), strict=True)
    ]
    assert same(nets[0], nets[1]) and found[0] == found[1]
    assert not same(nets[0], nets[2])


@pytest.mark.parametrize(
    ("stop", "every"),
    [
        (StopAt(3, KeyboardInterrupt()), None),  # within the warm-up of 8 steps
        (StopAt(25, KeyboardInterrupt()), None),
        (StopAt(9, RuntimeError("killed")), 4),  # two checkpoints old enough
        (StopAt(5, RuntimeError("killed")), 2),
    ],
)
def test_a_resumed_run_ends_like_an_unbroken_one(
    splits: Splits, make_net: MakeNet, tmp_path: Path, stop: StopAt, every: int | None
) -> None:
    whole, broken = make_net(), make_net()
    straight = FolderStore(tmp_path / "whole")
    want = train(whole, splits.train, splits.valid, CONFIG, store=straight)
    store = FolderStore(tmp_path / "run", every)
    progress = StopAt(stop.left, stop.error)
    if isinstance(stop.error, KeyboardInterrupt):
        assert train(broken, splits.train, splits.valid, CONFIG, progress=progress, store=store).interrupted
    else:
        with pytest.raises(RuntimeError, match="killed"):
            train(broken, splits.train, splits.valid, CONFIG, progress=progress, store=store)
    resumed = make_net(seed=9)
    result = train(resumed, splits.train, splits.valid, CONFIG, store=FolderStore(tmp_path / "run", every))
    assert same(whole, resumed) and losses(result) == losses(want)
    assert [evaluation.metrics for evaluation in result.evaluations] == [
        evaluation.metrics for evaluation in want.evaluations
    ]
    ends = [FolderStore(tmp_path / name).load() for name in ("whole", "run")]
    sums = [end["optimizer"]["sums"] for end in ends if end is not None]
    assert all(torch.equal(value, sums[1][name]) for name, value in sums[0].items())


def test_a_checkpoint_of_another_run_is_refused(splits: Splits, make_net: MakeNet, tmp_path: Path) -> None:
    config = replace(CONFIG, max_steps=2)
    train(make_net(), splits.train, None, config, store=FolderStore(tmp_path))
    with pytest.raises(TrainError, match=r"sampling.strategy"):
        train(make_net(), splits.train, None, config, PathSampling("any-operator-any-connection"),
              store=FolderStore(tmp_path))  # fmt: skip
    other = make_net(space=SearchSpace.full(2, dense_dims=(16, 64), sparse_dims=(16,)))
    with pytest.raises(TrainError, match=r"supernet.space.dense_widths"):
        train(other, splits.train, None, config, store=FolderStore(tmp_path))


def test_the_last_weights_stay_unless_early_stopping_is_asked_for(splits: Splits, make_net: MakeNet) -> None:
    config = TrainConfig(lr=1.0, batch_size=64, max_steps=12, eval_every=2, clip_norm=None, schedule="constant")
    last = make_net()
    first = train(last, splits.train, splits.valid, config)
    best = make_net()
    result = train(best, splits.train, splits.valid, replace(config, patience=6))
    assert first.best is not None and first.best.step < 12, "the rate is too high to end well"
    assert result.best == first.best and not same(last, best)


def test_looks_are_means_over_a_fixed_panel(splits: Splits, make_net: MakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    net = make_net()
    learner = SupernetLearner(net, CONFIG, PathSampling(), 40)
    found = learner.evaluate(splits.valid, 300)
    scores = [Scorer(net, splits.valid)(path) for path in learner.panel()]
    assert len(set(learner.panel())) == 5 and net.widest not in learner.panel()
    assert found.log_loss == pytest.approx(np.mean([score.log_loss for score in scores]), rel=1e-5)
    assert found.auc == pytest.approx(np.mean([score.auc for score in scores]), rel=1e-5)
    assert found.rows == splits.valid.num_rows
    monkeypatch.setattr("nasrec.supernet.learner.PANEL_ROWS", 100)
    assert learner.evaluate(splits.valid, 300).rows == 100
    assert SupernetLearner(net, replace(CONFIG, seed=7), PathSampling(), 40).panel() == learner.panel()


@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_steps_equal_training_of_the_whole_store(splits: Splits, make_net: MakeNet, clip_norm: float | None) -> None:
    """Clipping counts the gradient that the whole store would have, tables' rows that recur included."""
    net, twin = make_net().double(), make_net().double()
    learner = SupernetLearner(net, replace(CONFIG, clip_norm=clip_norm), PathSampling(), 5)
    torchs = torch.optim.Adagrad(twin.parameters(), 0.1, eps=1e-2)
    for step, batch in enumerate(batches(splits.train, 64)[:5]):
        batch = StepBatch(batch.dense.double(), batch.sparse, batch.label, None, batch.total)
        learner.step(batch, step, 0.1)
        torchs.zero_grad(set_to_none=False)
        click_loss(twin(batch.dense, batch.sparse, learner.sampler.path(step)), batch).backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        torchs.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name], rtol=1e-5, atol=1e-7, msg=name)


def test_a_row_of_weight_two_is_two_rows(splits: Splits, make_net: MakeNet) -> None:
    dense, sparse, label = next(iter(splits.train.batches(8)))
    twice = [torch.cat([column, column[:3]]) for column in (dense, sparse, label)]
    weights = torch.ones(8)
    weights[:3] = 2
    nets = [make_net(), make_net()]
    for net, batch in zip(
        nets, (StepBatch(dense, sparse, label, weights, 11), StepBatch(*twice, None, 11)), strict=True
    ):
        SupernetLearner(net, CONFIG, PathSampling(), 40).step(batch, 0, 0.1)
    for name, value in nets[0].state_dict().items():
        torch.testing.assert_close(value, nets[1].state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)
    assert not same(nets[0], make_net())


def test_bfloat16_stays_near_and_keeps_the_store(splits: Splits, make_net: MakeNet) -> None:
    full, half = make_net(), make_net()
    want = losses(train(full, splits.train, None, CONFIG))
    found = losses(train(half, splits.train, None, replace(CONFIG, precision="bfloat16")))
    assert all(value.dtype == torch.float32 for value in half.state_dict().values())
    assert found[-1] == pytest.approx(want[-1], abs=0.1) and found != want


def test_paths_are_lowered_in_another_thread_and_it_ends(splits: Splits, make_net: MakeNet) -> None:
    net = make_net()
    threads: list[str] = []
    sampler = SupernetLearner(net, CONFIG, PathSampling(), 6).sampler

    def lower(genotype: object) -> object:
        threads.append(threading.current_thread().name)
        return net.lower(genotype)  # type: ignore[arg-type]

    ahead = PathPrefetcher(sampler, lower)  # type: ignore[arg-type]
    before = threading.active_count()
    with ahead.running():
        for step in range(6):
            assert ahead.graph(step) == net.lower(sampler.path(step))
    assert threading.active_count() == before
    assert len(threads) <= 6 and sum("lowering" in name for name in threads) >= len(threads) - 1
    assert ahead.graph(4) == net.lower(sampler.path(4)), "without the thread, at once"


def test_what_lowering_raises_ends_the_run(splits: Splits, make_net: MakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    net, before = make_net(), threading.active_count()
    lower, calls = net.lower, []

    def failing(genotype: object) -> object:
        calls.append(genotype)
        if len(calls) > 3:
            raise PassError("no such thing")
        return lower(genotype)  # type: ignore[arg-type]

    monkeypatch.setattr(net, "lower", failing)
    with pytest.raises(PassError, match="no such thing"):
        train(net, splits.train, None, CONFIG, PathSampling(warmup_share=0))
    assert threading.active_count() == before


def test_bad_settings_are_one_clear_error(splits: Splits, make_net: MakeNet) -> None:
    with pytest.raises(TrainError, match="trains with optimizer 'adagrad', not 'adam'"):
        train(make_net(), splits.train, None, TrainConfig(optimizer="adam"))
    with pytest.raises(TrainError, match="set embedding_decay to 0"):
        train(make_net(), splits.train, None, TrainConfig(weight_decay=0.1))
    learner = SupernetLearner(make_net(), TrainConfig(weight_decay=0.1, embedding_decay=0.0), PathSampling(), 4)
    with pytest.raises(TrainError, match="does not fit the supernet"):
        learner.load_optimizer_state({"lr": 1})
    with pytest.raises(StateDictError, match="missing"):
        learner.load_weights({})
    dense, sparse, label = next(iter(splits.train.batches(4)))
    with pytest.raises(FeatureError, match="sparse field 0 holds id"):
        learner.step(StepBatch(dense, sparse + 1000, label, None, 4), 0, 0.1)


def test_on_each_device(splits: Splits, make_net: MakeNet, device: str) -> None:
    net = make_net().to(device)
    result = train(net, splits.train, splits.valid, CONFIG)
    assert len(result.evaluations) == 1 and next(net.parameters()).device.type == device
    assert losses(result)[-1] < losses(result)[0]
