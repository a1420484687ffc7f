"""What a graph costs, read off the op table: no model is built."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import OPS, Home, attributes
from nasrec_ir.passes.expand import expansion

__all__ = ["Cost", "NodeCost", "cost"]

ELEMENT_BYTES = {"f32": 4, "i64": 8}


@dataclass(frozen=True)
class NodeCost:
    """Cost of one node, per sample.

    Attributes:
        id: the node.
        op: its op.
        home: where processing-in-memory hardware would run it.
        macs: multiply-accumulates of matrix products, one counted once. Norms and element-wise work count 0.
        parameters: entries of the parameter slices it reads, without the running statistics of a batch norm.
        parameter_bytes: bytes of those at their precision (`weight_bits`, else 32-bit floats), with the 32-bit scales
            of quantised ones.
        read_bytes: bytes of its operands; of an embedding, ids and the gathered rows.
        written_bytes: bytes of its result.
        weight_bits: precision of its stored matrix, None for float.
        act_bits: the same of what the matrix multiplies.
    """

    id: str
    op: str
    home: Home
    macs: int
    parameters: int
    parameter_bytes: int
    read_bytes: int
    written_bytes: int
    weight_bits: int | None = None
    act_bits: int | None = None


@dataclass(frozen=True)
class Cost:
    """Cost of a graph; every total is a sum over `nodes`.

    Attributes:
        macs: multiply-accumulates per sample (what the paper's tables call FLOPs); `flops` is twice that.
        parameters: entries of all parameters, embedding tables included.
        embedding_parameters: entries of the embedding tables.
        parameter_bytes: bytes of all parameters.
        activation_bytes: bytes written by all nodes per sample.
        live_blocks: indices of the choice blocks that reach the logit, ascending.
        nodes: cost per node, in the graph's order.
    """

    macs: int
    parameters: int
    embedding_parameters: int
    parameter_bytes: int
    activation_bytes: int
    live_blocks: tuple[int, ...]
    nodes: tuple[NodeCost, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations per sample, a multiply-accumulate counted as two."""
        return 2 * self.macs

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        plain: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "nodes"}
        rows = [{f.name: getattr(n, f.name) for f in fields(NodeCost)} for n in self.nodes]
        return plain | {"flops": self.flops, "live_blocks": list(self.live_blocks), "nodes": rows}


def cost(graph: Graph) -> Cost:
    """Cost per node and in total of a verified graph."""
    nodes = tuple(_node_cost(graph, node) for node in graph if node.op != "input")
    blocks = {int(match[1]) for node in graph if node.op != "input" and (match := BLOCK.fullmatch(node.scope))}
    return Cost(
        macs=sum(n.macs for n in nodes),
        parameters=sum(n.parameters for n in nodes),
        embedding_parameters=sum(n.parameters for n in nodes if n.home == "memory"),
        parameter_bytes=sum(n.parameter_bytes for n in nodes),
        activation_bytes=sum(n.written_bytes for n in nodes),
        live_blocks=tuple(sorted(blocks)),
        nodes=nodes,
    )


BLOCK = re.compile(r"b([0-9]+)")
"""Scope of the nodes of choice block k: lowering calls them `bk.…`."""


def _node_cost(graph: Graph, node: Node) -> NodeCost:
    return _fused_cost(graph, node) if OPS[node.op].expand else _plain_cost(graph, node)


def _fused_cost(graph: Graph, node: Node) -> NodeCost:
    """The sum of what the op stands for, but what lies between its parts is neither written nor read."""
    parts = cost(expansion(graph, node))
    return NodeCost(
        id=node.id,
        op=node.op,
        home=OPS[node.op].home,
        macs=parts.macs,
        parameters=parts.parameters,
        parameter_bytes=parts.parameter_bytes,
        read_bytes=sum(ELEMENT_BYTES[graph[i].type.dtype] * graph[i].type.elements for i in node.inputs),
        written_bytes=ELEMENT_BYTES[node.type.dtype] * node.type.elements,
        weight_bits=attributes(node).get("weight_bits"),
    )


def _plain_cost(graph: Graph, node: Node) -> NodeCost:
    op, attrs = OPS[node.op], attributes(node)
    operands = [graph[i].type for i in node.inputs]
    refs = [ref for role, ref in node.params if role not in op.buffers]
    parameters = sum(ref.elements for ref in refs)
    bits, weight = attrs.get("weight_bits"), node.param("weight")
    quantized = scales = 0
    if bits and weight is not None:
        quantized, scales = weight.elements, 1 if attrs["per_tensor"] else weight.view_shape[0]
    read = sum(ELEMENT_BYTES[t.dtype] * t.elements for t in operands)
    written = ELEMENT_BYTES[node.type.dtype] * node.type.elements
    return NodeCost(
        id=node.id,
        op=node.op,
        home=op.home,
        macs=op.macs(operands, attrs),
        parameters=parameters,
        parameter_bytes=(parameters - quantized + scales) * 4 + -(-quantized * (bits or 0) // 8),
        read_bytes=read + (written if op.home == "memory" else 0),
        written_bytes=written,
        weight_bits=bits,
        act_bits=attrs.get("act_bits"),
    )
