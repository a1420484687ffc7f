"""The main job from end to end: a published genotype compiled, trained for a short while, and compared with baselines
that are trained in the same way on the same rows and scored on the same test rows."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_value
from nasrec.errors import CompileError, TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.runs import describe, folder
from nasrec.runs.data import DataLike, RunData, from_environment, load_data, source_of
from nasrec.runs.model import Architecture, ModelLike, architecture_of
from nasrec.runs.options import CHANNELS
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult
from nasrec.train.config import TrainConfig

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.data import ClickLog
    from nasrec.metrics import Metrics
    from nasrec.train import TrainResult

__all__ = [
    "LEARNING_RATES",
    "ROWS_SEEN",
    "ComparedModel",
    "DemoOptions",
    "DemoRun",
    "ModelScore",
    "compared_models",
    "demo",
    "entropy",
]

LEARNING_RATES = {"logistic_regression": ("adagrad", 0.1), "dlrm": ("adam", 0.002)}
_SEARCHED = ("adam", 0.01)
"""Optimizer and peak learning rate of each kind of model: the best of three to five on the validation rows of the
synthetic Criteo log (200,000 rows, seed 0, one pass), and left alone since, whatever the data."""

MOST_ROWS = 250_000
"""Read of a real log at the most, so that the demonstration ends while one waits."""

ROWS_SEEN, _MOST_EPOCHS = 160_000, 5
"""By default a model sees about so many rows: one pass over the synthetic log, more over a small sample."""

_EVALUATIONS, _EVALUATED_ROWS = 4, 10_000
"""How often validation rows are scored in all, at the least (always at the end of a pass), and how many at the most."""


@dataclass(frozen=True)
class DemoOptions:
    """How the models are trained.

    Attributes:
        epochs: passes over the rows; None: as many as come near 160,000 rows, at most 5.
        batch_size: rows of a step.
        seed: of weights, order and a synthetic log's rows.

    Raises:
        TrainError: a value is out of range; the message names the field.
    """

    epochs: int | None = None
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name == "epochs":
                continue
            if type(value) is not int or value < least:
                raise TrainError(f"{name} must be a whole number of at least {least}, not {format_value(value)}")

    def config(self, train_rows: int) -> TrainConfig:
        """The loop's settings for so many rows; the optimizer and its rate are each model's own."""
        epochs = self.epochs or max(1, min(_MOST_EPOCHS, ROWS_SEEN // train_rows))
        steps = -(-train_rows // self.batch_size)
        return TrainConfig(
            epochs=epochs,
            batch_size=self.batch_size,
            eval_every=-(-steps // -(-_EVALUATIONS // epochs)),
            log_every=max(1, steps * epochs // 40),
            warmup=0.1,
            seed=self.seed,
        )


@dataclass(frozen=True)
class ComparedModel:
    """A model to train, and the one thing that may differ between models: how fast it learns."""

    architecture: Architecture
    optimizer: str
    lr: float


@dataclass(frozen=True)
class ModelScore:
    """A trained model of the comparison; `test` is None where an interrupt came before."""

    name: str
    optimizer: str
    lr: float
    macs: int
    parameters: int
    train_s: float
    test: Mapping[str, float | None] | None


@dataclass(frozen=True)
class DemoRun(RunResult):
    """What the demonstration gave."""

    @cached_property
    def models(self) -> tuple[ModelScore, ...]:
        """The genotype's model first, then the baselines."""
        return tuple(
            ModelScore(
                one["name"], one["config"]["optimizer"], one["config"]["lr"], one["macs"], one["parameters"],
                one["train_s"], one["test"],
            )
            for one in self.report["models"]
        )  # fmt: skip

    @property
    def entropy(self) -> float:
        """Log loss of always predicting the click rate of the test rows, in nats."""
        return float(self.report["click_rate_entropy"])

    @property
    def teacher(self) -> Mapping[str, float | None] | None:
        """The best possible scores on a synthetic log's test rows; None for real rows."""
        found: Mapping[str, float | None] | None = self.report["teacher"]
        return found


def demo(
    genotype: ModelLike = "criteo-full",
    data: DataLike | None = None,
    out: str | os.PathLike[str] = "runs/demo",
    options: DemoOptions | None = None,
    progress: ProgressLike = True,
) -> DemoRun:
    """Runs the demonstration. The report is written anew after each model, so Ctrl-C loses only the one at work.

    Args:
        genotype: the model in question, see `nasrec.runs.architecture_of`.
        data: see `nasrec.runs.source_of`; None: what NASREC_DATA names, else a synthetic log.
        out: the folder.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        NasrecError: model or rows cannot be read, the folder holds something else, or a file cannot be written.
    """
    started = time.perf_counter()
    options, reporter = options or DemoOptions(), reporter_of(progress)
    architecture = architecture_of(genotype)
    target = ensure_directory(out, TrainError)
    folder.require_command(target, "demo")
    named = data if data is not None else from_environment()
    rows = load_data(source_of(named, target), seed=options.seed, most_rows=MOST_ROWS)
    with folder.locked(target):
        report = _compiled(architecture, rows, target, reporter)
        config = options.config(len(rows.splits.train))
        passes = "one pass" if config.epochs == 1 else f"{config.epochs} passes"
        reporter.note(f"Training: {passes}, {config.batch_size} rows a step; the weights that validate best are kept")
        report |= {"config": asdict(config), "seed": options.seed, "data": rows.summary()}
        trained: list[_Trained] = []
        for model in compared_models(architecture):
            trained.append(_train_and_score(model, rows, config, target, reporter))
            report |= _results(trained, rows) | {"total_s": time.perf_counter() - started}
            folder.write_report(target, report)
            if trained[-1].result.interrupted:
                break
    return DemoRun(target, folder.plain(report))


def compared_models(architecture: Architecture) -> list[ComparedModel]:
    """The model in question, then logistic regression and DLRM."""
    baselines = [ComparedModel(Architecture(name), *rate) for name, rate in LEARNING_RATES.items()]
    first = ComparedModel(architecture, *_SEARCHED)
    if architecture.genotype is None:
        baselines = [one for one in baselines if one.architecture != architecture]
        first = ComparedModel(architecture, *LEARNING_RATES.get(architecture.name, LEARNING_RATES["dlrm"]))
    return [first, *baselines]


def entropy(click_rate: float) -> float:
    """Log loss of always predicting the click rate, in nats."""
    return -(click_rate * math.log(click_rate) + (1 - click_rate) * math.log1p(-click_rate))


@dataclass(frozen=True)
class _Trained:
    compared: ComparedModel
    model: CompiledModel
    result: TrainResult
    test: Metrics | None

    def summary(self) -> dict[str, Any]:
        """Plain values for the report."""
        import nasrec_ir

        cost = nasrec_ir.cost(self.model.graph)
        return {
            "name": self.compared.architecture.name,
            "macs": cost.macs,
            "parameters": cost.parameters,
            "embedding_parameters": cost.embedding_parameters,
            "config": asdict(self.result.config),
            "test": self.test.to_dict() if self.test else None,
            **folder.outcome(self.result),
        }


def _compiled(architecture: Architecture, data: RunData, target: Path, reporter: Reporter) -> dict[str, Any]:
    """The genotype's source and picture, described; the beginning of the report."""
    from nasrec.environment import environment
    from nasrec_ir import draw
    from nasrec_ir.codegen import generate

    features = data.splits.train.features(CHANNELS)
    graph = architecture.graph(features)
    files = {"source": target / f"{graph.name}.py", "picture": target / f"{graph.name}.svg"}
    write_text(files["source"], generate(graph).text, CompileError)
    write_text(files["picture"], draw.svg(graph), CompileError)
    reporter.begun(data, architecture, features, graph)
    reporter.note("".join(f"  {what:<14}{path}\n" for what, path in files.items()))
    return {
        "command": "demo",
        "model": describe.summary(architecture, features, graph),
        "files": {what: str(path) for what, path in files.items()},
        "environment": environment(),
    }


def _train_and_score(
    compared: ComparedModel, data: RunData, config: TrainConfig, target: Path, reporter: Reporter
) -> _Trained:
    """Compiles, trains, saves the weights, and scores on the test rows."""
    from nasrec.compiler import compile_graph
    from nasrec.runs import weights
    from nasrec.train import evaluate, train
    from nasrec.train.progress import MeterProgress

    graph = compared.architecture.graph(data.splits.train.features(CHANNELS))
    model = compile_graph(graph, seed=config.seed)
    own = replace(config, optimizer=compared.optimizer, lr=compared.lr)
    shown = MeterProgress(compared.architecture.name, reporter.meter())
    result = train(model, data.splits.train, _evaluated(data), own, shown)
    # The graph's name is an identifier, whatever a genotype is called; baselines have a folder of their own.
    parent = target if compared.architecture.genotype else ensure_directory(target / "baselines", TrainError)
    weights.save(model, parent / f"{graph.name}.pt")
    return _Trained(compared, model, result, None if result.interrupted else evaluate(model, data.splits.test))


def _evaluated(data: RunData) -> ClickLog:
    """Validation rows, evenly spaced, few enough that scoring them does not take longer than training."""
    valid = data.splits.valid
    return valid.take(slice(None, None, -(-len(valid) // _EVALUATED_ROWS)))


def _results(trained: Sequence[_Trained], data: RunData) -> dict[str, Any]:
    scored = trained[0].test  # where rows have weights, so has the click rate
    return {
        "click_rate_entropy": entropy(scored.click_rate if scored else data.splits.test.click_rate),
        "teacher": data.teacher_score.to_dict() if data.teacher_score else None,
        "models": [one.summary() for one in trained],
        "interrupted": trained[-1].result.interrupted,
    }
