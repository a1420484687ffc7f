"""What is printed of trainings: scores of each seed, learning rates that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrec.reports import text
from nasrec.runs.folder import resume_hint
from nasrec.runs.results import TrainRun

__all__ = ["closing", "rate_table", "score_table", "seed_table"]

_SCORES = ("log_loss", "auc", "normalised_entropy", "calibration")


def closing(run: TrainRun) -> str:
    """All of it, and where the files are; or how to go on."""
    if run.interrupted:
        return resume_hint(run.folder)
    report = run.report
    several = "runs" in report
    blocks = [rate_table(report["trials"], run.lr)] if "trials" in report else []
    if len(run.seeds) > 1:
        blocks.append(seed_table(run))
    elif not several:
        blocks.append(score_table(report["scores"]))
    if "trials" in report:
        blocks.insert(1, f"learning rate {run.lr:g} it is; with its seeds:")
        blocks += [] if len(run.seeds) > 1 else [score_table(run.seeds[0].scores)]
    runs = report["runs"] if several else [report]
    worked, seen = (sum(each[key] for each in runs) for key in ("train_s", "rows"))
    files = "curves, weights and a report of each run, report.json" if several else "model.py, weights.pt"
    blocks.append(
        f"{seen:,} rows in {worked:.1f} s ({seen / max(1e-9, worked):,.0f} rows/s); {files} and report.html are in "
        f"{run.folder}"
    )
    return "\n" + "\n\n".join(blocks)


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each part of the rows."""
    lines = [
        [part.replace("_", " "), *(figure(found[name]) for name in _SCORES), f"{found['rows']:,}"]
        for part, found in scores.items()
    ]
    return text.table(("", "log loss", "AUC", "normalised entropy", "calibration", "rows"), lines)


def seed_table(run: TrainRun) -> str:
    """A line for each seed, then mean and standard deviation."""
    columns = [(part, score) for part in run.scores for score in ("log_loss", "auc")]
    header = ["seed", *(f"{part} {score.replace('_', ' ').replace('auc', 'AUC')}" for part, score in columns)]
    lines = [[str(seed.seed), *(figure(seed.scores[part][score]) for part, score in columns)] for seed in run.seeds]
    for what, found in (("mean", run.scores), ("std", run.stds)):
        lines.append([what, *(figure(found[part][score]) for part, score in columns)])
    return text.table(header, lines)


def rate_table(trials: Sequence[Mapping[str, Any]], chosen: float | None) -> str:
    """A line for each learning rate; the chosen one is marked."""
    lines = []
    for trial in trials:
        found = trial["valid_log_loss"]
        mark = "<- lowest mean" if trial["lr"] == chosen else ""
        each = " ".join(f"{loss:.5f}" for loss in found["of_seeds"])
        lines.append([f"{trial['lr']:g}", figure(found["mean"]), figure(found["std"]), each, mark])
    return text.table(("learning rate", "valid log loss", "std", "of each seed", ""), lines)


def figure(value: float | None) -> str:
    """Five decimals, or a dash where a score is not defined."""
    return "-" if value is None else f"{value:.5f}"
