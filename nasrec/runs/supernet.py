"""A weight-sharing supernet trained on click logs, in a folder that everything after it is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union, cast

from nasrec.checks import format_path
from nasrec.errors import RunError
from nasrec.features import FeatureSpec
from nasrec.io.json import read_json
from nasrec.runs import folder
from nasrec.runs.data import DataLike, DataSource, RunData, from_settings, load_data, source_of
from nasrec.runs.devices import choose_device
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult
from nasrec.runs.supernet_options import SupernetOptions
from nasrec.runs.train import begin_folder, hold, target_of
from nasrec.space import SearchSpace

if TYPE_CHECKING:
    from nasrec.lowering.masking import Masking
    from nasrec.supernet import PathSampling, Supernet
    from nasrec.train import TrainResult
    from nasrec.train.distributed.context import DistributedContext
    from nasrec.train.progress import Progress
    from nasrec.train.state import State

__all__ = ["COMMAND", "SupernetLike", "SupernetOptions", "SupernetRun", "data_of", "supernet_file", "train_supernet"]

COMMAND = "supernet train"
_RESULT = "supernet.pt"


@dataclass(frozen=True)
class SupernetRun(RunResult):
    """A trained supernet. What takes a supernet takes this, its folder, or its file."""

    @property
    def path(self) -> Path:
        """The file with space, columns and shared weights, once the run has ended."""
        return self.folder / _RESULT

    def supernet(self) -> Supernet:
        """The supernet, on the CPU. Raises `RunError` where the run has not ended."""
        from nasrec.supernet import load

        return load(supernet_file(self))

    @cached_property
    def space(self) -> SearchSpace:
        """What it spans."""
        return SearchSpace.from_dict(self.report["supernet"]["space"])

    @cached_property
    def features(self) -> FeatureSpec:
        """The columns that it is for."""
        return FeatureSpec.from_dict(self.report["supernet"]["features"])

    @property
    def valid(self) -> Mapping[str, float | None] | None:
        """Last scores on the validation rows, mean of five fixed paths; None where an interrupt came before."""
        evaluations = self.report["evaluations"]
        return evaluations[-1]["metrics"] if evaluations else None

    @property
    def data(self) -> DataSource | None:
        """The rows that it was trained on; None where they were in memory."""
        return _data_of(self.report)


SupernetLike: TypeAlias = Union[str, "os.PathLike[str]", SupernetRun]
"""A trained supernet: its file, the folder of its run, or that run."""


def train_supernet(
    data: DataLike,
    out: str | os.PathLike[str] | None = None,
    options: SupernetOptions | None = None,
    progress: ProgressLike = True,
) -> SupernetRun:
    """Trains a supernet, each step along a path of its own, or goes on with what the folder holds of the same run.

    Args:
        data: see `nasrec.runs.source_of`.
        out: the folder; default: one below runs/, named by time.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        NasrecError: rows or options do not fit each other, the folder holds another run, training fails, or a file
            cannot be written.

    Example:
        >>> run = nasrec.runs.train_supernet(
        ...     "prepared", "runs/supernet", nasrec.runs.SupernetOptions(space="small"))  # doctest: +SKIP
        >>> nasrec.runs.search(run.folder, out="runs/search")  # doctest: +SKIP
    """
    from nasrec.train.distributed.context import joined

    options, reporter = options or SupernetOptions(), reporter_of(progress)
    space, sampling = options.search_space(), options.sampling
    with joined(choose_device(options.device)) as context:
        target = target_of(out, "supernet", context)
        named = source_of(data, target)
        rows = load_data(named, seed=options.seed)
        net = _build(options, space, rows).to(context.device)
        with hold(target, context):
            if context.is_main:
                begin_folder(target, COMMAND, None, fresh=options.fresh)
            context.barrier()
            result = _train(options, net, rows, sampling, target, context, reporter)
            source = named.with_seed(options.seed) if isinstance(named, DataSource) else None
            report = _report(net, rows, source, sampling, result, context)
            if context.is_main:
                _save(net, report, target)
            context.barrier()
    return SupernetRun(target, folder.plain(report))


def supernet_file(supernet: SupernetLike) -> str:
    """The file of a supernet. Raises `RunError` where a folder holds none."""
    path = os.fspath(supernet.folder if isinstance(supernet, SupernetRun) else supernet)
    if not os.path.isdir(path):
        return path
    found = os.path.join(path, _RESULT)
    if not os.path.isfile(found):
        raise RunError(
            f"{format_path(path)}: holds no {_RESULT}; give the folder of a run of 'nasrec {COMMAND}' that has come to "
            "its end"
        )
    return found


def data_of(supernet: SupernetLike) -> DataSource | None:
    """The rows that a supernet was trained on; None for a file, and where they were in memory.

    Raises:
        RunError: there is nothing of that name, or the report in the folder is damaged.
    """
    if isinstance(supernet, SupernetRun):
        return supernet.data
    if not os.path.exists(supernet):
        raise RunError(f"{format_path(os.fspath(supernet))}: no such file or folder; give the folder of a supernet")
    path = Path(supernet) / "report.json"
    report = read_json(path, RunError) if path.is_file() else None
    return _data_of(report) if isinstance(report, Mapping) else None


def _data_of(report: Mapping[str, Any]) -> DataSource | None:
    from nasrec.data import is_prepared

    settings, summary = report.get("settings"), report.get("data")
    known = summary.get("path") if isinstance(summary, Mapping) else None
    source = from_settings(settings) if isinstance(settings, Mapping) else None
    if source is None:  # of a version that did not note how rows were named; a prepared folder says all itself
        return DataSource(known) if isinstance(known, str) and is_prepared(known) else None
    if source.seed is None and not os.path.exists(source.data) and isinstance(known, str):
        return DataSource(
            known, source.rows, source.kind, source.split, source.min_count
        )  # from another working folder
    return source


def _build(options: SupernetOptions, space: SearchSpace, data: RunData) -> Supernet:
    from nasrec.supernet import Supernet

    features = data.splits.train.features(options.embedding_dim)
    masking = cast("Masking", options.masking)
    return Supernet(space, features, masking=masking, layer_norm=space.layer_norm[0], seed=options.seed)


def _train(
    options: SupernetOptions,
    net: Supernet,
    data: RunData,
    sampling: PathSampling,
    target: Path,
    context: DistributedContext,
    reporter: Reporter,
) -> TrainResult:
    from nasrec.supernet import train
    from nasrec.train.progress import Silent
    from nasrec.train.store import FolderStore

    store = FolderStore(target / "checkpoints", options.checkpoint_every) if context.is_main else None
    progress = _progress(options, data, target, reporter) if context.is_main else Silent()
    log, valid, _ = data.splits
    return train(net, log, valid, options.config, sampling, progress, store=store, context=context)


def _progress(options: SupernetOptions, data: RunData, target: Path, reporter: Reporter) -> Progress:
    from nasrec.train.journal import Journal, TensorBoard
    from nasrec.train.progress import MeterProgress, Several, Silent

    class Begun(Silent):
        """What is trained is shown when it is known that the folder holds no other run."""

        def begin(self, total_rows: int, state: State) -> None:
            reporter.begun(data, None, None, None)

    board = [TensorBoard(target / "tensorboard")] if options.tensorboard else []
    return Several(Begun(), Journal(target), *board, MeterProgress("training the supernet", reporter.meter()))


def _report(
    net: Supernet,
    data: RunData,
    source: DataSource | None,
    sampling: PathSampling,
    result: TrainResult,
    context: DistributedContext,
) -> dict[str, Any]:
    from nasrec.environment import environment
    from nasrec.supernet import describe
    from nasrec.train.prediction import device_of

    return {
        "command": COMMAND,
        "settings": source.settings() if source is not None else {},
        "supernet": {**describe(net), "parameters": sum(p.numel() for p in net.parameters())},
        "sampling": asdict(sampling),
        "config": asdict(result.config),
        "device": str(device_of(net)),
        "processes": context.size,
        "data": data.summary(),
        "environment": environment(),
        **folder.outcome(result),
    }


def _save(net: Supernet, report: Mapping[str, Any], target: Path) -> None:
    from nasrec.supernet import save

    if not report["interrupted"]:
        save(net, target / _RESULT)
    folder.write_report(target, report)
