"""One training run in a folder of its own: begun, gone on with, or found finished."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nasrec.errors import TrainError
from nasrec.features import FeatureSpec
from nasrec.io.atomic import remove_partial_files, write_text
from nasrec.runs import describe, folder, settings, weights
from nasrec.runs.model import Architecture
from nasrec.runs.reporter import Reporter, Silent
from nasrec_ir import Graph

if TYPE_CHECKING:
    import torch

    from nasrec.compiler import CompiledModel
    from nasrec.runs.data import RunData
    from nasrec.train import TrainConfig, TrainResult
    from nasrec.train.distributed.context import DistributedContext
    from nasrec.train.progress import Progress
    from nasrec.train.state import State

__all__ = ["TrainingJob", "digest", "run_training"]


@dataclass(frozen=True)
class TrainingJob:
    """What the runs of one workflow have in common.

    Attributes:
        settings: flat, for config.toml, see `nasrec.runs.settings`.
        start: a file of weights to start from, and what it holds.
        every: steps between checkpoints; None: by the clock.
        tensorboard: whether event files are written.
        shard_tables: see `nasrec.train.train`.
        reporter: what is told of it.
    """

    architecture: Architecture
    features: FeatureSpec
    graph: Graph
    data: RunData
    context: DistributedContext
    settings: Mapping[str, Any]
    command: ClassVar[str] = "train"

    start: tuple[str, dict[str, torch.Tensor]] | None = None
    every: int | None = None
    tensorboard: bool = False
    shard_tables: str | None = None
    reporter: Reporter = field(default_factory=Silent)

    def model(self, seed: int) -> CompiledModel:
        """With initial values of its own, or those of the file.

        Raises:
            StateDictError: the graph has calibrated scales, and there is no file to take them from.
        """
        weights.require_scales(self.graph, self.start[1] if self.start else None)
        return self.begun(self.graph, seed)

    def begun(self, graph: Graph, seed: int) -> CompiledModel:
        """A model of another graph with the same start."""
        from nasrec.compiler import compile_graph

        model = compile_graph(graph, seed=seed, embedding_std=self.settings.get("embedding_std"))
        if self.start is not None:
            weights.copy_into(model, self.start[1], self.start[0])
        return model

    def settings_in(self, target: Path) -> Mapping[str, Any]:
        """For config.toml of a run's folder; a model that no argument names is the folder's own."""
        if "genotype" in self.settings:
            return self.settings
        name = "genotype.json" if self.architecture.genotype is not None else "graph.ir"
        return {"genotype": str(target / name), **self.settings}

    def save_source(self, target: Path, model: CompiledModel) -> None:
        """Writes what describes the model. Raises `NasrecError` if a file cannot be written."""
        folder.save_source(target, self.architecture, model)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a run must have in common with a checkpoint besides its configuration."""
        return self.plain_identity()

    def plain_identity(self) -> dict[str, Any]:
        """Of model, rows and start."""
        from nasrec_ir.codegen import generate

        return {
            "model": hashlib.sha256(generate(self.graph).text.encode()).hexdigest(),
            "data": self.data.sha256,
            "weights": digest(self.start[1]) if self.start else None,
            "embedding_std": self.settings.get("embedding_std"),
        }

    def summary(self) -> dict[str, Any]:
        """The beginning of a report."""
        from nasrec.environment import environment

        return {
            "command": self.command,
            "model": describe.summary(self.architecture, self.features, self.graph),
            "device": str(self.context.device),
            "processes": self.context.size,
            "data": self.data.summary(),
            "environment": environment(),
        }


def run_training(
    job: TrainingJob, config: TrainConfig, target: Path, label: str, *, test: bool = True
) -> dict[str, Any]:
    """Trains one model, or goes on where a run in the folder stands, and saves what came of it; gives the report.

    Args:
        target: an existing folder; a finished run in it is not trained again.
        label: shown beside progress.
        test: whether the test rows are scored; a finished run is scored then even if it was not before.

    Raises:
        NasrecError: the folder holds another run, training fails, or a file cannot be written.
    """
    if job.context.is_main:
        remove_partial_files(target)
    # Other processes may be on machines that know no such folder.
    found = folder.finished(target, {"config": asdict(config), **job.identity}) if job.context.is_main else None
    known: dict[str, Any] | None = job.context.broadcast_object(found)
    if known is not None and (not test or "test" in known["scores"]):
        if job.context.is_main:
            job.reporter.note(f"{label}: finished before; --fresh would begin anew")
        return known
    model = job.model(config.seed)
    result = _train(job, config, model, target, label)
    report = {**job.summary(), "config": asdict(config), "identity": job.identity, **folder.outcome(result)}
    # Weights first: a second Ctrl-C, while the model is scored, must not lose them.
    if job.context.is_main:
        weights.save(model, target / "weights.pt")
        folder.write_report(target, report)
    if not result.interrupted:
        report |= _scores(job, model, result, test)
        if job.context.is_main:
            folder.write_report(target, report)
    job.context.barrier()
    return folder.plain(report)  # as it will be read when the run is found finished


def _train(job: TrainingJob, config: TrainConfig, model: CompiledModel, target: Path, label: str) -> TrainResult:
    from nasrec.train.distributed.sharded import learner_for
    from nasrec.train.loop import run
    from nasrec.train.store import FolderStore

    learner = learner_for(model.to(job.context.device), config, job.context, job.shard_tables)
    store = FolderStore(target / "checkpoints", job.every) if job.context.is_main else None
    train, valid, _ = job.data.splits
    watch = _watchers(job, config, model, target, label)
    return run(learner, train, valid, config, watch, store=store, identity=job.identity)


def _watchers(job: TrainingJob, config: TrainConfig, model: CompiledModel, target: Path, label: str) -> Progress:
    from nasrec.train.journal import Journal, TensorBoard
    from nasrec.train.progress import MeterProgress, Several, Silent

    class Begun(Silent):
        """What describes the run is written when it is known that the folder holds no other one."""

        def begin(self, total_rows: int, state: State) -> None:
            write_text(target / "config.toml", settings.to_toml(job.settings_in(target), config), TrainError)
            job.save_source(target, model)

    if not job.context.is_main:
        return Silent()
    board = [TensorBoard(target / "tensorboard")] if job.tensorboard else []
    return Several(Begun(), Journal(target), *board, MeterProgress(label, job.reporter.meter()))


def _scores(job: TrainingJob, model: CompiledModel, result: TrainResult, test: bool) -> dict[str, Any]:
    from nasrec.train.calibration import reliability
    from nasrec.train.prediction import predict

    assert result.best is not None  # there are validation rows, and the run has ended
    scores = {"valid": result.best.metrics.to_dict()}
    if not test:
        return {"scores": scores}
    found = predict(model, job.data.splits.test, result.config.eval_batch_size, context=job.context)
    scores["test"] = found.score().to_dict()
    if job.data.teacher_score:
        scores["teacher_on_test"] = job.data.teacher_score.to_dict()
    return {"scores": scores, "reliability": reliability(*found).to_dict()}


def digest(state_dict: Mapping[str, torch.Tensor]) -> str:
    """A checksum of tensors and their names."""
    import torch

    found = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
