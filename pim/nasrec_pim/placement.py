"""Where each node of a graph runs: stored matrices on crossbars, arithmetic on the digital unit, tables in memory.

Nothing is free by omission: every node has a home, moves of data included (section 3.2 of the NASRec paper places
matrix-vector products on ReRAM and leaves products between activations to digital logic).
"""

from __future__ import annotations

from dataclasses import dataclass

from nasrec_ir import OPS, Graph, Node
from nasrec_ir.ops import Home, attributes
from nasrec_ir.passes import Expand

__all__ = ["Placed", "place"]

DEFAULT_BITS = 8
"""Precision at which a weight of no stated precision would be programmed, and driven."""


@dataclass(frozen=True)
class Placed:
    """One node's home and what it asks of it, per sample.

    Attributes:
        id: the node.
        op: its op.
        home: `"crossbar"`, `"digital"`, `"memory"` or `"wire"`.
        inputs, outputs: size of the matrix to be programmed (word lines, bit lines before bit slicing); 0 elsewhere.
        vectors: input vectors driven through it per sample; an embedded FC drives one for each channel.
        weight_bits, act_bits: precision of the stored weights and of what drives them; 0 elsewhere.
        digital_macs: multiply-accumulates between activations, which no crossbar can hold.
        written_values: entries that the node hands on.
    """

    id: str
    op: str
    home: Home
    inputs: int
    outputs: int
    vectors: int
    weight_bits: int
    act_bits: int
    digital_macs: int
    written_values: int

    @property
    def cells(self) -> int:
        """Weights to be stored."""
        return self.inputs * self.outputs


def place(graph: Graph) -> tuple[Placed, ...]:
    """The home of every node of a verified graph, in its order; of a fused node, of each of its parts."""
    plain = Expand().apply(graph)
    return tuple(_placed(plain, node) for node in plain if node.op != "input")


def _placed(graph: Graph, node: Node) -> Placed:
    op, attrs = OPS[node.op], attributes(node)
    operands = [graph[i].type for i in node.inputs]
    inputs, outputs, vectors = op.matvec(operands, attrs) if op.matvec else (0, 0, 0)
    return Placed(
        id=node.id,
        op=node.op,
        home=op.home,
        inputs=inputs,
        outputs=outputs,
        vectors=vectors,
        weight_bits=(attrs["weight_bits"] or DEFAULT_BITS) if op.matvec else 0,
        act_bits=(attrs["act_bits"] or DEFAULT_BITS) if op.matvec else 0,
        digital_macs=op.products(operands, attrs) if op.products else 0,
        written_values=node.type.elements,
    )
