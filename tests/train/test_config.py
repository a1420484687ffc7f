"""Settings are checked by name; the learning rate follows its schedule."""

from __future__ import annotations

import pytest

from nasrec.errors import TrainError
from nasrec.train import TrainConfig
from nasrec.train.config import learning_rate


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("batch_size", -1), ("batch_size", True), ("optimizer", "sgd"), ("lr", 0.0),
        ("lr", float("nan")), ("weight_decay", -1.0), ("schedule", "step"), ("warmup", 1.0), ("clip_norm", 0.0),
        ("eval_every", 0), ("monitor", "accuracy"), ("patience", 0), ("log_every", 0), ("seed", -1), ("eps", -1e-8),
        ("eval_batch_size", 0), ("lr", "fast"), ("weight_decay", "some"), ("warmup", None), ("optimizer", []),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named(field, value) -> None:
    with pytest.raises(TrainError, match=field):
        TrainConfig(**{field: value})


@pytest.mark.parametrize("others", [{"optimizer": "adam"}, {"weight_decay": 0.1}], ids=str)
def test_sparse_embeddings_need_an_optimiser_that_leaves_other_rows_alone(others) -> None:
    with pytest.raises(TrainError, match="sparse_embeddings needs optimizer 'adagrad' and no decay of the tables"):
        TrainConfig(sparse_embeddings=True, **others)


def test_defaults_by_optimiser() -> None:
    assert TrainConfig().peak_lr > TrainConfig(optimizer="adam").peak_lr
    assert TrainConfig(lr=0.15).peak_lr == 0.15
    assert TrainConfig(eps=1e-10).denominator_eps == 1e-10


def test_warm_up_then_cosine_to_zero() -> None:
    config = TrainConfig(lr=1.0, warmup=0.1)
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert 0 < rates[0] < 0.02 and max(rates) == rates[100] == 1.0
    assert rates[:101] == sorted(rates[:101]) and rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(0.5) and rates[-1] < 1e-5


def test_constant_after_warm_up() -> None:
    config = TrainConfig(lr=0.2, warmup=0.5, schedule="constant")
    assert learning_rate(config, 4, 10) < 0.2
    assert {learning_rate(config, step, 10) for step in range(5, 10)} == {0.2}
    assert learning_rate(TrainConfig(lr=0.2, warmup=0.0), 0, 1) == 0.2
