"""From a front to designs that can be trusted: models trained from scratch, run on their chips, tuned for noise.

Designs and the handcrafted model are treated alike: learning rate chosen by validation rows, the same seeds, the same
rows on simulated crossbars. Every run has a folder and goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.options import model as architectures
from nasrec.cli.options.model import Architecture
from nasrec.cli.usage import number
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text, read_json
from nasrec.runs import seeds, weights
from nasrec.runs.job import Job
from nasrec.runs.retrain import watched
from nasrec_ir import Graph
from nasrec_pim import Hardware

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.codesign.noise import NoiseTuned
    from nasrec.compiler import CompiledModel
    from nasrec.runs.retrain import Recipe
    from nasrec.train import TrainConfig

__all__ = ["Model", "Verification", "add_options", "handcrafted_of", "retrain"]

Report = dict[str, Any]


@dataclass(frozen=True)
class Model:
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

    @classmethod
    def of(cls, args: argparse.Namespace) -> Verification:
        """What the parsed options say."""
        return cls(args.simulate_rows, args.chips, args.noise_steps)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares those beside --retrain and its own."""
    group = parser.add_argument_group("verification of what was trained")
    group.add_argument(
        "--against", metavar="MODEL", action="append",
        help="a handcrafted model, trained alike and mapped onto the handcrafted chip: a baseline with its options, as "
        "in 'dlrm --interaction cat', a preset or a genotype (default dlrm); may be given again",
    )  # fmt: skip
    group.add_argument(
        "--simulate-rows", type=number(1), default=2048, metavar="N", help="test rows on simulated crossbars (2,048)"
    )
    group.add_argument(
        "--chips", type=number(1, 1000), default=3, metavar="N", help="simulated chips with faults of their own (3)"
    )
    group.add_argument(
        "--noise-steps", type=number(0), default=200, metavar="N",
        help="steps of fine-tuning for the noise of cells, every other one with it; 0 for none (default 200)",
    )  # fmt: skip


def handcrafted_of(args: argparse.Namespace) -> dict[str, Architecture]:
    """The handcrafted models by name, in which a baseline's options stand.

    Raises:
        NasrecError: one of them is malformed.
    """
    found = {}
    for text in args.against or ["dlrm"]:
        architecture = architectures.from_text(text)
        options = (f"{key} {value}" for key, value in architecture.options.items())
        name = re.sub(r"[^\w.]+", "-", " ".join((architecture.name, *options))).strip("-.")
        found[name] = architecture
    return found


def retrain(
    models: Sequence[Model], data: Rows, dim: int, recipe: Recipe, count: int, check: Verification, target: Path
) -> tuple[list[Report], bool]:  # fmt: skip
    """Trains every model with each rate, then with `count` seeds at the best, and runs all of these on its chip.

    Returns:
        A report for each model that was finished, and whether an interrupt came before the last.
    """
    reports: list[Report] = []
    for model in models:
        try:
            found = _one(model, data, dim, recipe, count, check, ensure_directory(target / model.name, TrainError))
        except KeyboardInterrupt:
            found = None
        if found is None:
            return reports, True
        reports.append(found)
    return reports, False


def _one(
    model: Model, data: Rows, dim: int, recipe: Recipe, count: int, check: Verification, target: Path
) -> Report | None:  # fmt: skip
    config, job = recipe.config, _job(model, data, dim, recipe)
    tried = []
    for lr in recipe.rates:
        found = _seeds(job, replace(config, lr=lr), [config.seed], target, test=False)
        if found is None:
            return None
        tried.append((found[0]["best_valid"]["metrics"], lr))
    _, lr = min(tried, key=lambda pair: (watched(pair[0], config.monitor), pair[1]))
    chosen = replace(config, lr=lr)
    runs = _seeds(job, chosen, range(config.seed, config.seed + count), target, test=True)
    if runs is None:
        return None
    on_chip = []
    for run in runs:
        verified = _verified(job, model, replace(chosen, seed=run["config"]["seed"]), check, target / run["folder"])
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


def _seeds(job: Job, config: TrainConfig, own: Sequence[int], target: Path, *, test: bool) -> list[Report] | None:
    """Reports of all seeds; None after an interrupt."""
    name = f"lr-{config.peak_lr:g}-seed-{{}}"
    reports = seeds.train_seeds(job, config, own, target, name=name, test=test)
    return None if len(reports) < len(own) or reports[-1]["interrupted"] else reports


def _job(model: Model, data: Rows, dim: int, recipe: Recipe) -> Job:
    named = replace(model.architecture, name=model.name)
    return recipe.job(named, data.splits.train.features(dim), model.graph, data)


def _verified(job: Job, model: Model, config: TrainConfig, check: Verification, run: Path) -> Report | None:
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


def _trained(job: Job, run: Path) -> CompiledModel:
    model, path = job.model(0), str(run / "weights.pt")
    weights.copy_into(model, weights.read(path), path)
    return model.to(job.context.device)


def _simulated(trained: CompiledModel, model: Model, job: Job, check: Verification) -> Report:
    from nasrec.codesign.onchip import run_on_chip

    train, _, test = job.data.splits
    rows = test.take(slice(check.rows))
    return run_on_chip(trained.eval(), model.hardware, train, rows, chips=check.chips).to_dict()


def _tune(
    trained: CompiledModel, model: Model, job: Job, config: TrainConfig, check: Verification, share: float, target: Path
) -> NoiseTuned | None:
    """In place; None after an interrupt. The weights are saved beside the checkpoints."""
    from nasrec.codesign.noise import NoiseTuning, tune_for_noise
    from nasrec.train import console_progress
    from nasrec.train.store import FolderStore

    place = ensure_directory(target, TrainError)
    tuning = NoiseTuning(check.noise_steps, share)
    words = f"tuning {model.name}, seed {config.seed}" + (", for noise" if share else "")
    found = tune_for_noise(
        trained, model.hardware, job.data.splits.train, job.data.splits.valid, config, tuning,
        progress=console_progress(words), store=FolderStore(place / "checkpoints"),
        identity={**job.identity, "hardware": model.hardware.to_toml(), "share": share},
    )  # fmt: skip
    if found.result.interrupted:
        return None
    weights.save(trained, place / "weights.pt")
    return found
