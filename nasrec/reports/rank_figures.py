"""Pictures of a ranking study, from its report: predicted against true losses, and what each prediction would pick; and
of a comparison of search algorithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasrec.reports import figures as curves
from nasrec.reports.page import interval

__all__ = ["cdf", "comparison", "scatter"]

Ranking = Mapping[str, Any]
"""As the report has it: `name`, `finetune`, `statistics`, `truth`, `predicted`."""

_COLUMNS = 4
_COLORS = ("#b2182b", "#2166ac", "#1b7837", "#762a83", "#e08214", "#35978f", "#c51b7d", "#4d4d4d")


def scatter(ranked: Sequence[Ranking]) -> bytes:
    """True test log loss against the predicted one, a panel for each way of predicting, as PNG."""
    columns = min(_COLUMNS, len(ranked))
    rows = -(-len(ranked) // columns)
    figure = curves.figure_of(3.6 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, ranked, strict=False):
        tau = interval(one["statistics"]["kendall"]).replace("\n", ", ")
        axes.scatter(one["predicted"], one["truth"], s=12, color=_COLORS[1], alpha=0.7)
        tuned = f"{one['finetune']} steps fine-tuned: " if one["finetune"] else ""
        axes.set_title(f"{one['name']}\n{tuned}Kendall {tau}", fontsize=7.5)
        axes.set(xlabel="log loss by shared weights", ylabel="log loss from scratch")
        axes.grid(alpha=0.25)
    for axes in panels[len(ranked) :]:
        axes.remove()
    return curves.png(figure)


def cdf(ranked: Sequence[Ranking]) -> bytes:
    """Distribution of the true losses of the quarter that each way predicts to be best, beside that of all, as PNG."""
    figure = curves.figure_of(8, 5)
    axes = figure.subplots()
    truth = np.sort(np.array(ranked[0]["truth"]))
    axes.step(truth, np.arange(1, len(truth) + 1) / len(truth), where="post", color="black", label="all architectures")
    for one, color in zip(ranked, _COLORS * 4, strict=False):
        count = max(3, len(one["truth"]) // 4)
        chosen = np.sort(np.array(one["truth"])[np.argsort(one["predicted"], kind="stable")[:count]])
        heights = np.arange(1, count + 1) / count
        axes.step(chosen, heights, where="post", color=color, linewidth=1.2, label=_label(one))
    axes.set(xlabel="test log loss, trained from scratch", ylabel="share of architectures", ylim=(0, 1.02))
    axes.set_title("architectures in the best quarter by each prediction", fontsize="medium")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
    return curves.png(figure)


def comparison(found: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
    """Mean regret over the budget, with the 95 per cent interval of the mean, as PNG.

    Args:
        found: for each algorithm `mean`, `low` and `high` after each architecture.
    """
    figure = curves.figure_of(7.5, 4.5)
    axes = figure.subplots()
    for (name, curve), color in zip(found.items(), _COLORS, strict=False):
        budget = np.arange(1, len(curve["mean"]) + 1)
        axes.plot(budget, curve["mean"], color=color, label=name)
        axes.fill_between(budget, curve["low"], curve["high"], color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="architectures evaluated", ylabel="test log loss above the best of the table", ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return curves.png(figure)


def _label(one: Ranking) -> str:
    steps = one["finetune"]
    return f"{one['name']}, {steps} steps fine-tuned" if steps else str(one["name"])
