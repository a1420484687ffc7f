"""Iterative pruning with rewinding, the lottery ticket's way: find what is lowest, drop it, train what is left anew.

Every round of training begins with the initial weights of the dense model, as far as they are left (Frankle and Carbin
2019, "The Lottery Ticket Hypothesis"). What is lowest comes from the trained weights of the round before (magnitude),
or from masks that are learned from the same initial weights (mask).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nasrec.compiler import CompiledModel, compile_graph, tensor_of
from nasrec.prune.choice import prune_lowest, require_room
from nasrec.prune.inheritance import inherit
from nasrec.prune.masks import MaskedModel
from nasrec.prune.scores import Importance, magnitudes, matrices, structure_scores
from nasrec.prune.settings import PruneSettings
from nasrec.train.prediction import device_of
from nasrec_ir import Graph
from nasrec_ir.pruning import Pruned, couple

__all__ = ["Round", "Trainer", "pruned_once", "run_rounds"]


class Trainer(Protocol):
    """Who trains the models of a run; each is given with its initial weights."""

    def train(self, number: int, model: CompiledModel) -> Any:
        """Trains the model of a round in place; gives what is to be reported of it."""

    def learn_masks(self, number: int, model: MaskedModel) -> None:
        """Learns the masks that a round prunes by, in place."""


@dataclass(frozen=True)
class Round:
    """What a round came to.

    Attributes:
        number: 0 for the dense model.
        model: trained.
        pruned: how it came from the model of the round before; None for the dense one.
        report: what the trainer gave.
    """

    number: int
    model: CompiledModel
    pruned: Pruned | None
    report: Any


def run_rounds(initial: CompiledModel, settings: PruneSettings, seed: int, trainer: Trainer) -> Iterator[Round]:
    """The dense model and each of `settings.rounds` smaller ones, as they are trained.

    Args:
        initial: the dense model with its initial weights; it is trained in place.
        settings: see `PruneSettings`.
        seed: of the mask generators' initial values.
        trainer: trains.

    Raises:
        PruneError: the model has no matrix to prune, or not enough that can leave.
    """
    require_room(initial.graph, settings)
    start = _copy(initial)
    yield Round(0, initial, None, trainer.train(0, initial))
    trained = initial
    for number in range(1, settings.rounds + 1):
        if settings.method == "mask":
            masked = MaskedModel(_copy(start), settings, seed)
            trainer.learn_masks(number, masked)
            figures = masked.figures()
        else:
            figures = magnitudes(_matrices(trained), settings.norm)
        pruned = pruned_once(start.graph, figures, settings)
        start = _child(pruned, start)
        trained = _copy(start)
        yield Round(number, trained, pruned, trainer.train(number, trained))


def pruned_once(graph: Graph, figures: Mapping[str, Importance], settings: PruneSettings) -> Pruned:
    """The graph after one round.

    Args:
        graph: an executable graph.
        figures: for each stored matrix a figure of worth for every row and column, by node id.
        settings: see `PruneSettings`.

    Raises:
        PruneError: not enough can leave.
    """
    coupling = couple(graph)
    return prune_lowest(graph, coupling, structure_scores(coupling, figures), settings)


def _matrices(model: CompiledModel) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    return {
        node: tensor_of(model, model.graph[node], "weight").detach().cpu().numpy() for node in matrices(model.graph)
    }


def _child(pruned: Pruned, parent: CompiledModel) -> CompiledModel:
    child = compile_graph(pruned.graph, seed=0).to(device_of(parent))
    inherit(child, pruned, parent)
    return child


def _copy(model: CompiledModel) -> CompiledModel:
    duplicate = compile_graph(model.graph, seed=0).to(device_of(model))
    duplicate.load_state_dict(model.state_dict())
    return duplicate
