"""The demonstration: its picture, and its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.errors import TrainError
from nasrec.io.atomic import write_bytes
from nasrec.reports import figures as curves
from nasrec.reports.page import MISSING, Page, figure, seconds
from nasrec.reports.train import add_model
from nasrec.runs.demo import DemoRun

__all__ = ["draw", "page"]


def draw(run: DemoRun) -> Path:
    """Writes curves.png into the folder: log losses of all models. Raises `TrainError` where it cannot."""
    path = run.folder / "curves.png"
    write_bytes(path, _curves(run), TrainError)
    return path


def page(run: Path, found: Mapping[str, Any]) -> Page:
    """Of a run's folder."""
    ended = DemoRun(run, found)
    stopped = "Interrupted before all models were trained." if ended.interrupted else ""
    made = Page(f"{found['model']['name']} beside baselines on {found['data']['source']}", stopped)
    made.beside["curves.png"] = _curves(ended)
    made.png(
        made.beside["curves.png"],
        "log losses of all models over the rows",
        "Dotted: always the click rate; dashed: the best that can be, which synthetic rows know.",
    )
    lines = [
        [
            one.name,
            *(figure(one.test[score]) if one.test else MISSING for score in ("log_loss", "auc")),
            f"{one.optimizer} {one.lr:g}",
            f"{one.macs:,}",
            f"{one.parameters:,}",
            seconds(one.train_s),
        ]
        for one in ended.models
    ]
    ends = [["always the click rate", figure(ended.entropy), figure(0.5), "", "", "", ""]]
    if ended.teacher:
        ends.append(["teacher: best possible", *(figure(ended.teacher[score]) for score in ("log_loss", "auc")),
                     "", "", "", ""])  # fmt: skip
    header = ("model", "test log loss", "test AUC", "learning rate", "MACs", "parameters", "training")
    made.table(header, lines, totals=ends, caption="All models were trained alike on the same rows.")
    add_model(made, found)
    return made


_LINES = "Dotted: always the click rate. Dashed: the best that can be, which is known of synthetic rows."


def _curves(run: DemoRun) -> bytes:
    return curves.compare(run.report["models"], run.entropy, run.teacher, run.report["data"]["source"])
