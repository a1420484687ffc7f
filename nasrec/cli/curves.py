"""Training curves as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasrec.errors import TrainError
from nasrec.files import replacing

if TYPE_CHECKING:
    from nasrec.cli.contest import Entry
    from nasrec.cli.rows import Rows

__all__ = ["draw"]

COLOURS = ("#b2182b", "#7f7f7f", "#2166ac", "#1b7837")


def draw(entries: Sequence[Entry], data: Rows, floor: float, path: str | os.PathLike[str]) -> None:
    """Draws training and validation log loss over the rows seen, as PNG.

    Args:
        entries: trained models, the one in question first.
        data: gives the title and, for synthetic rows, the teacher's log loss.
        floor: log loss of always predicting the click rate.
        path: the file to make or to replace.

    Raises:
        TrainError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    losses = [floor, *([data.ceiling.log_loss] if data.ceiling else [])]
    for entry, colour in zip(entries, COLOURS, strict=False):
        history = entry.result.history
        left.plot([p.rows for p in history], [p.loss for p in history], color=colour, label=entry.name, linewidth=1.2)
        per_step = entry.result.config.batch_size
        looks = entry.result.evaluations
        seen = [min(look.step * per_step, entry.result.rows) for look in looks]
        right.plot(seen, [look.metrics.log_loss for look in looks], color=colour, label=entry.name, marker="o", ms=4)
        losses += [look.metrics.log_loss for look in looks]
    for axes, title in ((left, "training rows, running mean"), (right, "validation rows")):
        axes.axhline(floor, color="black", linewidth=0.8, linestyle=":", label="entropy of the click rate")
        if data.ceiling:
            axes.axhline(data.ceiling.log_loss, color="black", linewidth=0.8, linestyle="--", label="teacher")
        axes.set(title=title, xlabel="rows seen, thousands")
        axes.xaxis.set_major_formatter(lambda rows, _: f"{rows / 1000:g}")
        axes.grid(alpha=0.25)
    # The first steps' losses may be many times those that matter; the picture is about the latter.
    span = max(floor - min(losses), 0.05 * floor)
    left.set(ylabel="log loss", ylim=(floor - 1.15 * span, floor + 0.5 * span))
    right.legend(fontsize="small", frameon=False)
    figure.suptitle(data.source, fontsize="medium")
    with replacing(path, TrainError) as file:
        figure.savefig(file, dpi=130, format="png", metadata={"Software": None})
