"""Training curves as a picture: what the comparison of the demonstration and the report of a run share."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Run", "compare", "entropy_line", "figure_of", "png", "rows_seen", "thousands", "zoom"]

COLOURS = ("#b2182b", "#7f7f7f", "#2166ac", "#1b7837")

Run = Mapping[str, Any]
"""A trained model as its report has it: `name`, `config`, `rows`, `history`, `evaluations`."""


def compare(runs: Sequence[Run], floor: float, teacher: Mapping[str, Any] | None, title: str) -> bytes:
    """Draws training and validation log loss of several models over the rows seen, as PNG.

    Args:
        runs: trained models, the one in question first.
        floor: log loss of always predicting the click rate.
        teacher: its metrics, for synthetic rows.
    """
    figure = figure_of(10, 4.2)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for run, colour in zip(runs, COLOURS, strict=False):
        history, looks = run["history"], run["evaluations"]
        style = {"color": colour, "label": run["name"]}
        left.plot([p["rows"] for p in history], [p["loss"] for p in history], linewidth=1.2, **style)
        right.plot(rows_seen(run), [look["metrics"]["log_loss"] for look in looks], marker="o", ms=4, **style)
    for axes, heading in ((left, "training rows, running mean"), (right, "validation rows")):
        entropy_line(axes, floor, teacher)
        axes.set(title=heading)
        thousands(axes)
    left.set(ylabel="log loss")
    zoom(left, runs, floor, teacher)
    right.legend(fontsize="small", frameon=False)
    figure.suptitle(title, fontsize="medium")
    return png(figure)


def figure_of(width: float, height: float) -> Figure:
    """An empty figure, in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def rows_seen(run: Run) -> list[int]:
    """Rows read until each look at the validation rows."""
    points = {point["step"]: point["rows"] for point in run["history"]}
    size = run["config"]["batch_size"]
    return [points.get(look["step"], min(look["step"] * size, run["rows"])) for look in run["evaluations"]]


def entropy_line(axes: Axes, floor: float, teacher: Mapping[str, Any] | None) -> None:
    """The worst and the best that a log loss should be."""
    axes.axhline(floor, color="black", linewidth=0.8, linestyle=":", label="entropy of the click rate")
    if teacher:
        axes.axhline(teacher["log_loss"], color="black", linewidth=0.8, linestyle="--", label="teacher")


def thousands(axes: Axes) -> None:
    """The horizontal axis in thousands of rows."""
    axes.set(xlabel="rows seen, thousands")
    axes.xaxis.set_major_formatter(lambda rows, _: f"{rows / 1000:g}")
    axes.grid(alpha=0.25)


def zoom(axes: Axes, runs: Sequence[Run], floor: float, teacher: Mapping[str, Any] | None) -> None:
    """Limits by what was reached: the first steps' losses may be many times those that matter."""
    reached = [min(look["metrics"]["log_loss"] for look in run["evaluations"]) for run in runs if run["evaluations"]]
    lowest = min([floor, *([teacher["log_loss"]] if teacher else []), *reached])
    span = max(floor - lowest, 0.05 * floor)
    axes.set(ylim=(floor - 1.15 * span, max(floor + 0.5 * span, *(loss + 0.2 * span for loss in reached))))


def png(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png", metadata={"Software": None})
    return file.getvalue()
