"""Common subexpressions: nodes that compute the same from the same become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops.training import is_stochastic

__all__ = ["MergeEqual"]


@dataclass(frozen=True)
class MergeEqual:
    """Keeps the first of nodes with equal op, operands, attributes and parameters; all that draw at random."""

    name: ClassVar[str] = "merge-equal"

    def apply(self, graph: Graph) -> Graph:
        kept: list[Node] = []
        first: dict[object, str] = {}
        renamed: dict[str, str] = {}
        for node in graph:
            if renamed and any(operand in renamed for operand in node.inputs):
                node = replace(node, inputs=tuple(renamed.get(operand, operand) for operand in node.inputs))
            if node.op != "input" and not is_stochastic(node):
                twin = first.setdefault((node.op, node.inputs, node.attrs, node.params), node.id)
                if twin != node.id:
                    renamed[node.id] = twin
                    continue
            kept.append(node)
        if not renamed:
            return graph
        return Graph(graph.name, kept, renamed.get(graph.output, graph.output))
