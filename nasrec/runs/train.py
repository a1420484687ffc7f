"""A model trained on click logs, in a folder: with one seed or several, its learning rate tuned where that is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.errors import FeatureError, RunError
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import require_columns
from nasrec.runs import folder, seeds, settings, weights
from nasrec.runs.data import DataLike, DataSource, RunData, load_data, source_of
from nasrec.runs.devices import choose_device
from nasrec.runs.inherit import ModelRun, is_run, open_run
from nasrec.runs.job import TrainingJob, run_training
from nasrec.runs.model import Architecture, ModelLike, architecture_of
from nasrec.runs.options import CHANNELS, TrainOptions
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import TrainRun
from nasrec.runs.tune import RateTrial, tune

if TYPE_CHECKING:
    from nasrec.train.distributed.context import DistributedContext

__all__ = ["Subject", "begin_folder", "subject_of", "train"]


def train(
    model: ModelLike,
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: TrainOptions | None = None,
    progress: ProgressLike = True,
) -> TrainRun:
    """Trains a model, or goes on with what the folder holds of the same run; a finished one is given as it is.

    Args:
        model: a genotype, a graph, the name or file of one, a baseline's name; or the folder of a run, whose model is
            trained on from its weights.
        data: see `nasrec.runs.source_of`; None: the rows of the run that `model` is the folder of.
        out: the folder; default: one below runs/, named by model and time.
        options: None: the defaults, or those of the run that `model` is the folder of.
        progress: True for a bar on standard error, False for nothing, or what is called with `nasrec.runs.Event`.

    Raises:
        NasrecError: model, rows or options do not fit each other, the folder holds another run, training fails, or a
            file cannot be written.

    Example:
        >>> run = nasrec.runs.train("dlrm", data="prepared", out="runs/dlrm")  # doctest: +SKIP
        >>> run.scores["test"]["log_loss"], run.model()  # doctest: +SKIP
    """
    from nasrec.train.distributed.context import joined
    from nasrec.train.distributed.sharded import require_shardable

    reporter = reporter_of(progress)
    found = subject_of(model, data, out, options, trained=True)
    options = found.options
    with joined(choose_device(options.device)) as context:
        if options.shard_tables is not None:
            require_shardable(options.config, options.shard_tables)
        job = found.job(context, reporter)
        target = target_of(out, job.graph.name, context)
        with hold(target, context):
            if context.is_main:
                kind = "tuning" if options.tune else "seeds" if options.seeds > 1 else "run"
                begin_folder(target, "train", kind, fresh=options.fresh)
                reporter.begun(job.data, job.architecture, job.features, job.graph)
            context.barrier()
            return TrainRun(target, _train(job, options, target))


@dataclass(frozen=True)
class Subject:
    """What a workflow works on, rows loaded.

    Attributes:
        run: the run that the model came from, if it did.
        model: the model argument, as config.toml names it; None for a model in memory.
        source: the rows by name; None where they lie in memory.
        start: a file of weights to begin with, and what it holds.
    """

    architecture: Architecture
    features: FeatureSpec
    data: RunData
    options: TrainOptions
    run: ModelRun | None
    model: str | None
    source: DataSource | None
    start: tuple[str, dict[str, Any]] | None

    @property
    def settings(self) -> dict[str, Any]:
        """For config.toml, see `nasrec.runs.settings`."""
        rows = self.source.settings() if self.source is not None else {}
        return settings.of_run(self.model, rows, replace(self.options, embedding_dim=self.features.embedding_dim))

    def job(self, context: DistributedContext, reporter: Reporter) -> TrainingJob:
        """The training of it."""
        options = self.options
        graph = self.architecture.graph(self.features)
        return TrainingJob(
            self.architecture, self.features, graph, self.data, context, self.settings, self.start,
            options.checkpoint_every, options.tensorboard, options.shard_tables, reporter,
        )  # fmt: skip


def subject_of(
    model: ModelLike,
    data: DataLike | None,
    out: str | os.PathLike[str] | None,
    options: TrainOptions | None,
    *,
    trained: bool,
) -> Subject:
    """What `model`, `data` and `options` of a workflow mean together.

    Args:
        trained: of a run's folder, go on from the weights that it ended with, else from those that it began with.

    Raises:
        RunError: an option contradicts the run, or the rows are not known.
        NasrecError: model or rows cannot be read.
    """
    run = open_run(os.fspath(model)) if is_run(model) else None  # type: ignore[arg-type]
    if run is not None:
        inherited = settings.train_options(run.values(trained=trained))
        options = _completed(options, inherited) if options is not None else inherited
        architecture = run.architecture
        if run.architecture.fixed is None and options.model_options:
            architecture = run.architecture.with_options(options.model_options)
        elif options.model_options:
            raise RunError(
                f"{format_path(str(run.folder))}: its model says itself what it is made of; leave out "
                f"{', '.join(options.model_options)}"
            )
    else:
        options = options if options is not None else TrainOptions()
        architecture = architecture_of(model).with_options(options.model_options)
    loaded, source = _rows(data, run, Path(out) if out is not None else None, options.seed)
    start = (options.weights, weights.read(options.weights)) if options.weights else None
    features = loaded.splits.train.features(_channels(options, run, architecture, start))
    if run is not None and run.features is not None:
        require_same_columns(run, features, loaded)
    text = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    return Subject(architecture, features, loaded, options, run, text, source, start)


def _rows(
    data: DataLike | None, run: ModelRun | None, out: Path | None, seed: int
) -> tuple[RunData, DataSource | None]:
    if data is None:
        if run is None:
            raise RunError("the rows are missing; give data=, such as a prepared folder")
        if run.data is None:
            raise RunError(f"{format_path(str(run.folder))}: had its rows in memory; give data=")
        data = run.data
    named = source_of(data, out)
    source = named.with_seed(seed) if isinstance(named, DataSource) else None
    return load_data(source or named), source


def _completed(options: TrainOptions, run: TrainOptions) -> TrainOptions:
    """With the initial values of the run's model, where the options name no others."""
    names = ("weights", "embedding_std")
    return replace(options, **{name: getattr(run, name) for name in names if getattr(options, name) is None})


def _channels(
    options: TrainOptions,
    run: ModelRun | None,
    architecture: Architecture,
    start: tuple[str, dict[str, Any]] | None,
) -> int:
    known = run.features.embedding_dim if run is not None and run.features is not None else architecture.channels
    if options.embedding_dim is None:
        tables = weights.tables_of(start[1]) if start is not None else ()
        return known or (tables[0][1] if tables else CHANNELS)
    if run is not None and known is not None and options.embedding_dim != known:
        raise RunError(
            f"{format_path(str(run.folder))}: its model has {known} channels of an embedding, embedding_dim says "
            f"{options.embedding_dim}; leave it out"
        )
    return options.embedding_dim


def require_same_columns(run: ModelRun, features: FeatureSpec, data: RunData) -> None:
    """Raise `RunError` where rows have other columns than a run's model."""
    if run.features is None or features == run.features:
        return
    if run.architecture.fixed is not None:  # what it does not read may hold anything
        with suppress(FeatureError):
            return require_columns(run.architecture.fixed, features)
    own, theirs = run.features, features
    raise RunError(
        f"{data.source}: has {theirs.num_dense} dense and {theirs.num_sparse} categorical columns, "
        f"{sum(theirs.cardinalities):,} table rows; the model of {format_path(str(run.folder))} is for {own.num_dense} "
        f"and {own.num_sparse}, {sum(own.cardinalities):,} table rows: give rows prepared alike, or leave the data out"
    )


def target_of(out: str | os.PathLike[str] | None, name: str, context: DistributedContext) -> Path:
    """A run's folder, made if need be. Raises `RunError` where several processes would choose one each."""
    if out is None and context.size > 1:
        raise RunError("several processes need a folder that all of them know; give -o DIR (out=)")
    return folder.run_directory(out if out is not None else folder.default_folder(name), context)


@contextmanager
def hold(target: Path, context: DistributedContext) -> Iterator[None]:
    """Keeps other processes from working in a folder; of several that work together the main one does so."""
    with folder.locked(target) if context.is_main else nullcontext():
        yield


def begin_folder(target: Path, command: str, kind: str | None, *, fresh: bool) -> None:
    """Clears a folder where that is asked, and refuses one that holds something else."""
    if fresh:
        folder.clear(target)
    if kind is not None:
        folder.require_kind(target, kind)
    folder.require_command(target, command)


def _train(job: TrainingJob, options: TrainOptions, target: Path) -> dict[str, Any]:
    config = options.config
    own = range(config.seed, config.seed + options.seeds)
    trials: list[RateTrial] = []
    if options.tune is not None:
        trials, chosen = tune(job, config, options.tune.rates, own, target)
    elif options.seeds > 1:
        chosen = seeds.train_seeds(job, config, own, target)
    else:
        return run_training(job, config, target, f"training {job.architecture.name}")
    report = common_report(job, trials, chosen)
    if job.context.is_main:
        folder.write_report(target, report)
    return folder.plain(report)


def common_report(job: TrainingJob, trials: Sequence[RateTrial], chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report on several runs; `chosen` are none where an interrupt came before the choice."""
    interrupted = not chosen or bool(chosen[-1]["interrupted"])
    found: dict[str, Any] = {**job.summary(), "interrupted": interrupted}
    if trials:
        found["trials"] = [trial.to_dict() for trial in trials]
    if chosen:
        found |= {"config": chosen[0]["config"], "runs": seeds.summary_of(chosen)}
    if not interrupted:
        found["scores"] = seeds.statistics_of(chosen)
    return found
