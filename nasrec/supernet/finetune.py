"""Fine-tuning of a path's last linear alone (section 4.3), with everything before it as it is.

Nothing before the last linear needs a gradient, so its inputs are computed in large batches without autograd, and the
steps themselves are two products with a vector each. The supernet stays as it was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nasrec.compiler import CompiledModel
from nasrec.compiler.slices import take
from nasrec.data.dataset import Log
from nasrec.errors import SpaceError, TrainError
from nasrec.genotype import Genotype
from nasrec.supernet.net import Supernet
from nasrec.train.prediction import device_of, forward
from nasrec_ir import Graph, GraphBuilder, Node

__all__ = ["FinetuneConfig", "Head", "HeadInputs", "drawn", "finetune", "tuned"]

HEAD = "_final.weight"
_ROWS_TOGETHER = 2048
"""Rows of a pass through the frozen part: with fewer, overhead shows; with more, results leave the caches."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How the last linear is fine-tuned. Raises `TrainError` naming the field on a value out of range.

    - `steps`: 500 in the paper; `batch_size`: rows of a step.
    - `distinct_rows`: how many rows the steps read, over and over; None: as many as come up. What the last linear reads
      of them is then computed once and kept, F numbers a row: several times as fast where they are few.
    - `lr`: peak rate of Adagrad, which falls to 0 along half a cosine wave; `eps`: added to its denominator.
    - `seed`: of the order of the rows.
    """

    steps: int = 500
    batch_size: int = 512
    distinct_rows: int | None = None
    lr: float = 0.1
    eps: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "distinct_rows"):
            value = getattr(self, name)
            if value is None and name == "distinct_rows":
                continue
            if type(value) is not int or value < 1:
                raise TrainError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("lr", "eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
                raise TrainError(f"{name} must be a positive number, got {value!r}")
        if type(self.seed) is not int or self.seed < 0:
            raise TrainError(f"seed must be a whole number of at least 0, got {self.seed!r}")

    @property
    def rows(self) -> int:
        """The most rows that the steps read."""
        return min(self.steps * self.batch_size, self.distinct_rows or self.steps * self.batch_size)


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
    net: Supernet, genotype: Genotype, log: Log, steps: int = 500, *, tuning: FinetuneConfig | None = None
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
    settings = FinetuneConfig(steps) if tuning is None else FinetuneConfig(**{**vars(tuning), "steps": steps})
    head = tuned(HeadInputs(net, genotype), drawn(log, settings), settings)
    model = net.extract(genotype)
    layer = model.layer_names[_split(model.graph)[1].id]
    with torch.no_grad():
        model.get_parameter(f"{layer}.weight").copy_(head.weight[None])
        model.get_parameter(f"{layer}.bias").copy_(head.bias[None])
    return model


def drawn(log: Log, tuning: FinetuneConfig) -> Log:
    """The rows that the steps read, drawn by the seed, in memory; all of a log that has fewer."""
    if log.num_rows <= tuning.rows:
        return log
    rows = np.random.default_rng(tuning.seed).choice(log.num_rows, tuning.rows, replace=False)
    return log.take(np.sort(rows))


@torch.no_grad()
def tuned(inputs: HeadInputs, rows: Log, tuning: FinetuneConfig) -> Head:
    """The last linear after some steps of Adagrad on binary cross-entropy; the shared one is where it starts.

    Args:
        rows: what `drawn` gave.
    """
    weight, bias = inputs.head.weight.clone(), inputs.head.bias.clone()
    squares, bias_square = torch.zeros_like(weight), torch.zeros_like(bias)
    batches = (_batches if tuning.distinct_rows is None else _kept_batches)(inputs, rows, tuning)
    for step, (x, label, counts) in enumerate(itertools.islice(batches, tuning.steps)):
        lr = tuning.lr * 0.5 * (1 + math.cos(math.pi * step / tuning.steps))
        error = (torch.sigmoid(torch.addmv(bias, x, weight)) - label) * (counts / counts.sum())
        for parameter, square, grad in ((weight, squares, x.t() @ error), (bias, bias_square, error.sum())):
            square += grad * grad
            parameter -= lr * grad / (square.sqrt() + tuning.eps)
    return Head(weight, bias)


Batch = tuple[Tensor, Tensor, Tensor]
"""What the last linear reads [B, F], labels [B] and the rows' weights [B]."""


def _batches(inputs: HeadInputs, rows: Log, tuning: FinetuneConfig) -> Iterator[Batch]:
    """Endless batches, computed as they come."""
    together = max(1, _ROWS_TOGETHER // tuning.batch_size) * tuning.batch_size
    reader = rows.reader(together, seed=tuning.seed)
    while True:
        for columns in reader.epoch():
            yield from zip(*(column.split(tuning.batch_size) for column in _read(inputs, *columns)), strict=True)


def _kept_batches(inputs: HeadInputs, rows: Log, tuning: FinetuneConfig) -> Iterator[Batch]:
    """Endless batches of what was computed once."""
    read = [_read(inputs, *columns) for columns in rows.reader(_ROWS_TOGETHER, shuffle="none").epoch()]
    x, label, counts = (torch.cat(columns) for columns in zip(*read, strict=True))
    for epoch in itertools.count():
        order = torch.from_numpy(np.random.default_rng([tuning.seed, epoch]).permutation(len(label))).to(x.device)
        for part in order.split(tuning.batch_size):
            yield x[part], label[part], counts[part]


def _read(inputs: HeadInputs, dense: Tensor, sparse: Tensor, label: Tensor, weight: Tensor | None = None) -> Batch:
    x = inputs(dense, sparse)
    label = label.to(x)
    return x, label, torch.ones_like(label) if weight is None else weight.to(x)


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
