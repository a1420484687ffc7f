"""The first check of the verifier: that a graph's fields hold what their annotations say.

A frozen dataclass does not stop a caller from putting a list, None or a huge integer where a size belongs. All later
rules, and every reader of a verified graph, may rely on plain strings and integers of bounded size.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from nasrec_ir.graph import Graph, Node
from nasrec_ir.types import ParamRef, TensorType

__all__ = ["malformed"]

LARGEST = 2**63
"""Bound of every integer. Python cannot print integers of thousands of digits, so no message may meet one."""


def malformed(graph: Any, known: Container[int] = ()) -> Iterator[tuple[str, str]]:
    """What is of the wrong Python type, as (node id or "", message).

    Args:
        graph: anything.
        known: `id` of living nodes that were checked before.
    """
    if not isinstance(graph, Graph):
        yield ("", f"a graph is needed, not {_kind(graph)}")
        return
    for what, value in (("graph name", graph.name), ("output", graph.output)):
        if type(value) is not str:
            yield ("", f"{what} must be a string, not {_kind(value)}")
    for position, node in enumerate(graph.nodes):
        if id(node) in known:
            continue
        if type(node) is not Node:
            yield ("", f"node {position} is no Node but {_kind(node)}")
        elif type(node.id) is not str:
            yield ("", f"the id of node {position} must be a string, not {_kind(node.id)}")
        else:
            yield from ((node.id, text) for text in _node_problems(node))


def _node_problems(node: Node) -> Iterator[str]:
    if type(node.op) is not str:
        yield f"op must be a string, not {_kind(node.op)}"
    if type(node.inputs) is not tuple or any(type(operand) is not str for operand in node.inputs):
        yield "inputs must be a tuple of ids"
    if type(node.attrs) is not tuple or not all(map(_is_attribute, node.attrs)):
        yield "attrs must be a tuple of (name, number, word or tuple of sizes)"
    if type(node.params) is not tuple or not all(map(_is_parameter, node.params)):
        yield "params must be a tuple of (role, ParamRef), each of strings, sizes and ranges"
    if not _is_type(node.type):
        yield "type must be a TensorType of a tuple of sizes, an element kind and a range"


def _is_attribute(pair: Any) -> bool:
    if not (type(pair) is tuple and len(pair) == 2 and type(pair[0]) is str):
        return False
    value = pair[1]
    return type(value) in (bool, float, str) or _are_integers(value if type(value) is tuple else (value,))


def _is_parameter(pair: Any) -> bool:
    if not (type(pair) is tuple and len(pair) == 2 and type(pair[0]) is str and type(pair[1]) is ParamRef):
        return False
    ref = pair[1]
    return type(ref.name) is str and _are_integers(ref.shape) and _are_ranges(ref.rows) and _are_ranges(ref.columns)


def _is_type(value: Any) -> bool:
    return (
        type(value) is TensorType
        and _are_integers(value.shape)
        and type(value.dtype) is str
        and _are_ranges((value.live,))
    )


def _are_ranges(values: Any) -> bool:
    if type(values) is not tuple:
        return False
    for pair in values:  # noqa: SIM110  (see _are_integers)
        if type(pair) is not tuple or len(pair) != 2 or not _are_integers(pair):
            return False
    return True


def _are_integers(values: Any) -> bool:
    """A tuple of plain integers of bounded size."""
    if type(values) is not tuple:
        return False
    for value in values:  # noqa: SIM110  (a plain loop: this runs for every parameter of every node)
        if type(value) is not int or not -LARGEST <= value < LARGEST:
            return False
    return True


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
