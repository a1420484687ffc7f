"""What is profiled: a graph whose nodes can be run one by one, and the same as one untouched call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasrec.compiler import CompiledModel
from nasrec.executor import EXECUTE
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.lowering.store import lower_path
from nasrec.slices import take
from nasrec.supernet import Supernet
from nasrec_ir import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.passes import OPTIMISE

__all__ = ["Batch", "BoundNode", "Subject", "compiled_model", "supernet_path"]


@dataclass(frozen=True)
class Batch:
    """Rows to run on: dense [B, num_dense] float, sparse [B, num_sparse] int64, label [B] float of 0 and 1."""

    dense: Tensor
    sparse: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def random(cls, features: FeatureSpec, size: int, *, device: torch.device, seed: int = 0) -> Batch:
        """Normal numbers, categories evenly spread over their tables, labels of both kinds."""
        generator = torch.Generator().manual_seed(seed)
        dense = torch.randn(size, features.num_dense, generator=generator)
        sparse = torch.empty(size, features.num_sparse, dtype=torch.int64)
        for column, rows in enumerate(features.cardinalities):
            sparse[:, column] = torch.randint(rows, (size,), generator=generator)
        label = torch.randint(2, (size,), generator=generator).float()
        return cls(dense.to(device), sparse.to(device), label.to(device))


@dataclass(frozen=True)
class BoundNode:
    """A node with its parameters at hand.

    Attributes:
        node: the node.
        run: operands -> result, by the kernel that the model runs.
        parameters: the stored tensors that gradients are taken of.
    """

    node: Node
    run: Callable[[Sequence[Tensor]], Tensor]
    parameters: tuple[Tensor, ...]


@dataclass(frozen=True)
class Subject:
    """A model or a supernet's path, with a batch.

    Attributes:
        graph: the optimised graph.
        nodes: all but the inputs, in the graph's order.
        model: the untouched call, (dense, sparse) -> logits.
        parameters: everything an optimiser would be given.
        batch: what it runs on.
        lower: makes the graph anew, as a supernet must for each new path; None for a model, compiled once.
    """

    graph: Graph
    nodes: tuple[BoundNode, ...]
    model: Callable[[Tensor, Tensor], Tensor]
    parameters: tuple[nn.Parameter, ...]
    batch: Batch
    lower: Callable[[], object] | None = None

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The batch by the ids of the graph's inputs."""
        given = (self.batch.dense, self.batch.sparse)
        return {node.id: value for node, value in zip(self.graph.inputs, given, strict=True)}


def compiled_model(model: CompiledModel, batch: Batch) -> Subject:
    """A stand-alone model."""

    def parameters(node: Node) -> dict[str, Tensor]:
        layer = model.layer_names.get(node.id)
        return {role: model.get_parameter(f"{layer}.{role}") for role, _ in node.params}

    nodes = []
    for node in model.graph:
        if node.op != "input":
            own = parameters(node)
            nodes.append(BoundNode(node, _runner(node, lambda own=own: own, batch), tuple(own.values())))  # type: ignore[misc]
    return Subject(model.graph, tuple(nodes), model, tuple(model.parameters()), batch)


def supernet_path(net: Supernet, genotype: Genotype, batch: Batch) -> Subject:
    """A genotype as a path of a supernet; taking its slices of the store is part of each node, as it is in a step.

    Raises:
        SpaceError: the genotype is not in the supernet's space.
    """
    graph = net.graph(genotype)

    def slices(node: Node) -> Mapping[str, Tensor]:
        return {role: take(net.get_parameter(ref.name), ref) for role, ref in node.params}

    nodes = []
    for node in graph:
        if node.op != "input":
            stored = {ref.name: net.get_parameter(ref.name) for _, ref in node.params}
            run = _runner(node, lambda node=node: slices(node), batch)  # type: ignore[misc]
            nodes.append(BoundNode(node, run, tuple(stored.values())))
    return Subject(
        graph,
        tuple(nodes),
        lambda dense, sparse: net(dense, sparse, genotype),
        tuple(net.parameters()),
        batch,
        lambda: OPTIMISE.run(lower_path(genotype, net.space, net.features, net.masking)),
    )


def _runner(
    node: Node, parameters: Callable[[], Mapping[str, Tensor]], batch: Batch
) -> Callable[[Sequence[Tensor]], Tensor]:
    """The one place that knows how the executor runs a node."""
    if node.op == "zeros":
        return lambda operands: batch.dense.new_zeros(len(batch), *node.type.shape)
    execute, attrs = EXECUTE[node.op], attributes(node)
    return lambda operands: execute(operands, attrs, parameters())
