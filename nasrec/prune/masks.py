"""Masks that networks make of the weights (section 3.2 of the paper), learned together with these.

The paper generates the mask M of each weight matrix W by a multilayer perceptron of two layers, equation (5), and runs
the model with W' = W * M, equation (6), * entry by entry. Read for structures, whole rows and columns, which is what
can leave:

    r_i = sigmoid(b2 + w2 . relu(W1 W[i, :] + b1))      for each row i,
    c_j = sigmoid(b2' + w2' . relu(W1' W[:, j] + b1'))  for each column j,
    M = r c^T,

one generator of rows and one of columns for each matrix, which see it in units of its root mean square. What cannot
leave has no mask: that of the logit's row, say, would only scale all logits. Gradients reach W both as a factor and
through the generators. The loss is the log loss plus `sparsity` times the mean of all r and c. All masks begin equal
and nearly open, so that what sets them apart was learned.

The common level of a matrix's masks says little, as a norm behind it or the next matrix makes up for it. So a row or
column is worth its mask in units of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nasrec.compiler import CompiledModel
from nasrec.prune.choice import may_leave
from nasrec.prune.scores import Importance, matrices, relative
from nasrec.prune.settings import PruneSettings
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext
from nasrec.train.learner import ModelLearner, StepBatch
from nasrec.train.optimizers import make_optimizer
from nasrec_ir import Graph
from nasrec_ir.pruning import FIXED, couple

__all__ = ["MaskGenerator", "MaskLearner", "MaskedModel"]

OPEN = 2.0
"""The logit of all masks at the start."""


Places = npt.NDArray[np.bool_]


class MaskGenerator(nn.Module):
    """Equation (5) for one matrix [outputs, inputs]: its row masks [outputs] and column masks [inputs].

    Args:
        rows, columns: which of them, [outputs] and [inputs], have a mask; that of the others is 1.
        hidden: units of the first layers.
    """

    masked_rows: Tensor
    masked_columns: Tensor

    def __init__(self, rows: Places, columns: Places, hidden: int = 16) -> None:
        super().__init__()
        self.register_buffer("masked_rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer("masked_columns", torch.from_numpy(columns), persistent=False)
        self.of_rows = _perceptron(len(columns), hidden) if rows.any() else None
        self.of_columns = _perceptron(len(rows), hidden) if columns.any() else None

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of a weight, each between 0 and 1, or 1."""
        scale = weight.detach().square().mean().sqrt().clamp(min=1e-12)
        weight = weight / scale
        return (
            _masks(self.of_rows, weight, self.masked_rows),
            _masks(self.of_columns, weight.t(), self.masked_columns),
        )


def _masks(generator: nn.Module | None, vectors: Tensor, chosen: Tensor) -> Tensor:
    if generator is None:
        return vectors.new_ones(len(vectors))
    return torch.where(chosen, generator(vectors).squeeze(1).sigmoid(), 1.0)


def _perceptron(inputs: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, 1)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, OPEN)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), last)


class MaskedModel(nn.Module):
    """A compiled model that runs with W * M for every stored matrix W, equation (6).

    Args:
        model: what is masked; its weights are trained along.
        settings: `features` and `mask_units` count.
        seed: of the generators' initial values.
    """

    def __init__(self, model: CompiledModel, settings: PruneSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        settings = settings or PruneSettings()
        self.model = model
        places = _masked_places(model.graph, settings)
        self.nodes = {node: model.layer_names[node] for node in places}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = {self.nodes[node]: MaskGenerator(*masked, settings.mask_units) for node, masked in places.items()}
        self.generators = nn.ModuleDict(made)
        self._count = sum(int(chosen.sum()) for masked in places.values() for chosen in masked)
        self.mean_mask = torch.ones(())
        """Mean of all masks of the last pass, with its gradient."""

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Logits [B] of the masked model."""
        weights, opened = {}, []
        for layer, generator in self.generators.items():
            weight = self._weight(layer)
            rows, columns = generator(weight)
            weights[f"{layer}.weight"] = weight * rows[:, None] * columns
            opened += [rows * generator.masked_rows, columns * generator.masked_columns]
        self.mean_mask = torch.cat(opened).sum() / max(1, self._count)
        logits: Tensor = functional_call(self.model, weights, (dense, sparse))
        return logits

    def figures(self) -> dict[str, Importance]:
        """What the rows and columns of each matrix are worth, by node id: the masks in units of their mean."""
        found = {}
        with torch.no_grad():
            for node, layer in self.nodes.items():
                masks = self.generators[layer](self._weight(layer))
                found[node] = Importance(*(relative(mask.double().cpu().numpy()) for mask in masks))
        return found

    def _weight(self, layer: str) -> Tensor:
        # Not get_parameter: while the model trains in bfloat16, rounded tensors stand in for parameters.
        weight = self.model.get_submodule(layer).weight
        assert isinstance(weight, Tensor)
        return weight


def _masked_places(graph: Graph, settings: PruneSettings) -> dict[str, tuple[Places, Places]]:
    """Which rows and columns of each matrix belong to a structure that may leave, by node id."""
    coupling = couple(graph)
    allowed = np.append(may_leave(graph, coupling, settings), False)  # the last one is FIXED's
    assert FIXED == -1
    return {
        node: (allowed[coupling.rows[node]], np.asarray(allowed[coupling.columns[node]].any(axis=1)))
        for node in matrices(graph)
    }


class MaskLearner(ModelLearner):
    """Learns masks and weights together: log loss + `sparsity` * mean mask.

    The weights are trained as the configuration says, the generators by Adam at `mask_lr`, which rises and falls with
    the learning rate of the weights.
    """

    def __init__(
        self,
        model: MaskedModel,
        settings: PruneSettings,
        config: TrainConfig,
        context: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self._masked, self._settings = model, settings
        super().__init__(model, config, context)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        self._of_masks = torch.optim.Adam(self._masked.generators.parameters(), lr=self._settings.mask_lr)
        return make_optimizer(self._masked.model, self.config)

    def _update(self, lr: float) -> None:
        super()._update(lr)
        for group in self._of_masks.param_groups:
            group["lr"] = self._settings.mask_lr * lr / self.config.peak_lr
        self._of_masks.step()
        self._of_masks.zero_grad(set_to_none=True)

    def _objective(self, logits: Tensor, batch: StepBatch) -> Tensor:
        return super()._objective(logits, batch) + self._settings.sparsity * self._masked.mean_mask / self.context.size

    def optimizer_state(self) -> dict[str, Any]:
        return {"weights": super().optimizer_state(), "masks": self._of_masks.state_dict()}

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        super().load_optimizer_state(state["weights"])
        self._of_masks.load_state_dict(state["masks"])
