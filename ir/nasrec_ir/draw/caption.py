"""What all drawings say about a node, which nodes they put into one box, and in which colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from nasrec_ir.cost import BLOCK, cost
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import OPS, attributes

__all__ = ["HOMES", "Caption", "Style", "acyclic_clusters", "captions", "clusters", "precision_text", "short"]


@dataclass(frozen=True)
class Style:
    """Colours of the nodes of one home, and what the legend says of it."""

    fill: str
    stroke: str
    meaning: str


HOMES: Mapping[str, Style] = {
    "input": Style("#ffffff", "#5f6b76", "argument"),
    "memory": Style("#d5ecd9", "#3f8a54", "memory: look-ups"),
    "crossbar": Style("#d3e3f6", "#3a6fae", "crossbar: products with stored weights"),
    "digital": Style("#fbe3c4", "#c27a1c", "digital: arithmetic on activations"),
    "wire": Style("#eceef0", "#9aa3ab", "wire: moves, renames"),
}
"""Where processing-in-memory hardware runs an op, after the op table, and the arguments."""


@dataclass(frozen=True)
class Caption:
    """What a drawing says about a node.

    Attributes:
        id: the node.
        home: a key of `HOMES`.
        op: its op with what is fused into it, as `linear + norm + relu`.
        shape: of its result, as `[B, 64, 16]`.
        macs: multiply-accumulates per sample.
        details: lines for those who ask: attributes, parameters, type.
    """

    id: str
    home: str
    op: str
    shape: str
    macs: int
    details: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Id, op, shape, and the multiply-accumulates where there are any."""
        return (self.id, self.op, self.shape, *([f"{short(self.macs)} MACs"] if self.macs else []))


def captions(graph: Graph) -> dict[str, Caption]:
    """The caption of every node, by id."""
    macs = {node.id: node.macs for node in cost(graph).nodes}
    return {node.id: _caption(node, macs.get(node.id, 0)) for node in graph}


def clusters(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Ids of the nodes that each box holds, by scope, in the graph's order.

    A choice block has a box, and so has any other scope of two nodes or more. A node that no scope claims, but that
    stands between nodes of one box, belongs into it.
    """
    scopes: dict[str, list[str]] = {}
    for node in graph:
        if node.op != "input":
            scopes.setdefault(node.scope, []).append(node.id)
    boxes = {
        scope: tuple(ids)
        for scope, ids in scopes.items()
        if len(ids) > 1 or (BLOCK.fullmatch(scope) and ids[0] != scope)
    }
    for tangle in _tangles(graph, boxes):
        within = [name for kind, name in tangle if kind == "cluster"]
        if len(within) == 1:
            members = {*boxes[within[0]], *(name for kind, name in tangle if kind == "node")}
            boxes[within[0]] = tuple(node.id for node in graph if node.id in members)
    return boxes


def acyclic_clusters(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The same without boxes that values go back and forth between, as neither can stand above the other."""
    boxes = clusters(graph)
    tangled = {name for tangle in _tangles(graph, boxes) for _, name in tangle}
    return {scope: ids for scope, ids in boxes.items() if scope not in tangled}


def _tangles(graph: Graph, boxes: Mapping[str, tuple[str, ...]]) -> list[set[tuple[str, str]]]:
    """Groups of boxes and single nodes that depend on each other in a circle."""
    group = {node_id: scope for scope, ids in boxes.items() for node_id in ids}
    quotient: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
    for node in graph:
        quotient.add_node(_key(node.id, group))
        quotient.add_edges_from((_key(operand, group), _key(node.id, group)) for operand in node.inputs)
    return [part for part in nx.strongly_connected_components(quotient) if len(part) > 1]


def _key(node_id: str, group: Mapping[str, str]) -> tuple[str, str]:
    return ("cluster", group[node_id]) if node_id in group else ("node", node_id)


def short(count: int) -> str:
    """A count to three digits: 950, 12.3k, 4.56M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit * 0.9995:
            value = count / unit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{name}"
    return str(count)


def precision_text(weight_bits: int | None, act_bits: int | None) -> str:
    """`4 bit` of the weights alone, `W4 A8` of weights and activations; nothing for float."""
    if act_bits is None:
        return f"{weight_bits} bit" if weight_bits else ""
    return f"W{weight_bits} A{act_bits}" if weight_bits else f"A{act_bits}"


def _caption(node: Node, macs: int) -> Caption:
    sizes = f"[{', '.join(['B', *map(str, node.type.shape)])}]"
    if node.op == "input":
        return Caption(node.id, "input", "argument", sizes, 0, (f"{node.id}: {node.type}",))
    attrs = attributes(node)
    steps = [node.op]
    if attrs.get("norm"):
        steps.append("norm")
    if attrs.get("activation", "none") != "none":
        steps.append(attrs["activation"])
    if attrs.get("padded"):
        steps.append(f"{attrs['padded']} zero fields")
    if precision := precision_text(attrs.get("weight_bits"), attrs.get("act_bits")):
        steps.append(precision)
    details = [f"{node.id} = {node.op}({', '.join(node.inputs)}) : {node.type}"]
    details += [f"{key} = {value}" for key, value in node.attrs]
    details += [f"{role}: {ref.name} {list(ref.view_shape)}" for role, ref in node.params[:MAX_PARAMETERS]]
    if len(node.params) > MAX_PARAMETERS:
        details.append(f"and {len(node.params) - MAX_PARAMETERS} more parameters")
    if macs:
        details.append(f"{macs:,} multiply-accumulates per sample")
    return Caption(node.id, OPS[node.op].home, " + ".join(steps), sizes, macs, tuple(details))


MAX_PARAMETERS = 6
"""Parameters that the details list; an embedding has one for every table."""
