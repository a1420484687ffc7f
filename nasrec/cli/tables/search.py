"""What is printed of a search: the best trials or the front, and what came of training them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasrec.cli.tables.train import figure, seed_table
from nasrec.features import FeatureSpec
from nasrec.reports import text
from nasrec.runs.folder import resume_hint
from nasrec.runs.search import SearchRun, best_trials

__all__ = ["candidate_table", "closing", "trial_table"]

_SHOWN = 10


def closing(run: SearchRun) -> str:
    """All of it, and where the files are; or how to go on."""
    if run.interrupted:
        return resume_hint(run.folder)
    blocks = [trial_table(run)]
    files = "report.html, report.json and best.json are in"
    chosen = run.chosen
    if chosen is not None:
        blocks += [candidate_table(run.report["retrain"]), seed_table(chosen)]
        files = (
            f"the chosen model is {chosen.folder}, a run like any other; report.html, report.json and best.json are in"
        )
    return "\n\n".join((*blocks, f"{files} {run.folder}"))


def trial_table(run: SearchRun) -> str:
    """The best by the only objective, or the front of several."""
    goal, count = run.goal, run.report["evaluations"]
    one = len(goal.objectives) == 1
    features = FeatureSpec.from_dict(run.report["features"])
    shown = best_trials(goal, run.trials, features, _SHOWN) if one else list(run.front)
    if not shown:
        return "no genotype keeps all limits"
    names = list(dict.fromkeys([*goal.names, *shown[0].values]))
    lines = [[str(trial.number), *(f"{trial.values[name]:.6g}" for name in names)] for trial in shown]
    what = f"the best of {count:,}" if one else f"the front of {count:,}"
    return f"\n{what} evaluations\n{text.table(('trial', *names), lines)}"


def candidate_table(retrained: Mapping[str, Any]) -> str:
    """A line for each candidate, best first."""
    by = retrained["by"]
    ordered = sorted(retrained["candidates"], key=lambda one: one["valid"][by], reverse=by == "auc")
    lines = [
        [
            str(one["trial"]),
            f"{one['lr']:g}",
            figure(one["valid"]["log_loss"]),
            figure(one["valid"]["auc"]),
            "chosen" if retrained.get("chosen") == {"trial": one["trial"], "lr": one["lr"]} else "",
        ]
        for one in ordered
    ]
    return text.table(("trial", "learning rate", "valid log loss", "valid AUC", ""), lines)
