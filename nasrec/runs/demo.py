"""The demonstration's comparison: models trained in the same way on the same rows, scored on the same test rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.options.model import Architecture
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.runs import folder as runs

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.compiler import CompiledModel
    from nasrec.data import ClickLog
    from nasrec.train import Metrics, TrainConfig, TrainResult

__all__ = ["RATES", "ComparedModel", "Entry", "compared_models", "entropy", "train_and_score"]

RATES = {"logistic_regression": ("adagrad", 0.1), "dlrm": ("adam", 0.002)}
SEARCHED_RATE = ("adam", 0.01)
"""Optimiser and peak learning rate of each kind of model: the best of three to five on the validation rows of the
Criteo twin (200,000 rows, seed 0, one pass), and left alone since, whatever the data."""

MOST_LOOKED_AT = 10_000


@dataclass(frozen=True)
class ComparedModel:
    """A model to train, and the one thing that may differ between models: how fast it learns."""

    architecture: Architecture
    optimizer: str
    lr: float


@dataclass(frozen=True)
class Entry:
    """A trained model's results; `test` is None where training was interrupted."""

    contestant: ComparedModel
    model: CompiledModel
    result: TrainResult
    test: Metrics | None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.contestant.architecture.name

    def summary(self) -> dict[str, Any]:
        """Plain values for the report."""
        import nasrec_ir

        cost = nasrec_ir.cost(self.model.graph)
        return {
            "name": self.name,
            "macs": cost.macs,
            "parameters": cost.parameters,
            "embedding_parameters": cost.embedding_parameters,
            "config": asdict(self.result.config),
            "test": self.test.to_dict() if self.test else None,
            **runs.outcome(self.result),
        }


def compared_models(architecture: Architecture) -> list[ComparedModel]:
    """The model in question, then logistic regression and DLRM."""
    rivals = [ComparedModel(Architecture(name), *rate) for name, rate in RATES.items()]
    first = ComparedModel(architecture, *SEARCHED_RATE)
    if architecture.genotype is None:
        rivals = [rival for rival in rivals if rival.architecture != architecture]
        first = ComparedModel(architecture, *RATES.get(architecture.name, RATES["dlrm"]))
    return [first, *rivals]


def train_and_score(
    contestant: ComparedModel, data: Rows, config: TrainConfig, target: Path, embedding_dim: int
) -> Entry:
    """Compiles, trains, saves the weights, and scores on the test rows."""
    from nasrec.compiler import compile_graph
    from nasrec.runs import weights
    from nasrec.train import console_progress, evaluate, train

    name = contestant.architecture.name
    graph = contestant.architecture.graph(data.splits.train.features(embedding_dim))
    model = compile_graph(graph, seed=config.seed)
    own = replace(config, optimizer=contestant.optimizer, lr=contestant.lr)
    result = train(model, data.splits.train, looked_at(data), own, console_progress(name))
    # The graph's name is an identifier, whatever a genotype is called; rivals have a folder of their own.
    parent = target if contestant.architecture.genotype else ensure_directory(target / "baselines", TrainError)
    weights.save(model, parent / f"{graph.name}.pt")
    return Entry(contestant, model, result, None if result.interrupted else evaluate(model, data.splits.test))


def looked_at(data: Rows) -> ClickLog:
    """Validation rows, evenly spaced, few enough that looking does not take longer than training."""
    valid = data.splits.valid
    return valid.take(slice(None, None, -(-len(valid) // MOST_LOOKED_AT)))


def entropy(click_rate: float) -> float:
    """Log loss of always predicting the click rate, in nats."""
    return -(click_rate * math.log(click_rate) + (1 - click_rate) * math.log1p(-click_rate))
