"""How good predicted click probabilities are. Everything is computed in float64 from logits."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec.errors import TrainError

__all__ = ["Metrics", "score"]


@dataclass(frozen=True)
class Metrics:
    """Scores over `rows` impressions, each counted by its weight where rows have weights.

    - `log_loss`: mean binary cross-entropy in nats.
    - `auc`: area under the ROC curve = probability that a click outranks a non-click, ties counting one half.
    - `normalised_entropy`: log loss over the entropy of the click rate; 1 = no better than the mean (He et al.,
      ADKDD 2014, section 2).
    - `calibration`: mean predicted probability over click rate; 1 is ideal (same source).

    With one class only, `auc` is NaN, as is `normalised_entropy`; without clicks `calibration` is NaN too.
    """

    log_loss: float
    auc: float
    normalised_entropy: float
    calibration: float
    click_rate: float
    rows: int

    def to_dict(self) -> dict[str, float | int]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"log loss {self.log_loss:.5f}, AUC {self.auc:.5f}, normalised entropy {self.normalised_entropy:.4f}, "
            f"calibration {self.calibration:.3f} ({self.rows:,} rows)"
        )


def score(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Metrics:
    """Compare logits [N] with labels [N] of 0 and 1, each row counted `weights` [N] times (default: once).

    Raises:
        TrainError: other shapes or values.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if z.ndim != 1 or z.shape != y.shape or len(z) == 0:
        raise TrainError(f"score: logits {list(z.shape)} and labels {list(y.shape)} must be [N] alike, N at least 1")
    w = np.ones_like(z) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != z.shape or not (np.isfinite(w) & (w > 0)).all():
        raise TrainError(f"score: weights must be {len(z)} positive numbers, one for each row")
    if not np.isfinite(z).all():
        raise TrainError(
            f"score: {np.count_nonzero(~np.isfinite(z))} of {len(z)} logits are not finite; the model has diverged: "
            "lower the learning rate or clip gradients"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise TrainError("score: labels must be 0 or 1")
    rate = float(np.average(y, weights=w))
    # -log p(y) = log(1 + exp(z)) - y z, with no exponential of a large number.
    log_loss = float(np.average(np.logaddexp(0.0, z) - y * z, weights=w))
    probability = float(np.average(np.exp(-np.logaddexp(0.0, -z)), weights=w))
    return Metrics(
        log_loss=log_loss,
        auc=_auc(z, y, w),
        normalised_entropy=log_loss / _entropy(rate) if 0 < rate < 1 else math.nan,
        calibration=probability / rate if rate > 0 else math.nan,
        click_rate=rate,
        rows=len(z),
    )


def _auc(z: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64]) -> float:
    """The share of pairs of a click and a non-click in which the click has the higher logit, ties counting one half."""
    order = np.argsort(z)
    starts = np.flatnonzero(np.diff(z[order], prepend=-np.inf))
    clicks = np.add.reduceat((w * y)[order], starts)
    others = np.add.reduceat((w * (1 - y))[order], starts)
    if clicks.sum() == 0 or others.sum() == 0:
        return math.nan
    outranked = np.cumsum(others) - others / 2
    return float((clicks * outranked).sum() / (clicks.sum() * others.sum()))


def _entropy(rate: float) -> float:
    return -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate))
