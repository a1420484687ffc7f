"""Scores against scikit-learn, by hand, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from nasrec.errors import TrainError
from nasrec.train import score


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_against_scikit_learn(step) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=5_000)
    if step:
        logits = np.round(logits / step) * step  # many ties
    labels = (rng.random(5_000) < 1 / (1 + np.exp(-logits - 0.3))).astype(np.float32)
    got = score(logits, labels)
    probability = 1 / (1 + np.exp(-logits))
    assert got.auc == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert got.log_loss == pytest.approx(log_loss(labels, probability), abs=1e-12)
    assert got.calibration == pytest.approx(probability.mean() / labels.mean())
    assert got.rows == 5_000 and got.click_rate == pytest.approx(labels.mean())


def test_by_hand() -> None:
    got = score([0.0, 0.0, 2.0, -2.0], [1, 0, 1, 0])
    assert got.auc == pytest.approx(3.5 / 4)  # of four pairs three are right and one is tied
    assert got.log_loss == pytest.approx((2 * math.log(2) + 2 * math.log1p(math.exp(-2))) / 4)
    assert got.normalised_entropy == pytest.approx(got.log_loss / math.log(2))


def test_predicting_the_mean_has_normalised_entropy_and_calibration_one() -> None:
    labels = np.arange(1000) % 5 == 0
    got = score(np.full(1000, math.log(0.2 / 0.8)), labels)
    assert got.normalised_entropy == pytest.approx(1) and got.calibration == pytest.approx(1)
    assert got.auc == pytest.approx(0.5)


def test_huge_logits_stay_finite() -> None:
    got = score([1e4, -1e4, 3e38, -3e38], [1, 0, 0, 1])
    assert got.log_loss == pytest.approx(6e38 / 4)
    assert math.isfinite(got.calibration)


def test_one_class_has_no_auc() -> None:
    none, all_ = score([0.1, 0.2], [0, 0]), score([0.1, 0.2], [1, 1])
    assert math.isnan(none.auc) and math.isnan(all_.auc)
    assert math.isnan(none.calibration) and math.isnan(none.normalised_entropy)
    assert math.isfinite(none.log_loss)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([float("nan"), 1.0], [0, 1], "1 of 2 logits are not finite; .*lower the learning rate"),
        ([1.0, 2.0], [0, 2], "labels must be 0 or 1"),
        ([1.0], [0, 1], "must be .N. alike"),
        ([[1.0, 2.0]], [[0, 1]], "must be .N. alike"),
        ([], [], "N at least 1"),
    ],
)
def test_bad_input(logits, labels, message) -> None:
    with pytest.raises(TrainError, match=message):
        score(logits, labels)
