"""Masks that networks make of the weights (section 3.2 of the paper), learned together with these.

The paper generates the mask M of each weight matrix W by a multilayer perceptron of two layers, equation (5), and runs
the model with W' = W * M, equation (6), * entry by entry. Read for structures, whole rows and columns, which is what
can leave:

    r_i = sigmoid(b2 + w2 . relu(W1 W[i, :] + b1))      for each row i,
    c_j = sigmoid(b2' + w2' . relu(W1' W[:, j] + b1'))  for each column j,
    M = r c^T,

one generator of rows and one of columns for each matrix, which see it in units of its root mean square. Gradients reach
W both as a factor and through the generators. The loss is the log loss plus `sparsity` times the mean of all r and c.
All masks begin equal and nearly open, so that what sets them apart was learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nasrec.compiler import CompiledModel
from nasrec.prune.scores import Figures, matrices
from nasrec.train.config import TrainConfig
from nasrec.train.learner import ModelLearner, StepBatch
from nasrec.train.ranks import ALONE, Ranks

__all__ = ["MaskGenerator", "MaskLearner", "MaskedModel"]

OPEN = 2.0
"""The logit of all masks at the start."""


class MaskGenerator(nn.Module):
    """Equation (5) for one matrix [outputs, inputs]: its row masks [outputs] and column masks [inputs].

    Args:
        outputs, inputs: sizes of the matrix.
        hidden: units of the first layers.
    """

    def __init__(self, outputs: int, inputs: int, hidden: int = 16) -> None:
        super().__init__()
        self.of_rows, self.of_columns = _perceptron(inputs, hidden), _perceptron(outputs, hidden)

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of a weight, each between 0 and 1."""
        scale = weight.detach().square().mean().sqrt().clamp(min=1e-12)
        weight = weight / scale
        return self.of_rows(weight).squeeze(1).sigmoid(), self.of_columns(weight.t()).squeeze(1).sigmoid()


def _perceptron(inputs: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, 1)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, OPEN)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), last)


class MaskedModel(nn.Module):
    """A compiled model that runs with W * M for every stored matrix W, equation (6).

    Args:
        model: what is masked; its weights are trained along.
        hidden: units of the generators.
        seed: of the generators' initial values.
    """

    def __init__(self, model: CompiledModel, hidden: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        self.nodes = {node: model.layer_names[node] for node in matrices(model.graph)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shapes = {layer: self._weight(layer).shape for layer in self.nodes.values()}
            made = {layer: MaskGenerator(rows, columns, hidden) for layer, (rows, columns) in shapes.items()}
        self.generators = nn.ModuleDict(made)
        self.mean_mask = torch.ones(())
        """Mean of all masks of the last pass, with its gradient."""

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Logits [B] of the masked model."""
        masked, masks = {}, []
        for layer, generator in self.generators.items():
            weight = self._weight(layer)
            rows, columns = generator(weight)
            masked[f"{layer}.weight"] = weight * rows[:, None] * columns
            masks += [rows, columns]
        self.mean_mask = torch.cat(masks).mean()
        logits: Tensor = functional_call(self.model, masked, (dense, sparse))
        return logits

    def figures(self) -> dict[str, Figures]:
        """The masks of each matrix by node id."""
        found = {}
        with torch.no_grad():
            for node, layer in self.nodes.items():
                rows, columns = self.generators[layer](self._weight(layer))
                found[node] = Figures(rows.double().cpu().numpy(), columns.double().cpu().numpy())
        return found

    def _weight(self, layer: str) -> Tensor:
        # Not get_parameter: while the model trains in bfloat16, rounded tensors stand in for parameters.
        weight = self.model.get_submodule(layer).weight
        assert isinstance(weight, Tensor)
        return weight


class MaskLearner(ModelLearner):
    """Learns masks and weights together: log loss + `sparsity` * mean mask."""

    def __init__(self, model: MaskedModel, sparsity: float, config: TrainConfig, ranks: Ranks = ALONE) -> None:
        self._masked, self._sparsity = model, sparsity
        super().__init__(model, config, ranks)

    def _objective(self, logits: Tensor, batch: StepBatch) -> Tensor:
        return super()._objective(logits, batch) + self._sparsity * self._masked.mean_mask / self.ranks.size
