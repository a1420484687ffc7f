"""Folds what follows a stored product (norm, cut, activation) into the product's node, for kernels to do in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasrec_ir.build import GraphBuilder
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes

__all__ = ["Fuse"]


@dataclass(frozen=True)
class Fuse:
    """linear | field_linear -> layer_norm (axis 1) -> slice from 0 -> relu | sigmoid, each step optional and read by
    the next alone, becomes one node under the product's id. channel_linear takes an activation.

    A slice may stand before or behind the activation: cutting commutes with element-wise work.
    """

    name: ClassVar[str] = "fuse"

    def apply(self, graph: Graph) -> Graph:
        b = GraphBuilder(graph.name)
        renamed: dict[str, str] = {}
        absorbed: set[str] = set()
        for node in graph:
            if node.id in absorbed:
                continue
            operands = [renamed[operand] for operand in node.inputs]
            chain = _epilogue(graph, node) if node.op in PRODUCTS else []
            if chain:
                renamed[node.id] = _fused(b, node, operands, chain)
                absorbed.update(step.id for step in chain)
                renamed.update((step.id, renamed[node.id]) for step in chain)
            else:
                renamed[node.id] = b.copy(node, operands)
        return b.finish(renamed[graph.output]) if absorbed else graph


PRODUCTS = ("linear", "field_linear", "channel_linear")


def _epilogue(graph: Graph, product: Node) -> list[Node]:
    """The steps behind a product that its node can take in, in order."""
    attrs = attributes(product)
    state = {
        "norm": attrs.get("norm", True),  # channel_linear takes neither norm nor cut
        "keep": product.op == "channel_linear" or attrs["keep"] is not None,
        "activation": attrs["activation"] != "none",
    }
    chain: list[Node] = []
    here = product
    while (following := _only_user(graph, here)) is not None:
        step = _step(following, state)
        if step is None:
            break
        state[step] = True
        chain.append(following)
        here = following
    return chain


def _only_user(graph: Graph, node: Node) -> Node | None:
    users = graph.users[node.id]
    return graph[users[0]] if len(users) == 1 and node.id != graph.output else None


def _step(node: Node, done: Mapping[str, bool]) -> str | None:
    attrs = attributes(node)
    if node.op == "layer_norm" and attrs["axis"] == 1:
        return "norm" if not (done["norm"] or done["keep"] or done["activation"]) else None
    if node.op == "slice" and attrs["start"] == 0:
        return "keep" if done["norm"] and not done["keep"] else None
    if node.op in ("relu", "sigmoid"):
        return "activation" if not done["activation"] else None
    return None


def _fused(b: GraphBuilder, product: Node, operands: list[str], chain: list[Node]) -> str:
    attrs: dict[str, Any] = dict(product.attrs)
    params = dict(product.params)
    for step in chain:
        if step.op == "layer_norm":
            attrs |= {"norm": True, "eps": attributes(step)["eps"]}
            params |= {f"norm_{role}": ref for role, ref in step.params}
        elif step.op == "slice":
            attrs["keep"] = attributes(step)["stop"]
        else:
            attrs["activation"] = step.op
    return b.add(product.op, operands, id=product.id, params=params, **attrs)
