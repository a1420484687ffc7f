"""Pareto fronts: their knee, and the volume that they dominate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasrec.search import Goal, Score, Trial
from nasrec.search.candidates import C

__all__ = ["KNEE", "hypervolume", "knee", "scaled", "volume_of"]

KNEE = (
    "Objectives are scaled to 0 (best) to 1 (worst) over the front, in-memory figures and other costs by their "
    "logarithm; the knee lies farthest on the better side of the plane through the points that are best in one "
    "objective and worst in all others, which for two objectives is the line between the ends of the front."
)
"""The definition, for reports."""

Floats = NDArray[np.float64]

LINEAR = frozenset({"log_loss", "auc", "normalised_entropy", "calibration", "chip.log_loss", "chip.auc"})
"""Values of a model's quality: differences count. Of all others, which are costs, ratios do."""


def knee(front: Sequence[Trial[C]], goal: Goal) -> Trial[C] | None:
    """The knee of a front, see `KNEE`; of equals the first. None where the front is empty."""
    if not front:
        return None
    points = scaled(front, goal)
    low, high = points.min(axis=0), points.max(axis=0)
    unit = (points - low) / np.where(high > low, high - low, 1.0)
    return front[int(np.argmin(unit.sum(axis=1)))]


def volume_of(front: Sequence[Trial[C]], trials: Sequence[Trial[C]], goal: Goal) -> float:
    """Share of the box between the best value of each objective and the worst one of all trials that keep the limits
    which the front dominates, costs by their logarithm: 0 to 1, larger is better."""
    kept = [trial for trial in trials if goal.score(trial.values).allowed]
    if not front:
        return 0.0
    every = scaled(kept, goal)
    low, high = every.min(axis=0), every.max(axis=0)
    unit = (scaled(front, goal) - low) / np.where(high > low, high - low, 1.0)
    return hypervolume(unit, np.ones(unit.shape[1]))


def scaled(trials: Sequence[Trial[C]], goal: Goal) -> Floats:
    """Objectives to be minimised, a row a trial; positive costs as their logarithm."""
    rows = []
    for trial in trials:
        score: Score = goal.score(trial.values)
        rows.append([_scaled(o.name, value) for o, value in zip(goal.objectives, score.objectives, strict=True)])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(goal.objectives))


def _scaled(name: str, value: float) -> float:
    return math.log(value) if name not in LINEAR and value > 0 else value


def hypervolume(points: Floats, reference: Floats) -> float:
    """The volume between points, all objectives to be minimised, and a reference point that none of them is beyond.

    Exact, by slices along the last objective; its time grows with the number of points to the power of objectives less
    one, so for fronts of a few hundred points in two or three.

    Args:
        points: `[n, m]`; those beyond the reference in some objective count for nothing.
        reference: `[m]`.
    """
    inside = points[(points < reference).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    edges = np.append(inside[:, -1], reference[-1])
    total = 0.0
    for count in range(1, len(inside) + 1):
        height = edges[count] - edges[count - 1]
        if height > 0:
            total += float(height) * hypervolume(inside[:count, :-1], reference[:-1])
    return total
