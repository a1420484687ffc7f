"""Removes what does not reach the logit: whole blocks, and branches of blocks that live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasrec_ir.graph import Graph

__all__ = ["PruneDead"]


@dataclass(frozen=True)
class PruneDead:
    """Keeps the nodes that the output depends on, and the arguments, which are the call's signature."""

    name: ClassVar[str] = "prune-dead"

    def apply(self, graph: Graph) -> Graph:
        live = graph.live_ids()
        kept = [node for node in graph if node.id in live or node.op == "input"]
        return graph if len(kept) == len(graph) else Graph(graph.name, kept, graph.output)
