"""Bins of a reliability diagram, recomputed by hand and by counting."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.errors import TrainError
from nasrec.train.calibration import reliability


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_bins_by_hand() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.8, 0.6, 0.7])
    found = reliability(logit(p), [0, 0, 1, 1, 1, 0], bins=2)
    low, high = found.bins
    assert (low.rows, high.rows) == (3, 3)
    assert (low.low, low.high) == (pytest.approx(0.1), pytest.approx(0.3))
    assert (low.predicted, low.click_rate) == (pytest.approx(0.2), pytest.approx(1 / 3))
    assert (high.predicted, high.click_rate) == (pytest.approx(0.7), pytest.approx(2 / 3))
    assert found.expected_error == pytest.approx((abs(0.2 - 1 / 3) + abs(0.7 - 2 / 3)) / 2)
    # Wilson's interval of 1 in 3, from its closed form.
    assert (low.click_rate_low, low.click_rate_high) == (
        pytest.approx(0.06149, abs=1e-4),
        pytest.approx(0.79234, abs=1e-4),
    )


def test_true_probabilities_are_calibrated_and_shifted_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.6, 100_000)
    clicks = (rng.random(len(p)) < p).astype(float)
    found = reliability(logit(p), clicks)
    assert len(found.bins) == 15 and {part.rows for part in found.bins} <= set(range(6_660, 6_674))
    assert found.expected_error < 0.01
    inside = [part.click_rate_low <= part.predicted <= part.click_rate_high for part in found.bins]
    assert sum(inside) >= 12
    assert reliability(logit(p) + 1.0, clicks).expected_error > 0.1


def test_equal_predictions_share_a_bin() -> None:
    z = np.array([0.0] * 50 + [1.0] * 10 + [2.0] * 40)
    found = reliability(z, np.arange(100) % 2, bins=10)
    assert [part.rows for part in found.bins] == [50, 10, 40]
    assert sum(part.rows for part in reliability(np.zeros(7), np.zeros(7), bins=4).bins) == 7


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=200), rng.integers(0, 2, 200)
    w = rng.integers(1, 4, 200)
    one, two = reliability(z, y, w, bins=1), reliability(np.repeat(z, w), np.repeat(y, w), bins=1)
    assert one.bins[0].predicted == pytest.approx(two.bins[0].predicted)
    assert one.expected_error == pytest.approx(two.expected_error)
    assert sum(part.rows for part in reliability(z, y, w, bins=8).bins) == 200


def test_wrong_input() -> None:
    for args in (([], []), ([1.0], [1, 0]), ([[1.0]], [[1]])):
        with pytest.raises(TrainError, match="must be"):
            reliability(*args)
    with pytest.raises(TrainError, match="at least 1"):
        reliability([1.0], [1], bins=0)
