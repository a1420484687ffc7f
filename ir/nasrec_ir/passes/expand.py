"""Back from fused ops to the plain ones that define them: for readers that know each plain op, as hardware mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasrec_ir.build import GraphBuilder
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import OPS

__all__ = ["Expand", "expansion"]


@dataclass(frozen=True)
class Expand:
    """Every op whose row has an expansion becomes the nodes of that."""

    name: ClassVar[str] = "expand"

    def apply(self, graph: Graph) -> Graph:
        if not any(_fused(node) for node in graph):
            return graph
        b = GraphBuilder(graph.name)
        renamed: dict[str, str] = {}
        for node in graph:
            operands = [renamed[operand] for operand in node.inputs]
            expand = OPS[node.op].expand if _fused(node) else None
            renamed[node.id] = expand(b, node, operands) if expand else b.copy(node, operands)
        return b.finish(renamed[graph.output])


def expansion(graph: Graph, node: Node) -> Graph:
    """What one node of a graph with a fused op stands for, as a graph whose arguments are the node's operands."""
    b = GraphBuilder("expansion")
    operands = [b.input(f"x{number}", graph[operand].type) for number, operand in enumerate(node.inputs)]
    expand = OPS[node.op].expand
    return b.finish(expand(b, node, operands) if expand else b.copy(node, operands))


def _fused(node: Node) -> bool:
    return node.op != "input" and OPS[node.op].expand is not None
