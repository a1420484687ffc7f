"""How far predicted probabilities can be taken at their word: a reliability diagram in figures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nasrec.errors import TrainError

__all__ = ["Reliability", "ReliabilityBin", "reliability"]

_Z = 1.96
"""Standard deviations of a two-sided interval of 95 per cent."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of similar predictions, `low` to `high`: their mean prediction, the click rate among them, its 95 per cent
    Wilson interval (Wilson, JASA 1927), which takes rows as independent, and how many they are."""

    low: float
    high: float
    predicted: float
    click_rate: float
    click_rate_low: float
    click_rate_high: float
    rows: int


@dataclass(frozen=True)
class Reliability:
    """Bins in rising order of prediction, and the mean of |predicted - click rate| over their rows: the expected
    calibration error (Naeini et al., AAAI 2015) of equally filled bins."""

    bins: tuple[ReliabilityBin, ...]
    expected_error: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def reliability(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, bins: int = 15) -> Reliability:
    """Cut rows into `bins` bins of about equal weight by predicted probability; equal predictions share a bin.

    Args:
        logits, labels, weights: [N], as for `nasrec.train.score`, which checks them.

    Raises:
        TrainError: `bins` is below 1, or shapes differ.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    w = np.ones_like(z) if weights is None else np.asarray(weights, dtype=np.float64)
    if bins < 1 or not z.shape == y.shape == w.shape == (z.size,) or z.size == 0:
        raise TrainError("reliability: logits, labels and weights must be [N] alike, N and bins at least 1")
    order = np.argsort(z, kind="stable")
    z, y, w = z[order], y[order], w[order]
    p = np.exp(-np.logaddexp(0.0, -z))
    # The middle of a row's weight decides on its bin, the first row of equal ones on that of all.
    place = ((np.cumsum(w) - w / 2) / w.sum() * bins).astype(np.int64).clip(max=bins - 1)
    first = np.searchsorted(z, z, side="left")
    starts = np.flatnonzero(np.diff(place[first], prepend=-1))
    found = tuple(_bin(p[span], y[span], w[span]) for span in map(slice, starts, (*starts[1:], len(z))))
    masses = np.add.reduceat(w, starts) / w.sum()
    gaps = [abs(part.predicted - part.click_rate) for part in found]
    return Reliability(found, float(np.dot(masses, gaps)))


def _bin(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> ReliabilityBin:
    rate = float(np.average(y, weights=w))
    low, high = _wilson(rate, float(w.sum() ** 2 / np.square(w).sum()))
    return ReliabilityBin(float(p[0]), float(p[-1]), float(np.average(p, weights=w)), rate, low, high, len(p))


def _wilson(rate: float, rows: float) -> tuple[float, float]:
    """`rows`: of equal weight that would tell as much."""
    spread = _Z * math.sqrt(rate * (1 - rate) / rows + _Z**2 / (4 * rows**2))
    center, scale = rate + _Z**2 / (2 * rows), 1 + _Z**2 / rows
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
