"""What is profiled: a graph whose nodes can be run one by one, and the same as one untouched call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasrec.compiler import CompiledModel, tensor_of
from nasrec.compiler.executor import EXECUTE, Params, execute
from nasrec.genotype import Genotype
from nasrec.profiling.batch import Batch
from nasrec.supernet import Path, PathAdagrad, Supernet
from nasrec.train import TrainConfig
from nasrec.train.adagrad import Adagrad
from nasrec_ir import Graph, Node
from nasrec_ir.ops import OPS, attributes

__all__ = ["BoundNode", "Training", "Way", "Workload", "compiled_model", "supernet_path"]


@dataclass(frozen=True)
class BoundNode:
    """A node with its parameters at hand.

    Attributes:
        node: the node.
        run: operands -> result, by the kernel that the model runs.
        parameters: the leaves that gradients are taken of.
    """

    node: Node
    run: Callable[[Sequence[Tensor]], Tensor]
    parameters: tuple[Tensor, ...]


@dataclass(frozen=True)
class Training:
    """What a step does besides forward, loss and backward.

    Attributes:
        forget: drops the gradients of an earlier step.
        update: the optimiser. Its learning rate is 0, which costs as much as any, and leaves weights as they are.
        lower: makes the graph anew, as a supernet must for each new path; None for a model, compiled once.
    """

    forget: Callable[[], object]
    update: Callable[[], object]
    lower: Callable[[], object] | None = None


@dataclass(frozen=True)
class Way:
    """One way to run the whole: (dense, sparse) -> logits, and what makes a training step of it."""

    model: Callable[[Tensor, Tensor], Tensor]
    training: Training | None


@dataclass(frozen=True)
class Workload:
    """A model or a supernet's path, with a batch.

    Attributes:
        graph: the optimised graph.
        nodes: all but the inputs, in the graph's order.
        batch: what it runs on.
        ours: the untouched model; without `training` where only passes are timed.
        backends: other ways to run it, by name; each is made when it is called for.
    """

    graph: Graph
    nodes: tuple[BoundNode, ...]
    batch: Batch
    ours: Way
    backends: dict[str, Callable[[], Way]]

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The batch by the ids of the graph's inputs."""
        given = (self.batch.dense, self.batch.sparse)
        return {node.id: value for node, value in zip(self.graph.inputs, given, strict=True)}


def compiled_model(model: CompiledModel, batch: Batch, *, trained: bool) -> Workload:
    """A stand-alone model. Plain PyTorch is given torch's own Adagrad, the fastest that it has."""

    def parameters(node: Node) -> Params:
        return {role: tensor_of(model, node, role) for role, _ in node.params}

    def training(kind: Callable[..., torch.optim.Optimizer], **options: bool | None) -> Training | None:
        if not trained:
            return None
        optimizer = kind(model.parameters(), lr=0.0, eps=TrainConfig().denominator_eps, **options)
        return Training(optimizer.zero_grad, optimizer.step)

    ours = Way(model, training(Adagrad))
    fused = batch.dense.device.type == "cpu" or None  # not every torch that we run on has it for GPUs
    backends = {
        "eager": lambda: Way(model, training(torch.optim.Adagrad, fused=fused)),
        "compile": lambda: Way(torch.compile(model, fullgraph=True), ours.training),
    }
    return Workload(model.graph, _bound(model.graph, parameters, batch), batch, ours, backends)


def supernet_path(net: Supernet, genotype: Genotype, batch: Batch) -> Workload:
    """A genotype as a path of a supernet, trained. A step begins with a new path: it is lowered, its slices taken.

    Raises:
        SpaceError: the genotype is not in the supernet's space.
    """
    path, optimizer = net.path(genotype), PathAdagrad(net, lr=0.0)

    def lower() -> None:
        net.lower(genotype)
        net.path(genotype)  # of the graph that the supernet remembers: this takes the slices

    training = Training(path.forget, lambda: optimizer.step(path), lower)
    backends = {
        "eager": lambda: Way(path, training),
        "compile": lambda: Way(_compiled_path(path), training),
    }
    nodes = _bound(path.graph, path.parameters, batch, path.look_up)
    return Workload(path.graph, nodes, batch, Way(path, training), backends)


def _compiled_path(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """The look-up stays outside, since it notes its rows, which the optimiser reads."""
    (embedding,) = (node for node in path.graph if node.op == "embedding")

    def rest(dense: Tensor, sparse: Tensor, rows: Tensor) -> Tensor:
        return execute(path.graph, path.parameters, (dense, sparse), lambda node, ids: rows)

    inner = torch.compile(rest, fullgraph=True)

    def run(dense: Tensor, sparse: Tensor) -> Tensor:
        path.forget()
        logits: Tensor = inner(dense, sparse, path.look_up(embedding, sparse))
        return logits

    return run


def _bound(
    graph: Graph,
    parameters: Callable[[Node], Params],
    batch: Batch,
    look_up: Callable[[Node, Tensor], Tensor] | None = None,
) -> tuple[BoundNode, ...]:
    """The one place that knows how the executor runs a node."""
    nodes = []
    for node in graph:
        if node.op == "zeros":
            nodes.append(BoundNode(node, _zeros(node, batch), ()))
        elif node.op == "embedding" and look_up is not None:
            nodes.append(BoundNode(node, _look_up(node, look_up), ()))
        elif node.op != "input":
            own = parameters(node)
            trained = {role: value for role, value in own.items() if role not in OPS[node.op].buffers}
            nodes.append(BoundNode(node, _execute(node, own), _leaves(trained)))
    return tuple(nodes)


def _execute(node: Node, parameters: Params) -> Callable[[Sequence[Tensor]], Tensor]:
    execute_node, attrs = EXECUTE[node.op], attributes(node)
    return lambda operands: execute_node(operands, attrs, parameters)


def _look_up(node: Node, look_up: Callable[[Node, Tensor], Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    return lambda operands: look_up(node, operands[0])


def _zeros(node: Node, batch: Batch) -> Callable[[Sequence[Tensor]], Tensor]:
    return lambda operands: batch.dense.new_zeros(len(batch), *node.type.shape)


def _leaves(parameters: Params) -> tuple[Tensor, ...]:
    """All tensors of a node; a role may hold several."""
    found: list[Tensor] = []
    for value in parameters.values():
        found.extend(value if isinstance(value, tuple) else (value,))
    return tuple(found)
