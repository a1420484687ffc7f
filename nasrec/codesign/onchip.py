"""Accuracy of a trained model on simulated crossbars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.compiler import CompiledModel, tensor_of
from nasrec.data.dataset import Log
from nasrec.metrics import Metrics, score
from nasrec.quant.model import in_floats
from nasrec.train.prediction import predict
from nasrec_ir import ParamRef
from nasrec_pim import CrossbarModel, Hardware, Nonideal, map_graph

__all__ = ["CALIBRATION_ROWS", "CONVERTERS", "ChipRows", "OnChip", "run_on_chip", "stored_parameters"]

CALIBRATION_ROWS = 512
"""Training rows that set the ranges of activations and converters."""

BATCH = 4096
"""Rows at a time off the chip."""

CONVERTERS = Nonideal(variation=False, stuck=False, read_noise=False)
"""Cells hold what was written; the converters have the chip's resolution, their range is calibrated."""


@dataclass(frozen=True)
class OnChip:
    """Metrics of the same rows, with more and more of the hardware simulated.

    Attributes:
        model: of the model itself.
        quantized: with weights and activations in their precisions, and exact sums.
        converters: on crossbars with exact cells, whose converters clip and round.
        chips: on chips with variation, stuck cells and read noise, one entry a chip.
    """

    model: Metrics
    quantized: Metrics
    converters: Metrics
    chips: tuple[Metrics, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        named = {"model": self.model, "quantised": self.quantized, "converters": self.converters}
        return {name: found.to_dict() for name, found in named.items()} | {"chips": [c.to_dict() for c in self.chips]}


def run_on_chip(
    model: CompiledModel,
    hardware: Hardware,
    train_log: Log,
    log: Log,
    *,
    chips: int = 1,
    nonideal: Nonideal | None = None,
    seed: int = 0,
) -> OnChip:
    """Maps a model onto a chip and simulates it there.

    Args:
        model: trained.
        hardware: the chip's description.
        train_log: its first rows set the ranges of activations and converters.
        log: rows to score.
        chips: how many with faults.
        nonideal: their effects; default: variation, stuck cells, read noise and converters as the hardware says.
        seed: of the first chip's cells; each further one has the next.

    Raises:
        MappingError: the model does not fit onto the chip.
    """
    rows = ChipRows(model, hardware, train_log, log)
    exact = rows.chip(CONVERTERS, seed)
    faulty = [rows.chip(nonideal or Nonideal(), seed + number).predict(rows.inputs) for number in range(chips)]
    return OnChip(
        model=predict(model, log, BATCH).score(),
        quantized=rows.score(exact.quantized(rows.inputs)),
        converters=rows.score(exact.predict(rows.inputs)),
        chips=tuple(map(rows.score, faulty)),
    )


class ChipRows:
    """A trained model mapped onto a chip, and rows to score there, in memory.

    Args:
        model: trained.
        hardware: the chip's description.
        train_log: its first rows set the ranges of activations and converters.
        log: rows to score.

    Attributes:
        mapping: of the model's graph.
        inputs: dense [N, D] and sparse [N, S] of the rows to score.

    Raises:
        MappingError: the model does not fit onto the chip.
    """

    def __init__(self, model: CompiledModel, hardware: Hardware, train_log: Log, log: Log) -> None:
        self._model = model
        self.mapping = map_graph(model.graph, hardware)
        self._parameters = stored_parameters(model)
        first, self._rows = train_log.take(slice(CALIBRATION_ROWS)), log.take(slice(None))
        self._calibration = [np.asarray(first.dense), np.asarray(first.sparse)]
        self.inputs = [np.asarray(self._rows.dense), np.asarray(self._rows.sparse)]

    def chip(self, nonideal: Nonideal, seed: int) -> CrossbarModel:
        """The model on a chip whose cells are drawn with a seed."""
        graph, calibration = self._model.graph, self._calibration
        return CrossbarModel(graph, self.mapping, self._parameters, calibration, nonideal=nonideal, seed=seed)

    def score(self, logits: NDArray[np.float64]) -> Metrics:
        """How good logits [N] of the rows are."""
        return score(logits, self._rows.label, self._rows.weight)

    def in_full_precision(self) -> Metrics:
        """Scores of the model's floats, those of a quantised model too, computed off the chip."""
        with in_floats(self._model):
            return predict(self._model, self._rows, BATCH).score()


def stored_parameters(model: CompiledModel) -> Mapping[str, NDArray[np.float64]]:
    """A compiled model's parameters by their names in the graph, each of its full shape; zero where none is used."""
    out: dict[str, NDArray[np.float64]] = {}
    for node in model.graph:
        for role, ref in node.params:
            value = tensor_of(model, node, role).detach().double().cpu().numpy()
            whole = out.setdefault(ref.name, np.zeros(ref.shape))
            whole[_selected(ref)] = value
    return out


def _selected(ref: ParamRef) -> Any:
    axes = (ref.rows, ref.columns)[: len(ref.shape)]
    return np.ix_(*(np.concatenate([np.arange(*span) for span in axis] or [np.arange(0)]) for axis in axes))
