"""Fine-tuning of a path's last linear alone (section 4.3), with everything before it as it is.

Nothing before the last linear needs a gradient, so its inputs are computed in large batches without autograd, and the
steps themselves are two products with a vector each. The supernet stays as it was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nasrec.compiler import CompiledModel
from nasrec.data.dataset import Log
from nasrec.errors import SpaceError, TrainError
from nasrec.genotype import Genotype
from nasrec.slices import take
from nasrec.supernet.net import Supernet
from nasrec.train.predict import device_of, forward
from nasrec_ir import Graph, GraphBuilder, Node

__all__ = ["Head", "HeadInputs", "Tuning", "finetune", "tuned"]

HEAD = "_final.weight"
_ROWS_TOGETHER = 4096
"""Rows of a pass through the frozen part, which at a step's few hundred would take twice as long."""


@dataclass(frozen=True)
class Tuning:
    """How the last linear is fine-tuned. Raises `TrainError` naming the field on a value out of range.

    - `steps`: 500 in the paper; `batch_size`: rows of a step.
    - `lr`: peak rate of Adagrad, which falls to 0 along half a cosine wave; `eps`: added to its denominator.
    - `seed`: of the order of the rows.
    """

    steps: int = 500
    batch_size: int = 512
    lr: float = 0.1
    eps: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise TrainError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        for name in ("lr", "eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
                raise TrainError(f"{name} must be a positive number, got {value!r}")
        if type(self.seed) is not int or self.seed < 0:
            raise TrainError(f"seed must be a whole number of at least 0, got {self.seed!r}")

    @property
    def rows(self) -> int:
        """Rows that the steps read, each as often as it comes."""
        return self.steps * self.batch_size


@dataclass(frozen=True)
class Head:
    """A last linear: weight [F], bias []."""

    weight: Tensor
    bias: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits [B] of inputs [B, F]."""
        return torch.addmv(self.bias, inputs, self.weight)


class HeadInputs:
    """A path up to its last linear: what that reads, [B, F], without gradients.

    Args:
        net: the supernet; its weights are viewed, not copied.
        genotype: the path.
        dtype: what to compute in; default: the weights' type.

    Raises:
        SpaceError: the genotype is not in the space.

    Attributes:
        head: the last linear's shared weights, copied.
    """

    def __init__(self, net: Supernet, genotype: Genotype, dtype: torch.dtype | None = None) -> None:
        body, final = _split(net.graph(genotype))
        refs = dict(final.params)
        self._path = net.along(body, dtype=dtype)
        self.device = device_of(net)
        with torch.no_grad():
            self.head = Head(
                take(net.get_parameter(refs["weight"].name), refs["weight"])[0].clone(),
                net.get_parameter(refs["bias"].name)[0].clone(),
            )

    @torch.no_grad()
    def __call__(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """[B, F], of the weights' type, on the supernet's device."""
        own = self.head.weight
        return forward(self._path, dense.to(own), sparse.to(self.device)).to(own.dtype)


def finetune(
    net: Supernet, genotype: Genotype, log: Log, steps: int = 500, *, tuning: Tuning | None = None
) -> CompiledModel:
    """A compiled model of a path with the shared weights, its last linear trained on a log for some more steps.

    Args:
        net: stays as it is.
        genotype: the path.
        log: rows to train on.
        steps: of fine-tuning; 500 in the paper (section 4.3).
        tuning: further settings; its own `steps` give way.

    Raises:
        SpaceError: the genotype is not in the space.
    """
    settings = Tuning(steps) if tuning is None else Tuning(**{**vars(tuning), "steps": steps})
    head = tuned(HeadInputs(net, genotype), log, settings)
    model = net.extract(genotype)
    layer = model.layer_names[_split(model.graph)[1].id]
    with torch.no_grad():
        model.get_parameter(f"{layer}.weight").copy_(head.weight[None])
        model.get_parameter(f"{layer}.bias").copy_(head.bias[None])
    return model


@torch.no_grad()
def tuned(inputs: HeadInputs, log: Log, tuning: Tuning) -> Head:
    """The last linear after some steps of Adagrad on binary cross-entropy; the shared one is where it starts."""
    weight, bias = inputs.head.weight.clone(), inputs.head.bias.clone()
    squares, bias_square = torch.zeros_like(weight), torch.zeros_like(bias)
    for step, (x, label, counts) in enumerate(itertools.islice(_batches(inputs, log, tuning), tuning.steps)):
        lr = tuning.lr * 0.5 * (1 + math.cos(math.pi * step / tuning.steps))
        error = (torch.sigmoid(torch.addmv(bias, x, weight)) - label) * (counts / counts.sum())
        for parameter, square, grad in ((weight, squares, x.t() @ error), (bias, bias_square, error.sum())):
            square += grad * grad
            parameter -= lr * grad / (square.sqrt() + tuning.eps)
    return Head(weight, bias)


def _batches(inputs: HeadInputs, log: Log, tuning: Tuning) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches of what the last linear reads [B, F], labels [B] and the rows' weights [B]."""
    together = max(1, _ROWS_TOGETHER // tuning.batch_size) * tuning.batch_size
    reader = log.reader(together, seed=tuning.seed)
    while True:
        for dense, sparse, label, *weight in reader.epoch():
            # No more rows than the steps read, where that is less than one pass through the frozen part.
            most = min(len(label), tuning.rows)
            x = inputs(dense[:most], sparse[:most])
            label = label[:most].to(x)
            counts = weight[0][:most].to(x) if weight else torch.ones_like(label)
            columns = (column.split(tuning.batch_size) for column in (x, label, counts))
            yield from zip(*columns, strict=True)


def _split(graph: Graph) -> tuple[Graph, Node]:
    """What comes before the last linear, its result that linear's input; and the linear."""
    b = GraphBuilder(graph.name)
    for node in graph:
        weight = node.param("weight")
        if weight is not None and weight.name == HEAD:
            joined = node.inputs[0] if len(node.inputs) == 1 else b.add("concat", node.inputs, id="final_in")
            return b.finish_live(joined), node
        b.copy(node, node.inputs)
    raise SpaceError(f"graph {graph.name} has no last linear, {HEAD}")
