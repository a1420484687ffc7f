"""What the twin is for: models that see interactions beat logistic regression on rows they have not seen."""

from __future__ import annotations

import pytest

from nasrec.data import synthesize, teacher_score
from nasrec.train import TrainConfig, evaluate, seed_everything, train


@pytest.mark.parametrize("kind", ["criteo", "frappe"])
def test_factorisation_machine_beats_logistic_regression(kind, make_lr, make_fm) -> None:
    train_log, valid_log, test_log = synthesize(kind, 90_000, seed=0).log.split()
    scores = {}
    for name, make in (("lr", make_lr), ("fm", make_fm)):
        seed_everything(0)
        model = make(train_log.schema)
        train(model, train_log, valid_log, TrainConfig(epochs=2, batch_size=128, lr=0.1))
        scores[name] = evaluate(model, test_log)
    best = teacher_score(test_log)
    assert scores["fm"].auc > scores["lr"].auc + 0.04
    assert scores["fm"].log_loss < scores["lr"].log_loss - 0.02
    assert 0.62 < scores["lr"].auc < scores["fm"].auc < best.auc
    assert best.log_loss < scores["fm"].log_loss
    assert scores["fm"].auc > 0.73
