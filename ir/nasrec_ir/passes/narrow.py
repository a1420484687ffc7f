"""Computing only some units of a node: the cut moves up to where it saves work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasrec_ir.build import GraphBuilder
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import OPS, attributes
from nasrec_ir.types import Segments, total

__all__ = ["Narrower"]


class Narrower:
    """Cuts nodes of a graph under construction to some positions of axis 1.

    A cut moves through ops that treat positions alike, and into the rows of a stored weight where no norm reads
    them; elsewhere it becomes a slice. It moves only through nodes that nobody else reads in the original graph, as
    it would make the work be done twice.
    """

    def __init__(self, b: GraphBuilder, original: Graph) -> None:
        self._b = b
        self._original = original
        self._done: dict[tuple[str, Segments], str] = {}
        self._depth = 0

    def __call__(self, node_id: str, positions: Segments) -> str:
        """The id of a node that holds just these positions of `node_id`."""
        size = self._b.type(node_id).shape[0]
        if positions == ((0, size),):
            return node_id
        key = (node_id, positions)
        if key not in self._done:
            self._depth += 1
            self._done[key] = self._cut(self._b[node_id], positions)
            self._depth -= 1
        return self._done[key]

    def _cut(self, node: Node, positions: Segments) -> str:
        if node.op == "slice":  # one that was made here: cut what it cuts
            start = attributes(node)["start"]
            return self(node.inputs[0], tuple((low + start, high + start) for low, high in positions))
        if self._private(node) and self._depth < DEEPEST:
            if node.op in ALIKE or (node.op == "layer_norm" and attributes(node)["axis"] == 2):
                return self._again(node, [self(operand, positions) for operand in node.inputs])
            if node.op in ("linear", "field_linear") and not attributes(node)["norm"]:
                kept = OPS[node.op].buffers  # a scale of the operands is one for all rows
                params = {role: ref if role in kept else ref.narrow(rows=positions) for role, ref in node.params}
                return self._again(node, node.inputs, params=params, out=total(positions))
        pieces = [
            self._b.add("slice", [node.id], id=f"{node.id}.part", start=start, stop=stop) for start, stop in positions
        ]
        return pieces[0] if len(pieces) == 1 else self._b.add("concat", pieces, id=f"{node.id}.parts")

    def _private(self, node: Node) -> bool:
        return node.id in self._original and len(self._original.users[node.id]) <= 1

    def _again(self, node: Node, inputs: Sequence[str], params: Any = None, **changed: Any) -> str:
        attrs = dict(node.attrs) | changed
        kept = dict(node.params) if params is None else params
        return self._b.add(node.op, inputs, id=node.id, params=kept, **attrs)


DEEPEST = 100
"""Most nodes that a cut moves up through; a longer chain, which no model has, would exhaust Python's stack."""

ALIKE = ("relu", "sigmoid", "scale", "add", "mul", "channel_linear", "dropout")
"""Ops whose result at a position depends on their operands at that position alone."""
