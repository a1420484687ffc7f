"""Pictures of a co-design: its front beside the rivals, in the plane of log loss and each cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasrec.reports import figures as curves

if TYPE_CHECKING:
    from nasrec.codesign import Design
    from nasrec.search import Goal, Trial

__all__ = ["draw"]

_DOT, _LINE, _BROKEN, _SCRATCH = curves.COLOURS[1], curves.COLOURS[0], "#d9d9d9", curves.COLOURS[2]
_RIVALS = ("#1b7837", "#762a83", "#b35806", "#35978f")
_MARKERS, _DASHES = ("X", "P", "s", "^"), ("--", ":", "-.", "-")

Report = Mapping[str, Any]


def draw(trials: Sequence[Trial[Design]], goal: Goal, said: Report) -> bytes | None:
    """A PNG: every evaluation by the first objective and each other one, costs on a logarithmic axis; the front, its
    knee, the designs that were trained from scratch, and rivals: as a line where their log loss is not known.

    Args:
        trials: all.
        goal: objectives.
        said: the report, see `nasrec.runs.codesign`.

    Returns:
        None where there is one objective alone.
    """
    costs = goal.objectives[1:]
    if not costs:
        return None
    figure = curves.figure_of(6.2 * len(costs), 6.0)
    first = goal.objectives[0].name
    scores = _scores(said, first)
    for axes, cost in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs, strict=True):
        _dots(axes, trials, goal, first, cost.name)
        _front(axes, said, first, cost.name)
        _scratch(axes, said, scores, cost.name)
        _rivals(axes, said, scores, cost.name)
        _zoom(axes, trials, goal, scores)
        if all(value > 0 for value in (trial.values.get(cost.name, 1.0) for trial in trials)):
            axes.set_xscale("log")
        axes.set(xlabel=cost.name.replace("_", " "), ylabel=first.replace("_", " "))
        axes.grid(alpha=0.25, which="both")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="x-small", frameon=False)
    return curves.png(figure)


def _dots(axes: Any, trials: Sequence[Trial[Design]], goal: Goal, first: str, cost: str) -> None:
    known = [trial for trial in trials if {first, cost} <= trial.values.keys()]
    allowed = [goal.score(trial.values).allowed for trial in known]
    for kept, colour, label in ((False, _BROKEN, "breaks a limit"), (True, _DOT, "evaluated, shared weights")):
        chosen = [trial for trial, one in zip(known, allowed, strict=True) if one is kept]
        if chosen:
            x, y = [trial.values[cost] for trial in chosen], [trial.values[first] for trial in chosen]
            axes.scatter(x, y, s=7, color=colour, label=label)


def _scores(said: Report, first: str) -> dict[str, Report]:
    """The first objective of trained models on test rows, mean and deviation; empty where it is no such score."""
    name = first.removeprefix("chip.")
    reports = said.get("retrain", {}).get("models", [])
    return {one["name"]: one["scores"]["test"][name] for one in reports if name in one["scores"]["test"]}


def _zoom(axes: Any, trials: Sequence[Trial[Design]], goal: Goal, scores: Mapping[str, Report]) -> None:
    """The worst of random designs may be far off; what a reader compares is the rest, and what was trained."""
    first = goal.objectives[0].name
    values = sorted(t.values[first] for t in trials if first in t.values and goal.score(t.values).allowed)
    if len(values) < 20:
        return
    shown = [values[0], values[int(0.9 * (len(values) - 1))], *(score["mean"] for score in scores.values())]
    margin = 0.1 * (max(shown) - min(shown))
    if margin > 0:
        axes.set_ylim(min(shown) - margin, max(shown) + margin)


def _front(axes: Any, said: Report, first: str, cost: str) -> None:
    ends = sorted(said["front"], key=lambda trial: trial["values"][cost])
    if not ends:
        return
    x, y = [trial["values"][cost] for trial in ends], [trial["values"][first] for trial in ends]
    axes.plot(x, y, color=_LINE, marker="o", ms=3.5, linewidth=0.9, label="front")
    for chosen in said["chosen"]:
        values = next(trial["values"] for trial in ends if trial["number"] == chosen["trial"])
        if "knee" in chosen["roles"]:
            axes.plot(values[cost], values[first], "o", ms=12, mfc="none", mec=_LINE, mew=1.8, label="knee")
        axes.annotate(str(chosen["trial"]), (values[cost], values[first]), fontsize=7, xytext=(5, 4),
                      textcoords="offset points")  # fmt: skip


def _scratch(axes: Any, said: Report, scores: Mapping[str, Report], cost: str) -> None:
    """Trained from scratch: on test rows, with the deviation over the seeds."""
    label: str | None = "from scratch, test rows"
    for chosen in said["chosen"]:
        x, score = chosen["figures"].get(cost.removeprefix("pim.")), scores.get(chosen["name"])
        if x is not None and score is not None:
            axes.errorbar(x, score["mean"], score["std"], fmt="D", ms=5, color=_SCRATCH, capsize=2, label=label)
            label = None


def _rivals(axes: Any, said: Report, scores: Mapping[str, Report], cost: str) -> None:
    """A colour for each chip, a marker or a dash for each model there."""
    models = list(dict.fromkeys(rival["model"] for rival in said["rivals"]))
    names = list(dict.fromkeys(rival["name"] for rival in said["rivals"]))
    for rival in said["rivals"]:
        x = rival["figures"].get(cost.removeprefix("pim."), math.nan)
        if not isinstance(x, int | float) or not math.isfinite(x):
            continue
        number = models.index(rival["model"]) % len(_MARKERS)
        style = {
            "color": _RIVALS[names.index(rival["name"]) % len(_RIVALS)],
            "label": f"{rival['model']}: {rival['name']}",
        }
        if (score := scores.get(rival["model"])) is None:
            axes.axvline(x, linestyle=_DASHES[number], linewidth=1.1, **style)
        else:
            axes.errorbar(x, score["mean"], score["std"], fmt=_MARKERS[number], ms=8, capsize=2, **style)
