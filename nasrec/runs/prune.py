"""A model pruned in rounds, in a folder: each round trains a smaller model from the same beginning."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec.checks import format_path, format_value
from nasrec.errors import PruneError, TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text, read_json
from nasrec.prune.settings import PruneSettings
from nasrec.runs import folder, prune_summary, settings
from nasrec.runs.data import DataLike
from nasrec.runs.devices import choose_device
from nasrec.runs.job import TrainingJob
from nasrec.runs.model import ModelLike
from nasrec.runs.options import TrainOptions
from nasrec.runs.prune_results import PruneRun
from nasrec.runs.reporter import ProgressLike, reporter_of
from nasrec.runs.train import begin_folder, hold, subject_of, target_of

if TYPE_CHECKING:
    from nasrec.train import TrainConfig

__all__ = ["OWN", "PruneOptions", "prune"]

OWN = tuple(one.name for one in dataclasses.fields(PruneSettings))
"""Settings of a pruning alone."""


@dataclass(frozen=True)
class PruneOptions(PruneSettings):
    """How `nasrec.runs.prune` prunes: the settings of `nasrec.prune.PruneSettings`, and these.

    Attributes:
        train: of every training; None: those of the run that the model is of, else the defaults.
        seeds: prunings, each with a seed of its own, from that of `train` on.
        fresh: remove what earlier runs left in the folder, and begin anew.

    Raises:
        PruneError: a value is out of range; the message names the field.
    """

    train: TrainOptions | None = None
    seeds: int = 1
    fresh: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.seeds) is not int or self.seeds < 1:
            raise PruneError(f"seeds must be a whole number of at least 1, not {format_value(self.seeds)}")
        if self.train is not None:
            for name, unset in (("seeds", 1), ("fresh", False), ("tune", None)):
                if getattr(self.train, name) != unset:
                    hint = "a pruning trains at one rate" if name == "tune" else f"{name} of the pruning is meant"
                    raise PruneError(f"train must leave {name} out: {hint}")

    @classmethod
    def from_settings(cls, values: Mapping[str, Any], **more: Any) -> PruneOptions:
        """The typed form of settings, see `nasrec.runs.settings`; what is absent takes its default."""
        return cls(**{name: values[name] for name in OWN if name in values}, **more)

    @property
    def pruning(self) -> PruneSettings:
        """What says how to prune, without how to train."""
        return PruneSettings(**{name: getattr(self, name) for name in OWN})


def prune(
    model: ModelLike,
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: PruneOptions | None = None,
    progress: ProgressLike = True,
) -> PruneRun:
    """Prunes a model, or goes on with what the folder holds of the same pruning; more rounds may follow later.

    Args:
        model: a genotype, a graph, the name or file of one, a baseline's name; or the folder of a run, whose model,
            rows and settings are taken over. It begins with its initial weights, a quantised one with its trained ones.
        data: see `nasrec.runs.source_of`; None: the rows of the run that `model` is the folder of.
        out: the folder; default: one below runs/, named by model and time.
        options: None: the defaults.
        progress: True for a bar on standard error, False for nothing, or what is called with `nasrec.runs.Event`.

    Raises:
        NasrecError: model, rows or options do not fit each other, not as much can leave as is asked for, the folder
            holds another run, training fails, or a file cannot be written.

    Example:
        >>> small = nasrec.runs.prune("runs/dlrm", options=nasrec.runs.PruneOptions(rounds=3))  # doctest: +SKIP
        >>> small.over_seeds[-1].test_log_loss.mean, small.model()  # doctest: +SKIP
    """
    from nasrec.prune import require_room
    from nasrec.train.distributed.context import joined

    options = options if options is not None else PruneOptions()
    reporter = reporter_of(progress)
    subject = subject_of(model, data, out, options.train, trained=False)
    with joined(choose_device(subject.options.device)) as context:
        if context.size > 1:
            raise PruneError("pruning works in one process; start it without torchrun")
        job = subject.job(context, reporter)
        target = target_of(out, f"prune-{job.graph.name}", context)
        with hold(target, context):
            begin_folder(target, "prune", "pruning", fresh=options.fresh)
            require_room(job.graph, options.pruning)  # before anything is written
            _claim(target, options.pruning)
            config = subject.options.config
            write_text(target / "config.toml", _config_text(job, options, config, target), TrainError)
            reporter.begun(job.data, job.architecture, job.features, job.graph)
            return PruneRun(target, _prune(job, options, config, target))


def _config_text(job: TrainingJob, options: PruneOptions, config: TrainConfig, target: Path) -> str:
    """A model that no argument names is that of the first round 0."""
    dense = job.settings_in(target / f"seed-{config.seed}" / "round-0")
    own = {settings.COMMAND: "prune", **dense, "seeds": options.seeds, **asdict(options.pruning)}
    return settings.to_toml(own, config)


def _claim(target: Path, pruning: PruneSettings) -> None:
    """Refuses to go on with other settings; the number of rounds may grow."""
    from nasrec.train.identity import require_same

    own = {name: value for name, value in asdict(pruning).items() if name != "rounds"}
    path = target / "prune.json"
    if path.exists():
        found = read_json(path, TrainError)
        if not isinstance(found, dict) or not found:
            raise TrainError(
                f"{format_path(str(path))}: holds no settings of a pruning; give --fresh, or another folder"
            )
        require_same(found, own)
    write_text(path, json_text(own) + "\n", TrainError)


def _prune(job: TrainingJob, options: PruneOptions, config: TrainConfig, target: Path) -> dict[str, Any]:
    """The rounds of all seeds, as far as they come before Ctrl-C; gives the report, which the folder has too."""
    from nasrec.prune import run_rounds
    from nasrec.runs.prune_trainer import FolderTrainer, Stopped

    rounds: list[dict[str, Any]] = []
    interrupted, dense_macs, pruning = False, nasrec_ir.cost(job.graph).macs, options.pruning
    try:
        for seed in range(config.seed, config.seed + options.seeds):
            trainer = FolderTrainer(job, replace(config, seed=seed), pruning, target / f"seed-{seed}")
            for found in run_rounds(job.model(seed), pruning, seed, trainer):
                name = f"seed-{seed}/round-{found.number}"
                rounds.append(prune_summary.record(found, seed, name, dense_macs, job.data.splits.train.schema))
    except (KeyboardInterrupt, Stopped):
        interrupted = True
    report = folder.plain(
        {
            **job.summary(),
            "command": "prune",
            "pruning": asdict(pruning),
            "config": asdict(config),
            "interrupted": interrupted,
            "rounds": rounds,
            "over_seeds": prune_summary.over_seeds(rounds),
        }
    )
    folder.write_report(target, report)
    return report
