"""From a search to a model: the best candidates trained from scratch, the best of these trained with several seeds.

Section 4.3 of the paper: the 15 best by validation are trained from scratch, each with its learning rate tuned; the
validation rows choose among them, and the test rows are looked at once, for the chosen one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.reports import text as output
from nasrec.runs import seeds
from nasrec.cli.options import training as settings
from nasrec.runs import tune
from nasrec.cli.options.model import Architecture
from nasrec.runs.job import Job
from nasrec.cli.usage import number
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory
from nasrec_ir.passes import Dropout

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.features import FeatureSpec
    from nasrec.genotype import Genotype
    from nasrec.search import Trial
    from nasrec.train import TrainConfig, TrainingRecipe
    from nasrec_ir import Graph

__all__ = ["Candidate", "Recipe", "Retrained", "add_options", "recipe_of", "retrain", "table", "watched"]

RATES = 3


@dataclass(frozen=True)
class Candidate:
    """A trial's genotype, trained from scratch with one learning rate.

    Attributes:
        trial: number of the trial.
        lr: peak learning rate.
        report: of the run.
    """

    trial: int
    genotype: Genotype
    lr: float
    report: dict[str, Any]

    def loss(self, monitor: str) -> float:
        """On the validation rows, by what the training watches; smaller is better."""
        return watched(self.report["scores"]["valid"], monitor)


def watched(scores: Mapping[str, Any], monitor: str) -> float:
    """What the training watches, smaller is better."""
    value: float = scores[monitor]
    return -value if monitor == "auc" else value


@dataclass(frozen=True)
class Recipe:
    """How models are trained from scratch.

    Attributes:
        training: of every model; its dropout is that of genotypes, baselines have their own.
        rates: learning rates to choose from.
    """

    training: TrainingRecipe
    rates: tuple[float, ...]

    @property
    def config(self) -> TrainConfig:
        """Settings of the training loop."""
        return self.training.config

    def job(self, architecture: Architecture, features: FeatureSpec, graph: Graph, data: Rows) -> Job:
        """The runs of one model, on a card where there is one."""
        import torch

        from nasrec.train.distributed.context import DistributedContext

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        std, dropout = self.training.embedding_std, self.training.dropout
        settings: dict[str, Any] = {} if std is None else {"embedding_std": std}
        if dropout and architecture.genotype is not None:
            settings["dropout"] = dropout
            graph = Dropout(dropout).apply(graph)
        return Job(architecture, features, graph, data, DistributedContext(device=device), settings)


@dataclass(frozen=True)
class Retrained:
    """What came of it: every candidate; what chose among them, "log_loss" or "auc"; the chosen one, and the reports of
    its runs, one a seed. `chosen` is None where an interrupt came before."""

    candidates: tuple[Candidate, ...]
    monitor: str
    chosen: Candidate | None
    runs: tuple[dict[str, Any], ...]
    interrupted: bool

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        tried = [{"trial": c.trial, "lr": c.lr, "valid": c.report["scores"]["valid"]} for c in self.candidates]
        found: dict[str, Any] = {"candidates": tried, "by": self.monitor, "interrupted": self.interrupted}
        if self.chosen is not None and not self.interrupted:
            found |= {
                "chosen": {"trial": self.chosen.trial, "lr": self.chosen.lr},
                "runs": seeds.summary_of(self.runs),
                "scores": seeds.statistics_of(self.runs),
            }
        return found


def add_options(
    parser: argparse.ArgumentParser,
    which: str = "best",
    *,
    count: int = 5,
    rate_trials: int = RATES,
    remark: str = "the paper trains 15",
) -> None:
    """Adds --retrain and what belongs to it."""
    group = parser.add_argument_group("training of the best from scratch")
    group.add_argument(
        "--retrain", type=number(0), default=0, metavar="K", help=f"train K {which} (default 0; {remark})"
    )
    group.add_argument(
        "--train-config", metavar="FILE", help="settings of that training: TOML as 'nasrec train --config' takes it"
    )
    low, high = tune.RANGE
    group.add_argument(
        "--rates", type=float, nargs=2, metavar=("LOW", "HIGH"), default=None,
        help=f"peak learning rates to tune over (default {low:g} {high:g}, the paper's, or the rate of --train-config)",
    )  # fmt: skip
    group.add_argument(
        "--rate-trials",
        type=number(1),
        default=rate_trials,
        metavar="N",
        help=f"how many rates (default {rate_trials})",
    )
    group.add_argument(
        "--seeds",
        type=number(1),
        default=count,
        metavar="N",
        help=f"runs of what is chosen, scored on test (default {count})",
    )


def recipe_of(args: argparse.Namespace) -> Recipe:
    """How candidates are to be trained.

    Raises:
        TrainError: the file cannot be read, or a setting is out of range.
    """
    from nasrec.train import TrainingRecipe

    found = settings.from_file(args.train_config) if args.train_config else TrainingRecipe()
    low, high = args.rates or tune.RANGE
    given = args.rates is None and found.config.lr is not None
    rates = [found.config.peak_lr] if given else tune.rates(low, high, args.rate_trials)
    return Recipe(found, tuple(rates))


def retrain(
    best: Sequence[Trial[Genotype]], data: Rows, embedding_dim: int, recipe: Recipe, count: int, target: Path
) -> Retrained:
    """Trains candidates, then the chosen one with `count` seeds from the configuration's own on.

    Every run has a folder below `target` and goes on where it was interrupted.
    """
    config, candidates = recipe.config, list[Candidate]()
    for trial in best:
        job = _job(trial, data, embedding_dim, recipe)
        for lr in recipe.rates:
            name = _run_of(trial.number, lr)
            found = seeds.train_seeds(job, replace(config, lr=lr), [config.seed], target, name=name, test=False)
            if not found or found[-1]["interrupted"]:
                return Retrained(tuple(candidates), config.monitor, None, (), True)
            candidates.append(Candidate(trial.number, trial.candidate, lr, found[0]))
    chosen = min(candidates, key=lambda candidate: candidate.loss(config.monitor))
    job = _job(next(trial for trial in best if trial.number == chosen.trial), data, embedding_dim, recipe)
    own = range(config.seed, config.seed + count)
    place = ensure_directory(target / "chosen", TrainError)
    # Its first seed was trained as a candidate, and is only scored on the test rows now.
    _copy(target / _run_of(chosen.trial, chosen.lr).format(config.seed), place / f"seed-{config.seed}")
    runs = seeds.train_seeds(job, replace(config, lr=chosen.lr), own, place)
    interrupted = len(runs) < count or bool(runs[-1]["interrupted"])
    return Retrained(tuple(candidates), config.monitor, chosen, tuple(runs), interrupted)


def _run_of(trial: int, lr: float) -> str:
    """Name of a candidate's run, but for the seed."""
    return f"trial-{trial}-lr-{lr:g}-seed-{{}}"


def _copy(run: Path, target: Path) -> None:
    """The whole folder or nothing; none where there is one already."""
    if target.exists():
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".nasrec-", dir=target.parent) as scratch:
            os.replace(shutil.copytree(run, Path(scratch) / run.name), target)
    except OSError as failure:
        raise TrainError(f"{format_path(str(target))}: cannot be written: {failure.strerror}") from None


def table(found: Retrained) -> str:
    """A line for each candidate, best first."""
    ordered = sorted(found.candidates, key=lambda candidate: candidate.loss(found.monitor))
    lines = [
        [
            str(candidate.trial),
            f"{candidate.lr:g}",
            f"{candidate.report['scores']['valid']['log_loss']:.5f}",
            f"{candidate.report['scores']['valid']['auc']:.5f}",
            "chosen" if candidate is found.chosen else "",
        ]
        for candidate in ordered
    ]
    return output.table(("trial", "learning rate", "valid log loss", "valid AUC", ""), lines, left=1)


def _job(trial: Trial[Genotype], data: Rows, embedding_dim: int, recipe: Recipe) -> Job:
    features = data.splits.train.features(embedding_dim)
    architecture = Architecture(f"trial-{trial.number}", trial.candidate)
    return recipe.job(architecture, features, architecture.graph(features), data)
