"""Pictures of a search: how the best so far fell, and the front of several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasrec.reports import figures as curves

if TYPE_CHECKING:
    from nasrec.search import Goal, Trial
    from nasrec.search.candidates import C

__all__ = ["draw_front", "draw_history"]

_DOT, _LINE, _BROKEN = curves.COLOURS[1], curves.COLOURS[0], "#d9d9d9"


def draw_history(trials: Sequence[Trial[C]], goal: Goal) -> bytes:
    """A PNG: the first objective of every evaluation, and of the best so far."""
    objective = goal.objectives[0]
    figure = curves.figure_of(9, 4.5)
    axes = figure.subplots()
    places, values, allowed = [], [], []
    for trial in trials:
        value = trial.values.get(objective.name, math.nan)
        if math.isfinite(value):
            places.append(trial.number + 1)
            values.append(value)
            allowed.append(goal.score(trial.values).allowed)
    for kept, colour, label in ((False, _BROKEN, "breaks a limit"), (True, _DOT, "evaluated")):
        chosen = [i for i, one in enumerate(allowed) if one is kept]
        if chosen:
            axes.scatter([places[i] for i in chosen], [values[i] for i in chosen], s=9, color=colour, label=label)
    best: list[float] = []
    for value, kept in zip(values, allowed, strict=True):
        before = best[-1] if best else math.nan
        better = max if objective.maximize else min
        best.append(before if not kept else value if math.isnan(before) else better(before, value))
    axes.step(places, best, where="post", color=_LINE, linewidth=1.6, label="best so far")
    _zoom(axes, [value for value, kept in zip(values, allowed, strict=True) if kept] or values)
    axes.set(xlabel="evaluations", ylabel=objective.name.replace("_", " "))
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small", frameon=False)
    return curves.png(figure)


def draw_front(trials: Sequence[Trial[C]], front: Sequence[Trial[C]], goal: Goal) -> bytes:
    """A PNG: every evaluation in the plane of each two objectives, and the front."""
    pairs = [(a, b) for i, a in enumerate(goal.objectives) for b in goal.objectives[i + 1 :]]
    figure = curves.figure_of(6.0 * len(pairs), 4.8)
    for axes, (first, second) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        both = [t for t in trials if {first.name, second.name} <= t.values.keys()]
        known = [t for t in both if goal.score(t.values).allowed]
        others = [t for t in both if not goal.score(t.values).allowed]
        for chosen, colour, label in ((others, _BROKEN, "breaks a limit"), (known, _DOT, "evaluated")):
            if chosen:
                x, y = [t.values[second.name] for t in chosen], [t.values[first.name] for t in chosen]
                axes.scatter(x, y, s=9, color=colour, label=label)
        ends = sorted(front, key=lambda trial: trial.values[second.name])
        x, y = [t.values[second.name] for t in ends], [t.values[first.name] for t in ends]
        axes.plot(x, y, color=_LINE, marker="o", ms=5, linewidth=1.2, label="front")
        _zoom(axes, [t.values[first.name] for t in known] or y)
        axes.set(xlabel=second.name.replace("_", " "), ylabel=first.name.replace("_", " "))
        axes.grid(alpha=0.25)
    axes.legend(fontsize="small", frameon=False)
    return curves.png(figure)


def _zoom(axes: object, values: Sequence[float]) -> None:
    """The worst tenth of random genotypes may be far off; what a reader compares is the rest."""
    ordered = sorted(values)
    if len(ordered) < 20:
        return
    low, high = ordered[0], ordered[int(0.9 * (len(ordered) - 1))]
    if low < 0 <= high or high - low <= 0:
        return
    margin = 0.08 * (high - low)
    axes.set_ylim(low - margin, high + 2 * margin)  # type: ignore[attr-defined]
