"""Dropout for graphs that were lowered without: what training needs of it depends on the rows, not on the genotype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasrec_ir.build import GraphBuilder
from nasrec_ir.errors import PassError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes

__all__ = ["Dropout"]


@dataclass(frozen=True)
class Dropout:
    """Adds a dropout behind every layer norm, and on what else the last product reads.

    Inference, parameters and their names stay as they are, so that weights fit the graph with and without.

    Attributes:
        rate: share of the values that training drops, from 0 (nothing is added) to below 1.
    """

    rate: float

    name: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        if not (isinstance(self.rate, (int, float)) and 0 <= self.rate < 1):
            raise PassError(f"dropout: the rate must be a number from 0 to below 1, not {self.rate!r:.80}")

    def apply(self, graph: Graph) -> Graph:
        if not self.rate:
            return graph
        last = _last_product(graph)
        b = GraphBuilder(graph.name)
        renamed: dict[str, str] = {}
        for node in graph:
            operands = [renamed[operand] for operand in node.inputs]
            if node is last:
                operands = [
                    operand if b[operand].op == "dropout" else self._behind(b, f"{node.id}.{place}", operand)
                    for place, operand in enumerate(operands)
                ]
            renamed[node.id] = b.copy(node, operands)
            if node is not last and _normed(node):
                renamed[node.id] = self._behind(b, node.id, renamed[node.id])
        return b.finish(renamed[graph.output])

    def _behind(self, b: GraphBuilder, name: str, operand: str) -> str:
        return b.add("dropout", [operand], id=f"{name}.dropout", rate=float(self.rate))


def _normed(node: Node) -> bool:
    if node.op in ("layer_norm", "field_attention"):
        return True
    return node.op in ("linear", "field_linear") and bool(attributes(node)["norm"])


def _last_product(graph: Graph) -> Node | None:
    """The product with a stored matrix that is nearest to the output."""
    node = graph[graph.output]
    while not (node.op == "linear" and node.params):
        if len(node.inputs) != 1:
            return None
        node = graph[node.inputs[0]]
    return node
