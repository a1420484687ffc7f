"""What a configuration's optimiser, decay, plateau and limits do to a run, against plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nasrec
from nasrec.baselines import build
from nasrec.train import TrainConfig, seed_everything, train
from nasrec.train.optimizers import make_optimizer


def deepfm(small) -> nn.Module:
    return nasrec.compile_graph(build("deepfm", small.schema.features(4), hidden=(16,)), seed=1)


def tables_of(model: nn.Module) -> set[int]:
    return {id(weight) for name, weight in model.named_parameters() if ".tables." in name}


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "adamw"])
def test_decay_of_tables_is_a_group_of_its_own(small, optimizer: str) -> None:
    model = deepfm(small)
    config = TrainConfig(optimizer=optimizer, weight_decay=0.01, embedding_decay=0.2, lr=0.03, eps=1e-7)
    found = make_optimizer(model, config)
    rest, tables = found.param_groups
    assert {id(weight) for weight in tables["params"]} == tables_of(model) != set()
    assert len(rest["params"]) + len(tables["params"]) == len(list(model.parameters()))
    assert (rest["weight_decay"], tables["weight_decay"]) == (0.01, 0.2)
    assert {(group["lr"], group["eps"]) for group in found.param_groups} == {(0.03, 1e-7)}


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "adamw"])
def test_steps_are_those_of_torch(small, optimizer: str) -> None:
    ours, plain = deepfm(small), deepfm(small)
    config = TrainConfig(
        batch_size=600, optimizer=optimizer, lr=0.02, weight_decay=0.1, embedding_decay=0.01, warmup=0.0,
        schedule="constant", clip_norm=None,
    )  # fmt: skip
    train(ours, small.train, None, config)
    tables = tables_of(plain)
    groups = [
        {"params": [w for w in plain.parameters() if (id(w) in tables) == is_table], "weight_decay": decay}
        for is_table, decay in ((False, 0.1), (True, 0.01))
    ]
    kind = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    rival = kind(groups, lr=0.02, eps=config.denominator_eps)
    for dense, sparse, label in small.train.batches(600, shuffle=True, seed=0):
        rival.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(plain(dense, sparse), label).backward()
        rival.step()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name], rtol=1e-3, atol=2e-5, msg=name)


def test_plateau_lowers_the_rate_after_looks_without_a_new_best(small, make_fm) -> None:
    seed_everything(0)
    config = TrainConfig(
        epochs=3, batch_size=200, optimizer="adam", lr=0.1, schedule="plateau", plateau_factor=0.5, warmup=0.0,
        eval_every=6, log_every=3,
    )  # fmt: skip
    result = train(make_fm(small.schema), small.train, small.valid, config)
    best, cuts, expected = float("inf"), 0, {}
    evaluations = {evaluation.step: evaluation.metrics.log_loss for evaluation in result.evaluations}
    for step in range(1, result.steps + 1):
        expected[step] = 0.1 * 0.5**cuts  # of the step itself; a evaluation comes after it
        if step in evaluations:
            cuts += evaluations[step] >= best
            best = min(best, evaluations[step])
    assert cuts >= 2
    assert {point.step: point.lr for point in result.history} == pytest.approx(
        {point.step: expected[point.step] for point in result.history}
    )


def test_max_steps_ends_the_run_and_its_schedule(small, make_lr) -> None:
    config = TrainConfig(epochs=5, batch_size=500, max_steps=13, log_every=1)
    result = train(make_lr(small.schema), small.train, small.valid, config)
    assert result.steps == 13 and result.rows == 4_800 + 3 * 500
    assert [evaluation.step for evaluation in result.evaluations] == [10, 13]
    assert result.history[-1].lr < 0.05 * config.peak_lr  # the cosine has come down
    assert train(make_lr(small.schema), small.train, None, TrainConfig(max_steps=10**6)).steps == 10


def test_patience_counts_looks(small, make_lr) -> None:
    """A rate of next to nothing never gives a new best; the first evaluation always is one."""

    class Still(make_lr):
        def forward(self, dense, sparse):  # no weight moves the logits
            return super().forward(dense, sparse).detach() + 0.0 * self.bias

    config = TrainConfig(epochs=9, batch_size=480, eval_every=3, patience=4)
    result = train(Still(small.schema), small.train, small.valid, config)
    assert result.stopped_early and result.best.step == 3
    assert [evaluation.step for evaluation in result.evaluations] == [3, 6, 9, 10, 12]
