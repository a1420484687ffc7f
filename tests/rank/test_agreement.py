"""Rank statistics against hand-made cases, and their intervals against what repeated sampling gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nasrec.errors import SearchError
from nasrec.rank import STATISTICS, agreement


def test_perfect_and_reversed_rankings() -> None:
    truth = np.linspace(0.4, 0.6, 20)
    same = agreement(truth, truth**3, resamples=50).statistics
    for name in ("kendall", "spearman", "kendall_top_half"):
        assert same[name].value == pytest.approx(1.0)
    assert same["regret_top_1"].value == 0 and same["pearson"].value < 1
    turned = agreement(truth, -truth, resamples=50).statistics
    assert turned["kendall"].value == pytest.approx(-1.0)
    assert turned["regret_top_1"].value == pytest.approx(0.2)
    assert turned["regret_top_5"].value == pytest.approx(truth[15] - truth[0])


def test_top_half_looks_at_the_truly_better_half_alone() -> None:
    truth = np.arange(10.0)
    predicted = np.array([4, 3, 2, 1, 0, 5, 6, 7, 8, 9.0])  # wrong among the best, right among the rest
    found = agreement(truth, predicted, resamples=20).statistics
    assert found["kendall_top_half"].value == pytest.approx(-1.0)
    assert found["kendall"].value == pytest.approx(stats.kendalltau(truth, predicted).statistic)


def test_intervals_cover_the_value_and_shrink_with_more_architectures() -> None:
    rng = np.random.default_rng(0)

    def width(count: int) -> float:
        truth = rng.normal(size=count)
        found = agreement(truth, truth + rng.normal(size=count), resamples=300).statistics["kendall"]
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(400) < width(25) / 2


def test_equal_seeds_give_equal_intervals() -> None:
    truth, predicted = np.random.default_rng(0).normal(size=(2, 30))
    assert agreement(truth, predicted, resamples=50) == agreement(truth, predicted, resamples=50)
    assert agreement(truth, predicted, resamples=50) != agreement(truth, predicted, resamples=50, seed=1)


def test_predictions_that_do_not_vary() -> None:
    found = agreement([0.1, 0.2, 0.3], [1.0, 1.0, 1.0], resamples=10).statistics
    assert all(math.isnan(found[name].value) for name in STATISTICS if not name.startswith("regret"))
    assert found["regret_top_1"].value == 0.0


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0], "at least 3 architectures"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "got 3 and 2"),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0], "finite losses"),
    ],
)
def test_bad_input(truth, predicted, message) -> None:
    with pytest.raises(SearchError, match=message):
        agreement(truth, predicted)
