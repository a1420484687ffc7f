"""From genotypes to a model: candidates trained from scratch, the best of these trained with several seeds.

Section 4.3 of the paper: the 15 best of a search by validation are trained from scratch, each with its learning rate
tuned; the validation rows choose among them, and the test rows are scored once, for the chosen one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path, format_value
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory
from nasrec.runs import folder, seeds
from nasrec.runs.data import DataLike, DataSource, RunData, load_data, source_of
from nasrec.runs.job import TrainingJob
from nasrec.runs.model import Architecture
from nasrec.runs.options import CHANNELS, TuneOptions
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult, TrainRun
from nasrec.runs.train import common_report, target_of
from nasrec.train.config import TrainConfig
from nasrec.train.recipe import TrainingRecipe
from nasrec_ir import Graph
from nasrec_ir.passes import Dropout

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec

__all__ = ["Candidate", "Recipe", "RetrainOptions", "RetrainRun", "Retrained", "retrain", "train_candidates", "watched"]

CHOSEN = "chosen"
"""Folder of the chosen model's runs, which is a run like any other."""


@dataclass(frozen=True)
class RetrainOptions:
    """How candidates are trained from scratch, and the chosen one after them.

    Attributes:
        recipe: settings of every training; None: the defaults.
        rates: lowest and highest peak learning rate to tune over; None: the recipe's own rate, if it has one, else the
            paper's range, 0.1 to 0.2 (section 5.1).
        rate_trials: how many rates.
        seeds: runs of what is chosen, from the recipe's seed on.
        embedding_dim: channels of an embedding.
    """

    recipe: TrainingRecipe | None = None
    rates: tuple[float, float] | None = None
    rate_trials: int = 3
    seeds: int = 5
    embedding_dim: int = CHANNELS

    def __post_init__(self) -> None:
        for name in ("seeds", "embedding_dim"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise TrainError(
                    f"{name} must be a whole number of at least 1, not {format_value(getattr(self, name))}"
                )
        self.resolve()

    def resolve(self) -> Recipe:
        """With the rates to try."""
        training = self.recipe or TrainingRecipe()
        usual = TuneOptions()
        low, high = self.rates or (usual.low, usual.high)
        own = self.rates is None and training.config.lr is not None
        rates = [training.config.peak_lr] if own else TuneOptions(low, high, self.rate_trials).rates
        return Recipe(training, tuple(rates))


@dataclass(frozen=True)
class Recipe:
    """How models are trained from scratch, and the learning rates to choose from."""

    training: TrainingRecipe
    rates: tuple[float, ...]

    @property
    def config(self) -> TrainConfig:
        """Settings of the training loop."""
        return self.training.config

    def job(
        self,
        architecture: Architecture,
        features: FeatureSpec,
        graph: Graph,
        data: RunData,
        source: DataSource | None,
        reporter: Reporter,
    ) -> TrainingJob:
        """The runs of one model, on a card where there is one; dropout is for genotypes, baselines have their own."""
        from nasrec.runs.devices import choose_device
        from nasrec.train.distributed.context import DistributedContext

        std, dropout = self.training.embedding_std, self.training.dropout
        settings: dict[str, Any] = {} if architecture.genotype is not None else dict(architecture.options)
        settings |= source.settings() if source is not None else {}
        settings["embedding_dim"] = features.embedding_dim
        if std is not None:
            settings["embedding_std"] = std
        if dropout and architecture.genotype is not None:
            settings["dropout"] = dropout
            graph = Dropout(dropout).apply(graph)
        context = DistributedContext(device=choose_device("auto"))
        return TrainingJob(architecture, features, graph, data, context, settings, reporter=reporter)


@dataclass(frozen=True)
class Candidate:
    """A genotype, trained from scratch with one learning rate.

    Attributes:
        trial: its number.
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
class Retrained:
    """What came of it.

    Attributes:
        candidates: all of them.
        monitor: what chose among them, "log_loss" or "auc".
        chosen: None where an interrupt came before.
        runs: reports of the chosen one's runs, one a seed.
        folder: of these.
    """

    candidates: tuple[Candidate, ...]
    monitor: str
    chosen: Candidate | None
    runs: tuple[dict[str, Any], ...]
    interrupted: bool
    folder: Path | None = None

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


@dataclass(frozen=True)
class RetrainRun(RunResult):
    """Candidates trained from scratch, and the chosen one with several seeds."""

    @property
    def chosen(self) -> TrainRun | None:
        """The chosen model's run, a folder like any other; None where an interrupt came before."""
        return chosen_run(self.folder)


def retrain(
    genotypes: Sequence[Genotype],
    data: DataLike,
    out: str | os.PathLike[str] | None = None,
    options: RetrainOptions | None = None,
    progress: ProgressLike = True,
) -> RetrainRun:
    """Trains genotypes from scratch, each with its learning rate tuned, and the best by validation with several seeds.

    Args:
        genotypes: the candidates, numbered from 0.
        data: see `nasrec.runs.source_of`.
        out: the folder; default: one below runs/.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        NasrecError: rows or options are wrong, the folder holds something else, or a training fails.
    """
    from nasrec.environment import environment
    from nasrec.train.distributed.context import SINGLE_PROCESS

    options, reporter = options or RetrainOptions(), reporter_of(progress)
    recipe = options.resolve()
    if not genotypes:
        raise TrainError("there is no genotype to train; give at least one")
    named = source_of(data, None if out is None else Path(out))
    rows = load_data(named, seed=recipe.config.seed)
    target = target_of(out, "retrain", SINGLE_PROCESS)
    folder.require_command(target, "retrain")
    with folder.locked(target):
        reporter.begun(rows, None, None, None)
        found = train_candidates(
            list(enumerate(genotypes)), rows, named if isinstance(named, DataSource) else None, options, target,
            target, reporter,
        )  # fmt: skip
        report = folder.plain(
            {
                "command": "retrain",
                "data": rows.summary(),
                "environment": environment(),
                "interrupted": found.interrupted,
                "retrain": found.to_dict(),
            }
        )
        folder.write_report(target, report)
    return RetrainRun(target, report)


def train_candidates(
    candidates: Sequence[tuple[int, Genotype]],
    data: RunData,
    source: DataSource | None,
    options: RetrainOptions,
    target: Path,
    parent: Path,
    reporter: Reporter,
) -> Retrained:
    """Trains candidates, then the chosen one; every run has a folder below `target` and goes on where it was
    interrupted.

    Args:
        candidates: numbers and genotypes.
        source: the rows by name, for the runs' settings.
        target: an existing folder, for the candidates.
        parent: an existing folder, in which the chosen one's gets the name `CHOSEN`.
    """
    recipe = options.resolve()
    config, tried = recipe.config, list[Candidate]()
    for number, genotype in candidates:
        job = _job(number, genotype, data, source, options, reporter)
        for lr in recipe.rates:
            name = _run_of(number, lr)
            found = seeds.train_seeds(job, replace(config, lr=lr), [config.seed], target, name=name, test=False)
            if not found or found[-1]["interrupted"]:
                return Retrained(tuple(tried), config.monitor, None, (), True)
            tried.append(Candidate(number, genotype, lr, found[0]))
    chosen = min(tried, key=lambda candidate: candidate.loss(config.monitor))
    job = _job(chosen.trial, chosen.genotype, data, source, options, reporter)
    own = range(config.seed, config.seed + options.seeds)
    place = _chosen_folder(parent, target)
    # Its first seed was trained as a candidate, and is only scored on the test rows now.
    _copy(target / _run_of(chosen.trial, chosen.lr).format(config.seed), place / f"seed-{config.seed}")
    final = replace(config, lr=chosen.lr)
    runs = seeds.train_seeds(job, final, own, place)
    interrupted = len(runs) < options.seeds or bool(runs[-1]["interrupted"])
    folder.write_report(place, {**common_report(job, [], runs), "interrupted": interrupted})
    return Retrained(tuple(tried), config.monitor, chosen, tuple(runs), interrupted, place)


def chosen_run(target: Path) -> TrainRun | None:
    """The chosen model's run in a folder that `train_candidates` worked in, if it has come so far."""
    from nasrec.io.json import read_json

    place = target / CHOSEN
    path = place / "report.json"
    return TrainRun(place, read_json(path, TrainError)) if path.is_file() else None


def _job(
    number: int,
    genotype: Genotype,
    data: RunData,
    source: DataSource | None,
    options: RetrainOptions,
    reporter: Reporter,
) -> TrainingJob:
    features = data.splits.train.features(options.embedding_dim)
    architecture = Architecture(f"trial-{number}", genotype)
    return options.resolve().job(architecture, features, architecture.graph(features), data, source, reporter)


def _run_of(trial: int, lr: float) -> str:
    """Name of a candidate's run, but for the seed."""
    return f"trial-{trial}-lr-{lr:g}-seed-{{}}"


def _chosen_folder(parent: Path, target: Path) -> Path:
    place = parent / CHOSEN
    before = target / CHOSEN  # where version 0.1 had it
    if before != place and before.is_dir() and not place.exists():
        os.replace(before, place)
    return ensure_directory(place, TrainError)


def _copy(run: Path, target: Path) -> None:
    """The whole folder or nothing; none where there is one already."""
    if target.exists():
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".nasrec-", dir=target.parent) as scratch:
            os.replace(shutil.copytree(run, Path(scratch) / run.name), target)
    except OSError as failure:
        raise TrainError(f"{format_path(str(target))}: cannot be written: {failure.strerror}") from None
