"""Pictures of a ranking: predicted against true losses, and what each prediction would pick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrec.reports import figures as curves

if TYPE_CHECKING:
    from nasrec.rank.study import Ranked
    from nasrec.rank.tabular import AlgorithmComparison

__all__ = ["draw_cdf", "draw_contest", "draw_scatter"]

_COLUMNS = 4
_COLOURS = ("#b2182b", "#2166ac", "#1b7837", "#762a83", "#e08214", "#35978f", "#c51b7d", "#4d4d4d")


def draw_scatter(ranked: Sequence[Ranked], path: Path) -> None:
    """True test log loss against the predicted one, a panel for each way of predicting."""
    columns = min(_COLUMNS, len(ranked))
    rows = -(-len(ranked) // columns)
    figure = curves.figure_of(3.6 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, ranked, strict=False):
        tau = one.agreement.statistics["kendall"]
        axes.scatter(one.predicted, one.truth, s=12, color=_COLOURS[1], alpha=0.7)
        tuned = f"{one.finetune} steps fine-tuned: " if one.finetune else ""
        axes.set_title(f"{one.name}\n{tuned}Kendall {tau}", fontsize=7.5)
        axes.set(xlabel="log loss by shared weights", ylabel="log loss from scratch")
        axes.grid(alpha=0.25)
    for axes in panels[len(ranked) :]:
        axes.remove()
    curves.save(figure, path)


def draw_cdf(ranked: Sequence[Ranked], path: Path) -> None:
    """Distribution of the true losses of the quarter that each way predicts to be best, beside that of all."""
    figure = curves.figure_of(8, 5)
    axes = figure.subplots()
    truth = np.sort(np.array(ranked[0].truth))
    axes.step(truth, np.arange(1, len(truth) + 1) / len(truth), where="post", color="black", label="all architectures")
    for one, colour in zip(ranked, _COLOURS * 4, strict=False):
        count = max(3, len(one.truth) // 4)
        chosen = np.sort(np.array(one.truth)[np.argsort(one.predicted, kind="stable")[:count]])
        heights = np.arange(1, count + 1) / count
        axes.step(chosen, heights, where="post", color=colour, linewidth=1.2, label=_label(one))
    axes.set(xlabel="test log loss, trained from scratch", ylabel="share of architectures", ylim=(0, 1.02))
    axes.set_title("architectures in the best quarter by each prediction", fontsize="medium")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
    curves.save(figure, path)


def draw_contest(result: AlgorithmComparison, path: Path) -> None:
    """Mean regret over the budget, with the 95 per cent interval of the mean."""
    figure = curves.figure_of(7.5, 4.5)
    axes = figure.subplots()
    budget = np.arange(1, result.budget + 1)
    for (name, regret), colour in zip(result.regret.items(), _COLOURS, strict=False):
        mean = regret.mean(axis=0)
        error = 1.96 * regret.std(axis=0, ddof=1) / np.sqrt(len(regret))
        axes.plot(budget, mean, color=colour, label=name)
        axes.fill_between(budget, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="architectures evaluated", ylabel="test log loss above the best of the table", ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    curves.save(figure, path)


def _label(one: Ranked) -> str:
    return f"{one.name}{f', {one.finetune} steps fine-tuned' if one.finetune else ''}"
