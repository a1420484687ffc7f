"""Peak learning rates of a range, each with several seeds; the validation rows decide.

Test rows are scored when the choice is made, for the chosen rate alone.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.runs.folder import run_directory
from nasrec.runs.job import TrainingJob
from nasrec.runs.seeds import train_seeds

if TYPE_CHECKING:
    from nasrec.train import TrainConfig

__all__ = ["SEEDS", "RateTrial", "tune"]

SEEDS = 3
"""Of each rate, where nothing says how many."""


@dataclass(frozen=True)
class RateTrial:
    """A learning rate and the reports of its runs, one a seed."""

    lr: float
    reports: tuple[dict[str, Any], ...]

    @property
    def log_losses(self) -> list[float]:
        """On the validation rows, of each seed's best weights."""
        return [report["scores"]["valid"]["log_loss"] for report in self.reports]

    @property
    def mean(self) -> float:
        """What the choice goes by."""
        return statistics.fmean(self.log_losses)

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        losses = self.log_losses
        return {
            "lr": self.lr,
            "valid_log_loss": {
                "mean": self.mean,
                "std": statistics.stdev(losses) if len(losses) > 1 else 0.0,
                "of_seeds": losses,
            },
            "valid_auc": [report["scores"]["valid"]["auc"] for report in self.reports],
            "train_s": sum(report["train_s"] for report in self.reports),
        }


def tune(
    job: TrainingJob, config: TrainConfig, learning_rates: Sequence[float], seeds: Sequence[int], target: Path
) -> tuple[list[RateTrial], list[dict[str, Any]]]:
    """Runs all trials, or goes on with them, in folders of `target`/trials, and notes each in tune.jsonl.

    Returns:
        The finished trials, and the chosen one's reports with test scores; none where an interrupt came before.
    """
    place = run_directory(target / "trials", job.context)
    trials: list[RateTrial] = []
    for lr in learning_rates:
        own, name = replace(config, lr=lr), _name(lr)
        reports = train_seeds(job, own, seeds, place, name=name, test=False)
        if reports[-1]["interrupted"]:
            return trials, []
        trials.append(RateTrial(lr, tuple(reports)))
        if job.context.is_main:
            _write_journal(trials, target)
    best = min(trials, key=lambda trial: trial.mean)
    chosen = train_seeds(job, replace(config, lr=best.lr), seeds, place, name=_name(best.lr))
    return trials, chosen


def _name(lr: float) -> str:
    return f"lr-{lr:g}-seed-{{}}"


def _write_journal(trials: Sequence[RateTrial], target: Path) -> None:
    """Whole each time, so that trials which are found finished after a break stand in it once."""
    lines = "".join(json.dumps(trial.to_dict()) + "\n" for trial in trials)
    write_text(target / "tune.jsonl", lines, TrainError)
