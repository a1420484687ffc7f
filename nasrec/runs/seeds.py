"""The same training with several seeds, and what their scores come to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.runs.folder import run_directory
from nasrec.runs.job import TrainingJob, run_training

if TYPE_CHECKING:
    from nasrec.train import TrainConfig

__all__ = ["SCORES", "statistics_of", "summary_of", "train_seeds"]

SCORES = ("log_loss", "auc", "normalised_entropy", "calibration")


def train_seeds(
    job: TrainingJob,
    config: TrainConfig,
    seeds: Sequence[int],
    target: Path,
    *,
    name: str = "seed-{}",
    test: bool = True,
) -> list[dict[str, Any]]:
    """One run for each seed, in folders of the target; the reports of those that were begun before an interrupt.

    Args:
        name: of a run's folder, given its seed.
        test: see `run_training`.
    """
    reports = []
    for seed in seeds:
        own = run_directory(target / name.format(seed), job.context)
        label = f"training {job.architecture.name}, {own.name}"
        reports.append(run_training(job, replace(config, seed=seed), own, label, test=test) | {"folder": own.name})
        if reports[-1]["interrupted"]:
            break
    return reports


def statistics_of(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """For each part of the rows that all runs were scored on, mean and standard deviation (of a sample; 0 for a single
    run) of each score; None where a run has no such score."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for part in ("valid", "test"):
        if not all(part in report.get("scores", {}) for report in reports):
            continue
        found[part] = {}
        for score in SCORES:
            values = [report["scores"][part][score] for report in reports]
            known = None not in values
            found[part][score] = {
                "mean": statistics.fmean(values) if known else None,
                "std": (statistics.stdev(values) if len(values) > 1 else 0.0) if known else None,
            }
    return found


def summary_of(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the common report says of each run."""
    keys = ("folder", "steps", "rows", "train_s", "rows_per_s", "interrupted", "stopped_early", "best_valid")
    return [
        {"seed": report["config"]["seed"], **{key: report[key] for key in keys}, "scores": report.get("scores")}
        for report in reports
    ]
