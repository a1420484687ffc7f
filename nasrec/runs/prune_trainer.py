"""Trainings of a pruning in folders of its own: each goes on where it stands, and is not done twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec.checks import format_path
from nasrec.errors import TrainError
from nasrec.io.atomic import remove_partial_files, write_text
from nasrec.runs import folder as folders
from nasrec.runs import weights
from nasrec.runs.job import TrainingJob, digest, run_training
from nasrec.runs.model import Architecture
from nasrec.runs.settings import MODEL_OPTIONS

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.prune import MaskedModel, PruneSettings
    from nasrec.train import TrainConfig

__all__ = ["FolderTrainer", "Stopped"]


class Stopped(Exception):
    """A training was interrupted; what is done is kept."""


@dataclass(frozen=True)
class FolderTrainer:
    """Trains the models of one seed: `nasrec.prune.Trainer`.

    Attributes:
        job: of the dense model.
        config: of every training.
        settings: of the pruning.
        folder: of the seed; round k is in `round-k`, its masks in `round-k/masks`.
    """

    job: TrainingJob
    config: TrainConfig
    settings: PruneSettings
    folder: Path

    def train(self, number: int, model: CompiledModel) -> Mapping[str, Any]:
        """The report of the round's training; a finished one's weights are read."""
        target = self._place(f"round-{number}")
        # So that config.toml gives this training again, and not that of the dense model.
        own = {name: value for name, value in self.job.settings.items() if name not in MODEL_OPTIONS}
        own["genotype"] = str(target / "graph.ir")
        job = replace(self.job, settings=own)
        if number:
            architecture = Architecture(job.architecture.name, fixed=model.graph)
            own["weights"] = initial = str(target / "initial.pt")
            weights.save(model, initial)
            job = replace(job, architecture=architecture, graph=model.graph, start=(initial, _values(model)))
        write_text(target / "graph.ir", nasrec_ir.dump(model.graph), TrainError)
        report = run_training(job, self.config, target, self._label(number, "training"))
        if report["interrupted"]:
            raise Stopped
        path = str(target / "weights.pt")
        weights.copy_into(model, weights.read(path), path)
        return report

    def learn_masks(self, number: int, model: MaskedModel) -> None:
        """Trains a masked model; a finished one's weights are read."""
        from nasrec.io import tensors as tensorfile
        from nasrec.prune import MaskLearner
        from nasrec.train.identity import require_same
        from nasrec.train.journal import Journal
        from nasrec.train.loop import run
        from nasrec.train.progress import MeterProgress, Several
        from nasrec.train.store import FolderStore
        from nasrec.train.weights import copy_tensors

        target = self._place(f"round-{number}/masks")
        path, label = target / "masks.pt", self._label(number, "masks")
        how = {name: getattr(self.settings, name) for name in ("features", "sparsity", "mask_units", "mask_lr")}
        identity = {**self.job.identity, "weights": digest(model.state_dict()), "masks": how}
        whole = {"config": asdict(self.config), **identity}
        if path.exists():
            found = _read(path)
            require_same(found["identity"], whole)
            copy_tensors(found["weights"], model.state_dict(), format_path(str(path)))
            self.job.reporter.note(f"{label}: finished before; --fresh would begin anew")
            return
        learner = MaskLearner(model.to(self.job.context.device), self.settings, self.config)
        train, valid, _ = self.job.data.splits
        watchers = Several(Journal(target), MeterProgress(label, self.job.reporter.meter()))
        store = FolderStore(target / "checkpoints", self.job.every)
        if run(learner, train, valid, self.config, watchers, store=store, identity=identity).interrupted:
            raise Stopped
        model.to("cpu")
        tensorfile.write(path, {"identity": whole, "weights": _values(model)}, TrainError)

    def _place(self, name: str) -> Path:
        target = folders.run_directory(self.folder / name, self.job.context)
        remove_partial_files(target)
        return target

    def _label(self, number: int, what: str) -> str:
        return f"{self.folder.name}, round {number}, {what}"


def _values(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _read(path: Path) -> Mapping[str, Any]:
    from nasrec.io import tensors as tensorfile

    shown = format_path(str(path))
    try:
        found = tensorfile.read(path)
    except ValueError as reason:
        raise TrainError(f"{shown}: cannot be read ({reason}); remove it to learn the masks anew") from None
    if not isinstance(found, dict) or not {"identity", "weights"} <= set(found):
        raise TrainError(f"{shown}: holds no masks; remove it to learn them anew")
    return found
