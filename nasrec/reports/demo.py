"""The picture of the demonstration."""

from __future__ import annotations

from pathlib import Path

from nasrec.reports import figures as curves
from nasrec.runs.demo import DemoRun

__all__ = ["draw"]


def draw(run: DemoRun) -> Path:
    """Writes curves.png into the folder: log losses of all models. Raises `TrainError` where it cannot."""
    path = run.folder / "curves.png"
    curves.compare(run.report["models"], run.entropy, run.teacher, run.report["data"]["source"], path)
    return path
