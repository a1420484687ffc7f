"""Log loss of a supernet's paths as a chip would compute it, so that cheap but inaccurate chips are recognized."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.codesign.evaluator import kept
from nasrec.codesign.onchip import CONVERTERS
from nasrec.data.dataset import Log
from nasrec.genotype import Genotype
from nasrec.metrics import Metrics, score
from nasrec.supernet import Scorer, Supernet
from nasrec_pim import CrossbarModel, Hardware, MappingError, map_graph

__all__ = ["ChipScorer"]


class ChipScorer:
    """`scorer(genotype, chip)`: `chip.log_loss` and `chip.auc` of a path on its own crossbars.

    Weights and activations are quantised, products go through the chip's converters, cells are ideal. That is simulated
    on some validation rows only; what it adds to the score of the same rows by the supernet is added to the supernet's
    score on all of its rows, which has far less variance than the simulated rows' score itself. A score is a function
    of the shared weights, genotype, chip and rows alone.

    Args:
        net: the supernet; stays as it is.
        scorer: the supernet's scores on all rows that genotypes are scored on.
        train_log: rows that set the ranges of activations and converters.
        valid_log: rows to simulate.
        rows: of validation, spread evenly over the log.
        calibration_rows: of training, the first ones.
    """

    def __init__(
        self,
        net: Supernet,
        scorer: Callable[[Genotype], Metrics],
        train_log: Log,
        valid_log: Log,
        *,
        rows: int = 512,
        calibration_rows: int = 256,
    ) -> None:
        self._net, self._scorer = net, kept(scorer)
        few = np.linspace(0, valid_log.num_rows - 1, min(rows, valid_log.num_rows)).astype(np.int64)
        self._rows = valid_log.take(few)
        first = train_log.take(slice(calibration_rows))
        self._calibration: list[NDArray[Any]] = [np.asarray(first.dense), np.asarray(first.sparse)]
        self._inputs: list[NDArray[Any]] = [np.asarray(self._rows.dense), np.asarray(self._rows.sparse)]
        self._on_these = kept(Scorer(net, self._rows))
        self._store = _in_double(net, [self._calibration[1], self._inputs[1]])

    def __call__(self, genotype: Genotype, chip: Hardware) -> Mapping[str, float]:
        """NaN where the model does not fit onto the chip. Raises `SpaceError` where it is not in the net's space."""
        graph = self._net.graph(genotype)
        try:
            mapping = map_graph(graph, chip)
        except MappingError:
            return {"chip.log_loss": float("nan"), "chip.auc": float("nan")}
        simulated = CrossbarModel(graph, mapping, self._store, self._calibration, nonideal=CONVERTERS)
        found = score(simulated.predict(self._inputs), self._rows.label)
        plain, whole = self._on_these(genotype), self._scorer(genotype)
        return {
            "chip.log_loss": whole.log_loss + (found.log_loss - plain.log_loss),
            "chip.auc": whole.auc + (found.auc - plain.auc),
        }


def _in_double(net: Supernet, categories: Sequence[NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """The shared weights as the simulation computes, converted once and not for every path. Of the tables only the rows
    that are looked up are filled in: the rest stays untouched memory, which takes none."""
    looked_up = {
        ref.name: np.unique(np.concatenate([rows[:, column] for rows in categories]))
        for node in net.graph(net.widest)
        if node.op == "embedding"
        for column, (_, ref) in enumerate(node.params)
    }
    store = {}
    for name, weight in net.named_parameters():
        value = weight.detach().cpu().numpy()
        if name in looked_up:
            store[name] = np.zeros(value.shape)
            store[name][looked_up[name]] = value[looked_up[name]]
        else:
            store[name] = value.astype(np.float64)
    return store
