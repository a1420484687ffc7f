"""Noise-aware fine-tuning: some steps run with the weights as a chip's cells would hold them.

In such a step every stored matrix is quantised and written into the cells of a chip of its own, with the device's
variation and stuck cells; the gradients that its loss gives are applied to the clean weights (straight-through). The
cells are those of the functional simulation, so training and verification mean the same noise. Embedding tables, which
lie in no cells, stay as they are: training on would only fit them closer to the rows that they have seen.
"""

from __future__ import annotations

import statistics
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
from nasrec.layers import Embedding
from nasrec.metrics import Metrics
from nasrec.train import TrainConfig
from nasrec.train.learner import ModelLearner, StepBatch
from nasrec.train.loop import run
from nasrec.train.progress import Progress
from nasrec.train.result import TrainResult
from nasrec.train.store import Store
from nasrec_ir import Node, ParamRef
from nasrec_ir.passes import Expand
from nasrec_pim import Hardware, Nonideal, map_graph
from nasrec_pim.functional import integers_of, programmed_weights
from nasrec_pim.mapping import Mapping as Mapped

__all__ = ["CELLS", "NoiseTuned", "NoiseTuning", "NoisyLearner", "tune_for_noise"]

CELLS = Nonideal(read_noise=False, adc=False)
"""What cells hold: variation and stuck cells, as the hardware says."""


UNSEEN, CHIPS = 2**31, 4
"""Number of the first chip to evaluate on, beyond all steps, and how many there are: single ones may be lucky."""

EVALUATIONS, EVALUATION_ROWS = 4, 5_000
"""How often a fine-tuning is evaluated on validation rows, and on how many, evenly spread."""


@dataclass(frozen=True)
class NoiseTuned:
    """The result of a noise-aware fine-tuning.

    Attributes:
        result: of the steps.
        before: validation score of the weights as they were, in the cells of chips that no step uses.
        kept: whether no evaluation found better weights there, so that the model is as it was.
    """

    result: TrainResult
    before: Metrics
    kept: bool


@dataclass(frozen=True)
class NoiseTuning:
    """Settings of a noise-aware fine-tuning. Raises `TrainError` naming the field on a value out of range.

    - `steps`: of fine-tuning; `share`: of the steps that run with noise, every other one by default, none with 0.
    - `rate`: peak learning rate as a share of the training's; it falls along a cosine.
    - `cells`: effects on cells.
    """

    steps: int = 200
    share: float = 0.5
    rate: float = 0.02
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
        return replace(
            training, lr=self.rate * training.peak_lr, max_steps=self.steps, epochs=self.steps, schedule="cosine",
            warmup=0.0, monitor="log_loss", patience=None, eval_every=-(-self.steps // EVALUATIONS),
        )  # fmt: skip


def tune_for_noise(
    model: CompiledModel,
    hardware: Hardware,
    train_log: Log,
    valid_log: Log,
    training: TrainConfig,
    tuning: NoiseTuning | None = None,
    *,
    progress: Progress | None = None,
    store: Store | None = None,
    identity: Mapping[str, Any] | None = None,
) -> NoiseTuned:
    """Fine-tunes a trained model in place, but for its tables, for the cells of a chip.

    Validation rows, scored by weights in the cells of further chips, choose among the weights at each evaluation and
    those from before: training on can do harm, whatever the noise, where a model has seen its rows often enough.

    Args:
        model: trained.
        hardware: the chip's description.
        train_log: rows to train on.
        valid_log: rows to choose by.
        training: settings that the model was trained with; its seed is that of rows and cells.
        tuning: see `NoiseTuning`.
        progress, store, identity: see `nasrec.train.loop.run`.

    Raises:
        MappingError: the model does not fit onto the chip.
        TrainError: as for training.
    """
    settings = tuning or NoiseTuning()
    config = settings.config(training)
    mapping = map_graph(model.graph, hardware)
    with _fixed_tables(model):
        learner = NoisyLearner(model, config, mapping, settings)
        few = valid_log.take(
            np.linspace(0, valid_log.num_rows - 1, min(EVALUATION_ROWS, valid_log.num_rows)).astype(np.int64)
        )
        first = {name: weight.clone() for name, weight in learner.weights().items()}
        before = learner.evaluate(few, config.eval_batch_size)
        result = run(learner, train_log, few, config, progress, store=store, identity=identity)
        kept = result.best is None or result.best.metrics.log_loss >= before.log_loss
        if kept and not result.interrupted:
            learner.load_weights(first)
    return NoiseTuned(result, before, kept)


class NoisyLearner(ModelLearner):
    """A model whose stored matrices are written into noisy cells in some of the steps.

    Args:
        model: compiled; the mapping is of its graph.
        config: of the training.
        mapping: which matrices are stored, in which cells.
        tuning: see `NoiseTuning`.
    """

    def __init__(self, model: CompiledModel, config: TrainConfig, mapping: Mapped, tuning: NoiseTuning) -> None:
        super().__init__(model, config)
        self._mapping, self._tuning, self._number = mapping, tuning, 0
        self._stored = _stored(model, mapping)

    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        self._number = step
        return super().step(batch, step, lr)

    def evaluate(self, log: Log, batch_size: int) -> Metrics:
        """Means over chips that no step sees, with weights in their cells."""
        found = []
        for number in range(CHIPS):
            with self._written(UNSEEN + number):
                found.append(super().evaluate(log, batch_size))

        def mean(name: str) -> float:
            return statistics.fmean(getattr(one, name) for one in found)

        return Metrics(
            log_loss=mean("log_loss"),
            auc=mean("auc"),
            normalised_entropy=mean("normalised_entropy"),
            calibration=mean("calibration"),
            click_rate=found[0].click_rate,
            rows=found[0].rows,
        )

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
        held = programmed_weights(self._mapping, integers, self._tuning.cells, [self.config.seed, step])
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


@contextmanager
def _fixed_tables(model: CompiledModel) -> Iterator[None]:
    """Within the block embedding tables take no gradients."""
    tables = [table for module in model.modules() if isinstance(module, Embedding) for table in module.parameters()]
    before = [table.requires_grad for table in tables]
    for table in tables:
        table.requires_grad_(False)
    try:
        yield
    finally:
        for table, wanted in zip(tables, before, strict=True):
            table.requires_grad_(wanted)


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
