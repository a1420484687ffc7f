"""Noise-aware fine-tuning: some steps see the weights as a chip's cells would hold them.

In such a step every stored matrix is quantised and written into the cells of a chip of its own, with the device's
variation and stuck cells; the gradients that its loss gives are applied to the clean weights (straight-through). The
cells are those of the functional simulation, so training and verification mean the same noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec.compiler import CompiledModel, tensor_of
from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.train import TrainConfig
from nasrec.train.learner import ModelLearner, StepBatch
from nasrec.train.loop import run
from nasrec.train.progress import Progress
from nasrec.train.result import TrainResult
from nasrec.train.store import Store
from nasrec_ir import Node, ParamRef
from nasrec_ir.passes import Expand
from nasrec_pim import Hardware, Nonideal, map_graph
from nasrec_pim.functional import integers_of, programmed
from nasrec_pim.mapping import Mapping as Mapped

__all__ = ["CELLS", "NoiseTuning", "NoisyLearner", "tune_for_noise"]

CELLS = Nonideal(read_noise=False, adc=False)
"""What cells hold: variation and stuck cells, as the hardware says."""


@dataclass(frozen=True)
class NoiseTuning:
    """How a trained model is fine-tuned. Raises `TrainError` naming the field on a value out of range.

    - `steps`: of fine-tuning; `share`: of them that see noise, every other one by default, none with 0.
    - `rate`: peak learning rate as a share of the training's; it falls along a cosine.
    - `cells`: effects on cells.
    """

    steps: int = 300
    share: float = 0.5
    rate: float = 0.1
    cells: Nonideal = CELLS

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise TrainError(f"steps must be a whole number of at least 1, got {self.steps!r:.40}")
        if not 0 <= self.share <= 1 or not 0 < self.rate <= 1:
            raise TrainError(
                f"share must be from 0 to 1 and rate above 0, got {self.share!r:.40} and {self.rate!r:.40}"
            )

    def config(self, training: TrainConfig) -> TrainConfig:
        """Settings of the fine-tuning, from those of the training."""
        lr = self.rate * training.peak_lr
        return replace(
            training, lr=lr, max_steps=self.steps, epochs=self.steps, schedule="cosine", warmup=0.0, patience=None,
            eval_every=None,
        )  # fmt: skip


def tune_for_noise(
    model: CompiledModel,
    hardware: Hardware,
    train_log: Log,
    training: TrainConfig,
    tuning: NoiseTuning | None = None,
    *,
    progress: Progress | None = None,
    store: Store | None = None,
    identity: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Fine-tunes a trained model in place for the cells of a chip; the last weights are the result.

    Args:
        model: trained.
        hardware: the chip's description.
        train_log: rows to train on.
        training: settings that the model was trained with; its seed is that of rows and cells.
        tuning: see `NoiseTuning`.
        progress, store, identity: see `nasrec.train.loop.run`.

    Raises:
        MappingError: the model does not fit onto the chip.
        TrainError: as for training.
    """
    settings = tuning or NoiseTuning()
    config = settings.config(training)
    learner = NoisyLearner(model, config, map_graph(model.graph, hardware), settings)
    return run(learner, train_log, None, config, progress, store=store, identity=identity)


class NoisyLearner(ModelLearner):
    """A model whose stored matrices are written into noisy cells in some of the steps.

    Args:
        model: compiled; the mapping is of its graph.
        config: of the training.
        mapping: which matrices are stored, in which cells.
        tuning: see `NoiseTuning`.
    """

    keeps_best = False

    def __init__(self, model: CompiledModel, config: TrainConfig, mapping: Mapped, tuning: NoiseTuning) -> None:
        super().__init__(model, config)
        self._mapping, self._tuning, self._number = mapping, tuning, 0
        self._stored = _stored(model, mapping)

    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        self._number = step
        return super().step(batch, step, lr)

    def _gradients_of(self, batch: StepBatch) -> Tensor:
        if not self._is_noisy(self._number):
            return super()._gradients_of(batch)
        with self._written(self._number):
            return super()._gradients_of(batch)

    def _is_noisy(self, step: int) -> bool:
        """Spread evenly over the steps."""
        share = self._tuning.share
        return int((step + 1) * share) > int(step * share)

    @contextmanager
    def _written(self, step: int) -> Iterator[None]:
        """Within the block the weights are what the cells of a chip hold, a new one for every step."""
        clean = {node_id: one.weight.detach().clone() for node_id, one in self._stored.items()}
        precisions = {one.layer: one.layer.weight_bits for one in self._stored.values()}
        integers = {
            node_id: integers_of(one.node, clean[node_id].double().cpu().numpy(), one.bits)
            for node_id, one in self._stored.items()
        }
        held = programmed(self._mapping, integers, self._tuning.cells, [self.config.seed, step])
        try:
            for layer in precisions:  # what cells hold must not be rounded again
                layer.weight_bits = None
            with torch.no_grad():
                for node_id, values in held.items():
                    self._stored[node_id].weight.copy_(torch.from_numpy(np.ascontiguousarray(values.T)))
            yield
        finally:
            for layer, bits in precisions.items():
                layer.weight_bits = bits
            with torch.no_grad():
                for node_id, weight in clean.items():
                    self._stored[node_id].weight.copy_(weight)


@dataclass(frozen=True)
class _Stored:
    """A matrix on crossbars: its node in the mapped graph, its precision there, its tensor, and the tensor's layer."""

    node: Node
    bits: int
    weight: Tensor
    layer: Any


def _stored(model: CompiledModel, mapping: Mapped) -> dict[str, _Stored]:
    """By node. The mapping is of the graph with fused ops expanded, whose parameters are those of the model's own."""
    tensors: dict[ParamRef, tuple[Tensor, Any]] = {
        ref: (tensor_of(model, node, role), model.get_submodule(model.layer_names[node.id]))
        for node in model.graph
        for role, ref in node.params
    }
    bits = {node.id: node.stored.key.weight_bits for node in mapping.nodes if node.stored is not None}
    found = {}
    for node in Expand().apply(model.graph):
        if node.id in bits and (ref := node.param("weight")) is not None:
            found[node.id] = _Stored(node, bits[node.id], *tensors[ref])
    return found
