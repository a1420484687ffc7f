"""`nasrec train --tune`: peak learning rates of a range, each with several seeds; the validation rows decide.

The range is the paper's by default, 0.1 to 0.2 ("Towards Automated Model Design on Recommender Systems", section 5.1).
Test rows are looked at when the choice is made, for the chosen rate alone.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.reports import text as output
from nasrec.runs import folder as runs
from nasrec.runs.seeds import train_seeds
from nasrec.runs.job import Job
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text

if TYPE_CHECKING:
    from nasrec.train import TrainConfig

__all__ = ["RANGE", "SEEDS", "TRIALS", "Trial", "rates", "table", "tune"]

RANGE, TRIALS, SEEDS = (0.1, 0.2), 5, 3


@dataclass(frozen=True)
class Trial:
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


def rates(low: float, high: float, trials: int) -> list[float]:
    """Learning rates from `low` to `high` with equal ratios between neighbours, to four digits.

    Raises:
        TrainError: the range is none.
    """
    if not 0 < low <= high:
        raise TrainError(f"the range of learning rates must be 0 < LOW <= HIGH, not {low:g} to {high:g}")
    steps = max(1, trials - 1)
    found = [low * (high / low) ** (i / steps) for i in range(trials)]
    return list(dict.fromkeys(float(f"{rate:.4g}") for rate in found))


def tune(
    job: Job, config: TrainConfig, learning_rates: Sequence[float], seeds: Sequence[int], target: Path
) -> tuple[list[Trial], list[dict[str, Any]]]:
    """Runs all trials, or goes on with them, in folders of `target`/trials, and notes each in tune.jsonl.

    Returns:
        The finished trials, and the chosen one's reports with test scores; none where an interrupt came before.
    """
    place = runs.place(target / "trials", job.context)
    trials: list[Trial] = []
    for lr in learning_rates:
        own, name = replace(config, lr=lr), _name(lr)
        reports = train_seeds(job, own, seeds, place, name=name, test=False)
        if reports[-1]["interrupted"]:
            return trials, []
        trials.append(Trial(lr, tuple(reports)))
        if job.context.is_main:
            _write_journal(trials, target)
    best = min(trials, key=lambda trial: trial.mean)
    chosen = train_seeds(job, replace(config, lr=best.lr), seeds, place, name=_name(best.lr))
    return trials, chosen


def table(trials: Sequence[Trial]) -> str:
    """A line for each rate; the chosen one is marked."""
    best = min(trials, key=lambda trial: trial.mean)
    lines = []
    for trial in trials:
        found = trial.to_dict()["valid_log_loss"]
        mark = "<- lowest mean" if trial is best else ""
        each = " ".join(f"{loss:.5f}" for loss in trial.log_losses)
        lines.append([f"{trial.lr:g}", f"{found['mean']:.5f}", f"{found['std']:.5f}", each, mark])
    return output.table(("learning rate", "valid log loss", "std", "of each seed", ""), lines)


def _name(lr: float) -> str:
    return f"lr-{lr:g}-seed-{{}}"


def _write_journal(trials: Sequence[Trial], target: Path) -> None:
    """Whole each time, so that trials which are found finished after a break stand in it once."""
    lines = "".join(json.dumps(trial.to_dict()) + "\n" for trial in trials)
    write_text(target / "tune.jsonl", lines, TrainError)
