"""Pictures of a co-design: its front beside the rivals, in the plane of log loss and each cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli import curves

if TYPE_CHECKING:
    from nasrec.codesign import Design
    from nasrec.search import Goal, Trial

__all__ = ["draw"]

_DOT, _LINE, _BROKEN, _SCRATCH = curves.COLOURS[1], curves.COLOURS[0], "#d9d9d9", curves.COLOURS[2]
_RIVALS = ("#1b7837", "#762a83", "#b35806", "#35978f")

Report = Mapping[str, Any]


def draw(trials: Sequence[Trial[Design]], goal: Goal, said: Report, path: Path) -> None:
    """Every evaluation by the first objective and each other one, costs on a logarithmic axis; the front, its knee, the
    designs that were trained from scratch, and rivals: as a line where their log loss is not known.

    Args:
        trials: all.
        goal: objectives.
        said: the report, see `nasrec.cli.commands.codesign`.
        path: the PNG file.
    """
    costs = goal.objectives[1:]
    if not costs:
        return
    figure = curves.figure_of(6.2 * len(costs), 5.0)
    first = goal.objectives[0].name
    for axes, cost in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs, strict=True):
        _dots(axes, trials, goal, first, cost.name)
        _front(axes, said, first, cost.name)
        _scratch(axes, said, cost.name)
        _rivals(axes, said, cost.name)
        if all(value > 0 for value in (trial.values.get(cost.name, 1.0) for trial in trials)):
            axes.set_xscale("log")
        axes.set(xlabel=cost.name.replace("_", " "), ylabel=first.replace("_", " "))
        axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize="x-small", frameon=False)
    curves.save(figure, path)


def _dots(axes: Any, trials: Sequence[Trial[Design]], goal: Goal, first: str, cost: str) -> None:
    known = [trial for trial in trials if {first, cost} <= trial.values.keys()]
    allowed = [goal.score(trial.values).allowed for trial in known]
    for kept, colour, label in ((False, _BROKEN, "breaks a limit"), (True, _DOT, "evaluated, shared weights")):
        chosen = [trial for trial, one in zip(known, allowed, strict=True) if one is kept]
        if chosen:
            x, y = [trial.values[cost] for trial in chosen], [trial.values[first] for trial in chosen]
            axes.scatter(x, y, s=7, color=colour, label=label)
    values = sorted(trial.values[first] for trial, one in zip(known, allowed, strict=True) if one)
    if len(values) >= 20:  # the worst of random designs may be far off
        low, high = values[0], values[int(0.9 * (len(values) - 1))]
        axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low) or None)


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


def _scratch(axes: Any, said: Report, cost: str) -> None:
    """Trained from scratch: test log loss, with the deviation over the seeds."""
    label: str | None = "from scratch, test rows"
    figures = {chosen["name"]: chosen["figures"] for chosen in said["chosen"]}
    for report in said.get("retrain", {}).get("models", []):
        x = figures.get(report["name"], {}).get(cost.removeprefix("pim."))
        loss = report["scores"]["test"]["log_loss"]
        if x is not None:
            axes.errorbar(x, loss["mean"], loss["std"], fmt="D", ms=5, color=_SCRATCH, capsize=2, label=label)
            label = None


def _rivals(axes: Any, said: Report, cost: str) -> None:
    trained = {
        report["name"]: report["scores"]["test"]["log_loss"] for report in said.get("retrain", {}).get("models", [])
    }
    for rival, colour in zip(said["rivals"], _RIVALS, strict=False):
        x = rival["figures"].get(cost.removeprefix("pim."), math.nan)
        if not isinstance(x, int | float) or not math.isfinite(x):
            continue
        label = f"{rival['model']}: {rival['name']}"
        if (loss := trained.get(rival["model"])) is None:
            axes.axvline(x, color=colour, linestyle="--", linewidth=1.1, label=label)
        else:
            axes.errorbar(x, loss["mean"], loss["std"], fmt="X", ms=8, color=colour, capsize=2, label=label)
