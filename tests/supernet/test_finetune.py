"""Fine-tuning of the last linear, and scores from shared weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from nasrec import Genotype, SpaceError, Supernet
from nasrec.data import ClickLog, Splits
from nasrec.errors import TrainError
from nasrec.supernet import FinetuneConfig, Scorer, finetune, train
from nasrec.train import TrainConfig, evaluate

MakeNet = Callable[..., Supernet]


@pytest.fixture
def trained(splits: Splits, make_net: MakeNet) -> Supernet:
    net = make_net()
    train(net, splits.train, None, TrainConfig(lr=0.12, batch_size=64, max_steps=60))
    return net


def draw(net: Supernet, seed: int = 0) -> Genotype:
    return net.space.sample(np.random.default_rng(seed))


def test_only_the_last_linear_changes_and_twice_is_the_same(trained: Supernet, splits: Splits) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    genotype = draw(trained)
    plain = trained.extract(genotype)
    tuned, again = (finetune(trained, genotype, splits.train, 20) for _ in range(2))
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in before.items())
    changed = {name for name, value in plain.state_dict().items() if not torch.equal(value, tuned.state_dict()[name])}
    assert changed == {"final.weight", "final.bias"}
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in tuned.state_dict().items())
    assert tuned.source == plain.source


def test_it_is_adagrad_on_the_last_linear(trained: Supernet, splits: Splits) -> None:
    """Against autograd and torch's optimiser, on weighted rows."""
    net, genotype = trained.double(), draw(trained, 3)
    weight = np.linspace(0.5, 2, 700, dtype=np.float32)
    rows = splits.train.take(np.arange(700))
    log = ClickLog(rows.schema, rows.dense, rows.sparse, rows.label, rows.source, weight=weight)
    tuning = FinetuneConfig(batch_size=64, lr=0.05, seed=4)
    ours = finetune(net, genotype, log, 25, tuning=tuning)
    model = net.extract(genotype)
    final = [model.get_parameter(name) for name in ("final.weight", "final.bias")]
    optimizer = torch.optim.Adagrad(final, 0.05, eps=tuning.eps)
    reader, step = log.reader(2048, seed=4), 0
    while step < 25:
        for columns in reader.epoch():
            for dense, sparse, label, counts in zip(*(column.split(64) for column in columns), strict=True):
                if step == 25:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 25))
                losses = nn.functional.binary_cross_entropy_with_logits(
                    model(dense.double(), sparse), label.double(), reduction="none"
                )
                optimizer.zero_grad()
                (losses * counts / counts.sum()).sum().backward()
                optimizer.step()
                step += 1
    for name in ("final.weight", "final.bias"):
        torch.testing.assert_close(ours.get_parameter(name), model.get_parameter(name), rtol=1e-5, atol=1e-7)


def test_scores_are_those_of_the_extracted_model(trained: Supernet, splits: Splits) -> None:
    tuning = FinetuneConfig(steps=30, batch_size=64)
    plain, tuned = Scorer(trained, splits.valid), Scorer(trained, splits.valid, train_log=splits.train, tuning=tuning)
    for genotype in (draw(trained, 1), draw(trained, 2)):
        want = evaluate(trained.extract(genotype), splits.valid)
        assert plain(genotype).log_loss == pytest.approx(want.log_loss, rel=1e-5)
        assert plain(genotype).auc == pytest.approx(want.auc, rel=1e-5)
        assert tuned(genotype) == tuned(genotype)
        assert tuned(genotype).log_loss < want.log_loss, "a tuned head fits a barely trained store better"
    for settings in (tuning, FinetuneConfig(steps=30, batch_size=64, distinct_rows=500)):
        model = finetune(trained, genotype, splits.train, 30, tuning=settings)
        scorer = Scorer(trained, splits.valid, train_log=splits.train, tuning=settings)
        assert scorer(genotype).log_loss == pytest.approx(evaluate(model, splits.valid).log_loss, rel=1e-4)
    assert Scorer(trained, splits.valid, most_rows=50)(genotype).rows == 50
    near = Scorer(trained, splits.valid, precision="bfloat16")(genotype)
    assert near.log_loss == pytest.approx(plain(genotype).log_loss, rel=0.05)


def test_bad_settings_are_one_clear_error(trained: Supernet, splits: Splits) -> None:
    with pytest.raises(TrainError, match="give train_log"):
        Scorer(trained, splits.valid, tuning=FinetuneConfig())
    with pytest.raises(TrainError, match="precision 'half' is unknown"):
        Scorer(trained, splits.valid, precision="half")
    for options, message in (
        ({"steps": 0}, "steps must"),
        ({"lr": -1.0}, "lr must"),
        ({"distinct_rows": 0}, "distinct_rows must"),
        ({"seed": -1}, "seed must"),
    ):
        with pytest.raises(TrainError, match=message):
            FinetuneConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="not in the supernet's space"):
        finetune(trained, Genotype(draw(trained).blocks[:1]), splits.train)
