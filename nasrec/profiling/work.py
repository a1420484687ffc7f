"""How much work a node is: multiply-accumulates and the least bytes that must move, forward and backward."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import nasrec_ir
from nasrec_ir import Graph

__all__ = ["NO_WORK", "NodeWork", "Work", "node_work"]

PARAMETER_BYTES = 4  # models read float32, quantised ones too: they round it to what integers could be


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates of matrix products (norms and element-wise work count 0), and bytes read plus written."""

    macs: int
    moved_bytes: int

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.moved_bytes + other.moved_bytes)


NO_WORK = Work(0, 0)


@dataclass(frozen=True)
class NodeWork:
    """Of one node, for a whole batch."""

    forward: Work
    backward: Work


def node_work(graph: Graph, batch: int, still: tuple[Set[str], Set[str]]) -> dict[str, NodeWork]:
    """Work of every node but the inputs, by id.

    Forward a node reads its operands and parameters and writes its result, each once; of embedding tables only the
    rows looked up. Backward it reads operands, parameters and the result's gradient, and writes gradients of its
    parameters and of those operands that lead back to parameters (raw features do not); a product with a stored
    matrix is as many multiply-accumulates again for the matrix's gradient as for the operands', a product of two
    activations once for each. A kernel that moves more, or computes something twice, is the slower for it: the work
    asked for stays the same.

    Args:
        graph: an optimised graph.
        batch: rows.
        still: ids of the nodes that need move nothing, forward and backward: see `nasrec.profiling.node_timing.still`.
    """
    wanted = _trained(graph)
    found = {cost.id: _node_work(graph, cost, wanted, batch) for cost in nasrec_ir.cost(graph).nodes}
    forward, backward = still
    return {
        node_id: NodeWork(
            Work(work.forward.macs, 0) if node_id in forward else work.forward,
            Work(work.backward.macs, 0) if node_id in backward else work.backward,
        )
        for node_id, work in found.items()
    }


def _node_work(graph: Graph, cost: nasrec_ir.NodeCost, wanted: set[str], batch: int) -> NodeWork:
    node = graph[cost.id]
    table = cost.home == "memory"
    stored = 0 if table else PARAMETER_BYTES * cost.parameters
    read, written = batch * cost.read_bytes, batch * cost.written_bytes
    forward = Work(batch * cost.macs, read + written + stored)
    if cost.id not in wanted:
        return NodeWork(forward, NO_WORK)
    if table:  # `read` is ids and rows; backward reads ids and gradients and writes as many rows
        return NodeWork(forward, Work(0, read + written))
    sizes = {operand: graph[operand].type.elements for operand in node.inputs}
    size_of_all = sum(graph[operand].type.elements for operand in node.inputs)
    size_of_wanted = sum(sizes[operand] for operand in node.inputs if operand in wanted)
    share = size_of_wanted / size_of_all if size_of_all else 0.0
    products = (1 if cost.parameters else share) + share
    backward = Work(round(batch * cost.macs * products), round(read * (1 + share)) + written + 2 * stored)
    return NodeWork(forward, backward)


def _trained(graph: Graph) -> set[str]:
    """Ids of the values that have a gradient: those that some parameter has a part in."""
    found: set[str] = set()
    for node in graph:
        if node.params or found.intersection(node.inputs):
            found.add(node.id)
    return found
