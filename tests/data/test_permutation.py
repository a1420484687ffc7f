"""A keyed order of n numbers: each once, at any place, and not to be told from a shuffled list."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.data.permutation import Permutation


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 100, 1023, 1024, 1025, 70_001])
def test_every_number_once(n) -> None:
    for seed in range(3):
        np.testing.assert_array_equal(np.sort(Permutation(n, seed)(np.arange(n))), np.arange(n))


def test_any_place_can_be_asked_for() -> None:
    order = Permutation(10_007, 5, 1)
    whole = order(np.arange(10_007))
    places = np.array([9_999, 0, 5, 5, 10_006])
    np.testing.assert_array_equal(order(places), whole[places])
    assert len(order(np.zeros(0, np.int64))) == 0


def test_large_domains() -> None:
    places = np.arange(10**12, 10**12 + 1000)
    found = Permutation(10**13, 3)(places)
    assert len(np.unique(found)) == 1000 and found.min() >= 0 and found.max() < 10**13
    assert found.std() == pytest.approx(10**13 / 12**0.5, rel=0.1)


def test_keys_matter() -> None:
    orders = [Permutation(1000, *key)(np.arange(1000)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))]
    for i, one in enumerate(orders):
        for other in orders[i + 1 :]:
            assert np.mean(one == other) < 0.01


@pytest.mark.parametrize("n", [10, 37, 256])
def test_looks_random(n) -> None:
    """Over many keys every place holds every number equally often, and neighbours go their own ways."""
    draws = 4000
    tables = np.stack([Permutation(n, seed)(np.arange(n)) for seed in range(draws)])
    for place in (0, 1, n // 2, n - 1):
        counts = np.bincount(tables[:, place], minlength=n)
        statistic = ((counts - draws / n) ** 2 / (draws / n)).sum()
        assert statistic < n - 1 + 5 * (2 * (n - 1)) ** 0.5
    correlation = np.corrcoef(tables[:, 0], tables[:, 1])[0, 1]
    assert abs(correlation + 1 / (n - 1)) < 5 / draws**0.5
    ascents = (np.diff(tables, axis=1) > 0).mean()
    assert abs(ascents - 0.5) < 0.01
