"""Agreement of two rankings: correlations, what is lost by trusting one of them, and bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nasrec.errors import SearchError

__all__ = ["STATISTICS", "Agreement", "Interval", "agreement", "percentiles"]

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A statistic and the ends of its bootstrap interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Agreement:
    """How well predicted losses rank architectures whose true losses are known; both are better when smaller.

    Attributes:
        count: architectures.
        statistics: by name, see `STATISTICS`.
        level: of the intervals, 0.95 for 95 per cent.
        drawn: each statistic [resamples] of samples of the architectures; rankings of as many architectures with the
            same seed share the samples, so that their differences have intervals too.
    """

    count: int
    statistics: dict[str, Interval]
    level: float
    drawn: dict[str, Floats] = field(compare=False, repr=False)


def _correlation(of: Callable[..., Any]) -> Callable[[Floats, Floats], float]:
    def correlation(truth: Floats, predicted: Floats) -> float:
        if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
            return math.nan  # not defined where one of the two does not vary
        return float(of(truth, predicted).statistic)

    return correlation


_kendall = _correlation(stats.kendalltau)


def _kendall_of_the_better_half(truth: Floats, predicted: Floats) -> float:
    better = np.argsort(truth, kind="stable")[: max(2, math.ceil(len(truth) / 2))]
    return _kendall(truth[better], predicted[better])


def _regret(k: int) -> Callable[[Floats, Floats], float]:
    def regret(truth: Floats, predicted: Floats) -> float:
        chosen = np.argsort(predicted, kind="stable")[:k]
        return float(truth[chosen].min() - truth.min())

    return regret


STATISTICS: dict[str, Callable[[Floats, Floats], float]] = {
    "pearson": _correlation(stats.pearsonr),
    "kendall": _kendall,
    "spearman": _correlation(stats.spearmanr),
    "kendall_top_half": _kendall_of_the_better_half,
    "regret_top_1": _regret(1),
    "regret_top_5": _regret(5),
    "regret_top_15": _regret(15),
}
"""Correlations as in the paper's Tables 2 and 6 (`kendall` is tau-b; `kendall_top_half` among the truly better half
alone, which is where a search ends up), and `regret_top_k`: how much worse than the best architecture the best of the
k is that were predicted best."""


def agreement(
    truth: ArrayLike, predicted: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Agreement:
    """Compares predicted with true losses, [N] each.

    Intervals are percentiles over samples of the architectures with replacement.

    Raises:
        SearchError: fewer than 3 architectures, lengths that differ, or a loss that is not finite.
    """
    true, guess = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if true.ndim != 1 or true.shape != guess.shape or len(true) < 3:
        raise SearchError(
            f"a ranking needs at least 3 architectures with both losses, got {len(true)} and {len(guess)}"
        )
    if not (np.isfinite(true).all() and np.isfinite(guess).all()):
        raise SearchError("a ranking needs finite losses; leave out architectures whose training failed")
    rng = np.random.default_rng(seed)
    samples = rng.integers(len(true), size=(resamples, len(true)))
    found, drawn = {}, {}
    for name, statistic in STATISTICS.items():
        drawn[name] = np.array([statistic(true[rows], guess[rows]) for rows in samples])
        low, high = percentiles(drawn[name][np.isfinite(drawn[name])], level)
        found[name] = Interval(statistic(true, guess), low, high)
    return Agreement(len(true), found, level, drawn)


def percentiles(values: Floats, level: float) -> tuple[float, float]:
    """The ends of the middle `level` of the values; NaN where there are none."""
    if len(values) == 0:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
