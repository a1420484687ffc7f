"""What is printed of the demonstration."""

from __future__ import annotations

from nasrec.reports.text import table
from nasrec.runs.demo import DemoRun

__all__ = ["closing"]

_HEADER = ("model", "test log loss", "test AUC", "learning rate", "MACs", "parameters", "training s")


def closing(run: DemoRun) -> str:
    """A line for each model between the worst and the best that can be, and where the files are."""
    lines = [["always the click rate", f"{run.entropy:.4f}", "0.5000", "", "", "", ""]]
    for one in sorted(run.models, key=lambda model: -(model.test["log_loss"] or 0.0) if model.test else 0.0):
        scores = [_figure(one.test["log_loss"]), _figure(one.test["auc"])] if one.test else ["interrupted", ""]
        rate = f"{one.optimizer} {one.lr:g}"
        lines.append([one.name, *scores, rate, f"{one.macs:,}", f"{one.parameters:,}", f"{one.train_s:.1f}"])
    if run.teacher:
        best = (_figure(run.teacher["log_loss"]), _figure(run.teacher["auc"]))
        lines.append(["teacher: best possible", *best, "", "", "", ""])
    return (
        f"\n{table(_HEADER, lines)}\n\n"
        f"curves.png, report.json and weights are in {run.folder}; {run.report['total_s']:.0f} s in all"
    )


def _figure(value: float | None) -> str:
    """Four decimals, or a dash where a score is not defined."""
    return "-" if value is None else f"{value:.4f}"
