"""What each node of a graph asks of the hardware: a stored matrix, digital work, look-ups, or nothing but wires."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from nasrec_ir import OPS, Graph, Node, TensorType
from nasrec_ir.ops import Home
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.cost_cache import Key
from nasrec_pim.mapping.work import NO_WORK, Work, digital_work, epilogue_work, matrix_work
from nasrec_pim.memory import Popularity, Tables

__all__ = ["Demand", "demands_of"]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a node asks for, per sample.

    Attributes:
        id, op: the node.
        home: where it runs.
        matrix: the matrix to be stored, one copy; None elsewhere.
        vectors: vectors driven through it.
        work: work of the digital unit: the whole node, or what follows a stored product.
        tables: embedding tables.
        bits: size of the result at the hardware's precision of activations.
        sources: nodes that it waits for, wires followed back to what they come from.
        depth: longest way from an input.
    """

    id: str
    op: str
    home: Home
    matrix: Key | None
    vectors: int
    work: Work
    tables: Tables | None
    bits: int
    sources: tuple[str, ...]
    depth: int


class Needs(NamedTuple):
    """The part of a demand that follows from the op, its attributes and the shapes around it."""

    home: Home
    matrix: Key | None
    vectors: int
    work: Work
    bits: int


def demands_of(
    graph: Graph, hardware: Hardware, popularity: Mapping[str, tuple[Popularity, ...]] | None = None
) -> list[Demand]:
    """Demands of all nodes but the inputs, in an order that depends on the graph alone: by depth, then by id.

    Raises:
        MappingError: an op has no cost.
    """
    known: dict[Hashable, Needs] = hardware.memo.setdefault("needs", {})
    types: dict[str, TensorType] = {}
    sources: dict[str, tuple[str, ...]] = {}
    depths: dict[str, int] = {}
    out = []
    for node in graph:
        node_id, operands = node.id, node.inputs
        types[node_id] = node.type
        if node.op == "input":
            sources[node_id], depths[node_id] = (), 0
            continue
        depths[node_id] = depth = 1 + max([depths[i] for i in operands], default=-1)
        question = (node.op, node.attrs, tuple([types[i].shape for i in operands]), node.type.shape, len(node.params))
        needs = known.get(question)
        if needs is None:
            needs = known[question] = _needs(node, [types[i] for i in operands], hardware)
        reached = tuple(dict.fromkeys([s for i in operands for s in sources[i]]))
        sources[node_id] = reached if needs.home == "wire" else (node_id,)
        tables = _tables(node, popularity) if needs.home == "memory" else None
        home, matrix, vectors, work, bits = needs
        out.append(Demand(node_id, node.op, home, matrix, vectors, work, tables, bits, reached, depth))
    out.sort(key=attrgetter("depth", "id"))
    return out


def _needs(node: Node, operands: list[TensorType], hardware: Hardware) -> Needs:
    op, policy = OPS[node.op], hardware.mapping
    attrs: dict[str, Any] = {**op.defaults, **dict(node.attrs)}
    bits = node.type.elements * policy.act_bits
    if op.matvec is None:
        work = digital_work(node.op, operands, node.type, attrs) if op.home == "digital" else NO_WORK
        return Needs(op.home, None, 0, work, bits)
    inputs, outputs, vectors = op.matvec(operands, attrs)
    if inputs * outputs * vectors == 0:
        return Needs("wire", None, 0, NO_WORK, bits)
    groups = vectors if len(node.type.shape) == 2 else 1  # one norm a channel over fields, one over dense units
    after = epilogue_work(outputs * vectors, groups, attrs, node.param("bias") is not None)
    if policy.matrix_home == "digital":
        product = matrix_work(inputs, outputs, vectors)
        return Needs("digital", None, 0, Work(*(a + b for a, b in zip(product, after, strict=True))), bits)
    key = Key(inputs, outputs, attrs["weight_bits"] or policy.weight_bits, attrs["act_bits"] or policy.act_bits, 1)
    return Needs("crossbar", key, vectors, after, bits)


def _tables(node: Node, popularity: Mapping[str, tuple[Popularity, ...]] | None) -> Tables:
    rows = tuple([ref.view_shape[0] for _, ref in node.params])
    return Tables(rows, node.type.shape[1], (popularity or {}).get(node.id))
