"""Which product of a graph gets how many bits: a scheme, and the graph that it annotates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nasrec.checks import format_value, integer
from nasrec.errors import QuantError
from nasrec.genotype import MAX_BITS, MIN_BITS, Block, Genotype, Precision
from nasrec_ir import Graph, GraphBuilder, Node, ParamRef
from nasrec_ir.ops import OPS, attributes
from nasrec_ir.passes import Expand, FuseAttention

__all__ = ["Scheme", "annotate", "kind_of", "kinds_in", "stripped"]

KINDS = {
    "fc": "fc",
    "dot": "dot_product",
    "gating": "sigmoid_gating",
    "sum": "sum",
    "attn": "attention",
    "efc": "efc",
    "fm": "fm",
    "d2s": "dense_to_sparse",
}
"""What the nodes of a choice block are called, and the operator or merger that they belong to."""

_BLOCK_NODE = re.compile(r"b[0-9]+\.([a-z0-9]+).*", re.ASCII)


@dataclass(frozen=True)
class Scheme:
    """Precisions of a model's stored products.

    Attributes:
        weight_bits: of the matrices, 2 to 16, None for float.
        act_bits: of what they multiply, None for float.
        kinds: (weight bits, activation bits) of some kinds of product, see `kind_of`, or of single ones by their node's
            id; they go before all else.
        per_tensor: one scale for a matrix instead of one for each of its rows (output channels).
        keep: products that have bits already, from a genotype's genes, keep those unless their kind is named.

    Raises:
        QuantError: bits are out of range.
    """

    weight_bits: int | None = 8
    act_bits: int | None = 8
    kinds: Mapping[str, Precision] = field(default_factory=dict)
    per_tensor: bool = False
    keep: bool = True

    def __post_init__(self) -> None:
        for what, bits in (("weight_bits", self.weight_bits), ("act_bits", self.act_bits)):
            _require_bits(what, bits)
        for kind, (weight_bits, act_bits) in self.kinds.items():
            _require_bits(f"weight bits of {kind}", weight_bits)
            _require_bits(f"activation bits of {kind}", act_bits)

    def of(self, node: Node) -> Precision:
        """The bits of one product."""
        if node.id in self.kinds:
            return self.kinds[node.id]
        attrs = attributes(node)
        return self._chosen(kind_of(node), (attrs["weight_bits"], attrs.get("act_bits")))

    def on(self, genotype: Genotype) -> Genotype:
        """The genotype with the bits of its operators as genes; without where genes cannot say them, since some
        operator of a block stays float."""
        return replace(genotype, blocks=tuple(map(self._on_block, genotype.blocks)))

    def _on_block(self, block: Block) -> Block:
        chosen = [self._chosen(operator, own) for operator, own in block.precisions.items()]
        weights, activations = (tuple(bits for bits in side if bits is not None) for side in zip(*chosen, strict=True))
        count = len(block.operators)
        return replace(
            block,
            operator_bits=weights if len(weights) == count else (),
            activation_bits=activations if len(activations) == count else (),
        )

    def _chosen(self, kind: str, own: Precision) -> Precision:
        if kind in self.kinds:
            return self.kinds[kind]
        return own if self.keep and own != (None, None) else (self.weight_bits, self.act_bits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "kinds": {kind: list(bits) for kind, bits in sorted(self.kinds.items())}}


def annotate(graph: Graph, scheme: Scheme) -> Graph:
    """The graph with the scheme's bits at its stored products, each with a scale of its own for its operands.

    An attention whose activations are quantised is taken apart into its plain nodes.

    Args:
        graph: an executable graph.
        scheme: the bits.

    Raises:
        QuantError: the scheme names a kind, or a node, that the graph does not have.
    """
    unknown = sorted(set(scheme.kinds) - kinds_in(graph) - {node.id for node in _products(graph)})
    if unknown:
        raise QuantError(
            f"graph {graph.name}: no stored product is of kind {format_value(unknown[0])}; kinds are "
            f"{', '.join(sorted(kinds_in(graph)))}"
        )
    apart = any(OPS[node.op].expand and scheme.of(node)[1] for node in _products(graph))
    return _rewritten(Expand().apply(graph) if apart else graph, scheme)


def stripped(graph: Graph) -> Graph:
    """The same graph in floats."""
    return FuseAttention().apply(_rewritten(graph, Scheme(None, None, keep=False)))


def kind_of(node: Node) -> str:
    """What a scheme calls a product: the operator or merger of a choice block, else the first part of the node's id,
    such as `final`, or `top` for the layers `top.0`, `top.1` of a perceptron."""
    if (match := _BLOCK_NODE.fullmatch(node.id)) and match[1] in KINDS:
        return KINDS[match[1]]
    return node.id.split(".")[0]


def kinds_in(graph: Graph) -> set[str]:
    """The kinds of a graph's stored products."""
    return {kind_of(node) for node in _products(graph)}


def _products(graph: Graph) -> list[Node]:
    return [node for node in graph if node.op != "input" and "weight_bits" in OPS[node.op].known]


def _rewritten(graph: Graph, scheme: Scheme) -> Graph:
    b = GraphBuilder(graph.name)
    for node in graph:
        if node.op == "input" or "weight_bits" not in OPS[node.op].known:
            b.copy(node, node.inputs)
            continue
        weight_bits, act_bits = scheme.of(node)
        precision = ("weight_bits", "act_bits", "per_tensor")
        attrs: dict[str, Any] = {key: value for key, value in node.attrs if key not in precision}
        params = {role: ref for role, ref in node.params if role != "act_scale"}
        if "act_bits" in OPS[node.op].known:
            attrs["act_bits"] = act_bits
            if act_bits is not None:
                params["act_scale"] = ParamRef(f"{node.id}.act_scale", (1,))
        attrs |= {"weight_bits": weight_bits, "per_tensor": scheme.per_tensor and weight_bits is not None}
        b.add(node.op, node.inputs, id=node.id, params=params, **attrs)
    return b.finish(graph.output)


def _require_bits(what: str, bits: Any) -> None:
    number = integer(bits)
    if bits is not None and (number is None or not MIN_BITS <= number <= MAX_BITS):
        raise QuantError(
            f"{what} must be an integer from {MIN_BITS} to {MAX_BITS}, or None for float, not {format_value(bits)}"
        )
