"""From a front to designs that can be trusted: models trained from scratch, run on their chips, tuned for noise.

Designs and the handcrafted models are treated alike: learning rate chosen by validation rows, the same seeds, the same
rows on simulated crossbars. Every run has a folder and goes on where it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text, read_json
from nasrec.runs import seeds, weights
from nasrec.runs.data import DataSource, RunData
from nasrec.runs.job import TrainingJob
from nasrec.runs.model import Architecture
from nasrec.runs.reporter import Reporter
from nasrec.runs.retrain import RetrainOptions, watched
from nasrec_ir import Graph
from nasrec_pim import Hardware

if TYPE_CHECKING:
    from nasrec.codesign.noise import NoiseTuned
    from nasrec.compiler import CompiledModel
    from nasrec.train.config import TrainConfig

__all__ = ["DesignModel", "Verification", "verify_designs"]

Report = dict[str, Any]


@dataclass(frozen=True)
class DesignModel:
    """What is trained, and the chip that it is for."""

    name: str
    architecture: Architecture
    graph: Graph
    hardware: Hardware


@dataclass(frozen=True)
class Verification:
    """How trained models are run on their chips.

    Attributes:
        rows: test rows to simulate, the first ones.
        chips: with faults of their own.
        noise_steps: of fine-tuning for noise; 0 for none.
    """

    rows: int
    chips: int
    noise_steps: int


@dataclass(frozen=True)
class _Work:
    """What all of it has in common."""

    data: RunData
    source: DataSource | None
    options: RetrainOptions
    check: Verification
    reporter: Reporter


def verify_designs(
    models: Sequence[DesignModel],
    data: RunData,
    source: DataSource | None,
    options: RetrainOptions,
    check: Verification,
    target: Path,
    reporter: Reporter,
) -> tuple[list[Report], bool]:
    """Trains every model with each rate, then with all seeds at the best, and runs all of these on its chip.

    Args:
        models: designs, and handcrafted models on theirs.
        source: the rows by name, for the runs' settings.
        options: how models are trained.
        target: an existing folder.

    Returns:
        A report for each model that was finished, and whether an interrupt came before the last.
    """
    work, reports = _Work(data, source, options, check, reporter), list[Report]()
    for model in models:
        try:
            found = _one(model, work, ensure_directory(target / model.name, TrainError))
        except KeyboardInterrupt:
            found = None
        if found is None:
            return reports, True
        reports.append(found)
    return reports, False


def _one(model: DesignModel, work: _Work, target: Path) -> Report | None:
    recipe, job = work.options.resolve(), _job(model, work)
    config = recipe.config
    tried = []
    for lr in recipe.rates:
        found = _seeds(job, replace(config, lr=lr), [config.seed], target, test=False)
        if found is None:
            return None
        tried.append((found[0]["best_valid"]["metrics"], lr))
    _, lr = min(tried, key=lambda pair: (watched(pair[0], config.monitor), pair[1]))
    chosen = replace(config, lr=lr)
    runs = _seeds(job, chosen, range(config.seed, config.seed + work.options.seeds), target, test=True)
    if runs is None:
        return None
    on_chip = []
    for run in runs:
        verified = _verified(
            job, model, replace(chosen, seed=run["config"]["seed"]), work.check, target / run["folder"]
        )
        if verified is None:
            return None
        on_chip.append(verified)
    return {
        "name": model.name,
        "model": job.summary()["model"],
        "hardware": model.hardware.name,
        "rates": [{"lr": lr, "valid": metrics} for metrics, lr in tried],
        "lr": lr,
        "runs": seeds.summary_of(runs),
        "scores": seeds.statistics_of(runs),
        "on_chip": on_chip,
    }


def _seeds(
    job: TrainingJob, config: TrainConfig, own: Sequence[int], target: Path, *, test: bool
) -> list[Report] | None:
    """Reports of all seeds; None after an interrupt."""
    name = f"lr-{config.peak_lr:g}-seed-{{}}"
    reports = seeds.train_seeds(job, config, own, target, name=name, test=test)
    return None if len(reports) < len(own) or reports[-1]["interrupted"] else reports


def _job(model: DesignModel, work: _Work) -> TrainingJob:
    named = replace(model.architecture, name=model.name)
    features = work.data.splits.train.features(work.options.embedding_dim)
    return work.options.resolve().job(named, features, model.graph, work.data, work.source, work.reporter)


def _verified(
    job: TrainingJob, model: DesignModel, config: TrainConfig, check: Verification, run: Path
) -> Report | None:
    """A run's model on its chip: as trained, fine-tuned without noise, and with; None after an interrupt.

    What was found stays in the run's folder and is not found anew with the same settings.
    """
    path = run / "chip.json"
    identity = json.loads(
        json_text({**asdict(check), "config": asdict(config), "hardware": model.hardware.to_toml(), **job.identity})
    )
    if path.exists():
        known = read_json(path, TrainError)
        if isinstance(known, dict) and known.get("identity") == identity:
            found: Report = known["found"]
            return found
    found = {"seed": config.seed, "trained": _simulated(_trained(job, run), model, job, check)}
    for name, share in (("tuned", 0.0), ("tuned for noise", 0.5)) if check.noise_steps else ():
        tuned = _trained(job, run)
        outcome = _tune(tuned, model, job, config, check, share, run / f"noise-{share:g}-steps-{check.noise_steps}")
        if outcome is None:
            return None
        found[name] = {**_simulated(tuned, model, job, check), "kept": outcome.kept}
    text = json_text({"identity": identity, "found": found})
    write_text(path, text + "\n", TrainError)
    plain: Report = json.loads(text)["found"]  # as it will be read
    return plain


def _trained(job: TrainingJob, run: Path) -> CompiledModel:
    model, path = job.model(0), str(run / "weights.pt")
    weights.copy_into(model, weights.read(path), path)
    return model.to(job.context.device)


def _simulated(trained: CompiledModel, model: DesignModel, job: TrainingJob, check: Verification) -> Report:
    from nasrec.codesign.onchip import run_on_chip

    train, _, test = job.data.splits
    rows = test.take(slice(check.rows))
    return run_on_chip(trained.eval(), model.hardware, train, rows, chips=check.chips).to_dict()


def _tune(
    trained: CompiledModel,
    model: DesignModel,
    job: TrainingJob,
    config: TrainConfig,
    check: Verification,
    share: float,
    target: Path,
) -> NoiseTuned | None:
    """In place; None after an interrupt. The weights are saved beside the checkpoints."""
    from nasrec.codesign.noise import NoiseTuning, tune_for_noise
    from nasrec.train.progress import MeterProgress
    from nasrec.train.store import FolderStore

    place = ensure_directory(target, TrainError)
    tuning = NoiseTuning(check.noise_steps, share)
    words = f"tuning {model.name}, seed {config.seed}" + (", for noise" if share else "")
    found = tune_for_noise(
        trained, model.hardware, job.data.splits.train, job.data.splits.valid, config, tuning,
        progress=MeterProgress(words, job.reporter.meter()), store=FolderStore(place / "checkpoints"),
        identity={**job.identity, "hardware": model.hardware.to_toml(), "share": share},
    )  # fmt: skip
    if found.result.interrupted:
        return None
    weights.save(trained, place / "weights.pt")
    return found
