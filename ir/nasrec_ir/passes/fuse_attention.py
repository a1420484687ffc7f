"""Folds the attention operator behind its field projection into one node, for a kernel that keeps a sample in cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasrec_ir.build import GraphBuilder
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.ops.training import is_stochastic
from nasrec_ir.types import ParamRef

__all__ = ["FuseAttention"]


@dataclass(frozen=True)
class FuseAttention:
    """channel_linear -> self_attention -> channel_linear -> + -> layer_norm (axis 2) -> channel_linear with relu ->
    channel_linear -> + -> layer_norm (axis 2), each read by the next and by its residual alone, becomes one
    field_attention under the self_attention's id.

    Where the operand is padded with zero fields that a slice behind the first norm cuts off again, as masks leave it,
    pad and slice become the `padded` of the node. Parts that differ in eps or in the precision of their weights, parts
    with quantised activations, which a kernel that keeps them to itself could not round, and an attention with
    dropout stay apart.
    """

    name: ClassVar[str] = "fuse-attention"

    def apply(self, graph: Graph) -> Graph:
        chains = [
            chain
            for node in graph
            if node.op == "self_attention" and not is_stochastic(node) and (chain := _chain(graph, node))
        ]
        if not chains:
            return graph
        last = {chain.parts[-1].id: chain for chain in chains}
        absorbed = {part.id for chain in chains for part in chain.parts}
        b = GraphBuilder(graph.name)
        renamed: dict[str, str] = {}
        for node in graph:
            if node.id in last:
                chain = last[node.id]
                operand = renamed[chain.operand]
                renamed[node.id] = b.add("field_attention", [operand], id=chain.id, params=chain.params, **chain.attrs)
            elif node.id not in absorbed:
                renamed[node.id] = b.copy(node, [renamed[operand] for operand in node.inputs])
        return b.finish_live(renamed[graph.output])  # a pad may be left that nobody reads


@dataclass(frozen=True)
class _Chain:
    """The nodes of one operator, in order, and the node that they become."""

    id: str
    parts: tuple[Node, ...]
    operand: str
    attrs: Mapping[str, Any]
    params: Mapping[str, ParamRef]


def _chain(graph: Graph, mix: Node) -> _Chain | None:
    """The operator around a self-attention, if the graph holds just that there."""
    qkv = graph[mix.inputs[0]]
    seen = qkv.inputs[0] if qkv.inputs and _only_user(graph, qkv) == mix else None
    out = _only_user(graph, mix)
    norm1 = _residual(graph, seen, out)
    if seen is None or norm1 is None:
        return None
    follows = _only_user(graph, norm1)
    cut = follows if follows is not None and follows.op == "slice" else None
    h = cut or norm1
    fc1 = next((graph[user] for user in graph.users[h.id] if graph[user].op == "channel_linear"), None)
    fc2 = _only_user(graph, fc1)
    norm2 = _residual(graph, h.id, fc2)
    if norm2 is None or fc1 is None or set(graph.users[h.id]) != {fc1.id, norm2.inputs[0]} or h.id == graph.output:
        return None
    operand = _uncut(graph, seen, cut)
    linears = {"qkv": qkv, "out": out, "fc1": fc1, "fc2": fc2}
    steps = {"qkv": qkv, "out": out, "norm1": norm1, "fc1": fc1, "fc2": fc2, "norm2": norm2}
    attrs = _common(graph, linears, (norm1, norm2), graph[seen].type.shape[1])
    if operand is None or attrs is None:
        return None
    padded = graph[seen].type.shape[0] - graph[operand].type.shape[0]
    adds = (graph[norm1.inputs[0]], graph[norm2.inputs[0]])
    parts = (qkv, mix, out, adds[0], norm1, *([cut] if cut else []), fc1, fc2, adds[1], norm2)
    return _Chain(
        mix.id,
        tuple(part for part in parts if part is not None),
        operand,
        attrs | {"heads": attributes(mix)["heads"], "padded": padded},
        {f"{name}_{role}": ref for name, node in steps.items() if node is not None for role, ref in node.params},
    )


def _only_user(graph: Graph, node: Node | None) -> Node | None:
    if node is None or node.id == graph.output or len(graph.users[node.id]) != 1:
        return None
    return graph[graph.users[node.id][0]]


def _residual(graph: Graph, x: str | None, branch: Node | None) -> Node | None:
    """The layer norm over the channels of x + branch, if that is all that becomes of the branch."""
    added = _only_user(graph, branch)
    if branch is None or added is None or added.op != "add" or sorted(added.inputs) != sorted((str(x), branch.id)):
        return None
    norm = _only_user(graph, added)
    return norm if norm is not None and norm.op == "layer_norm" and attributes(norm)["axis"] == 2 else None


def _uncut(graph: Graph, seen: str, cut: Node | None) -> str | None:
    """What the operator reads, before the zero fields that `cut` takes away; None if it takes away anything else."""
    if cut is None:
        return seen
    pad = graph[seen]
    if pad.op != "pad" or attributes(pad)["before"] or attributes(cut)["start"]:
        return None
    return pad.inputs[0] if graph[pad.inputs[0]].type.shape == cut.type.shape else None


def _common(
    graph: Graph, linears: Mapping[str, Node | None], norms: tuple[Node, Node], channels: int
) -> dict[str, Any] | None:
    """Precision and eps that all parts share; None where they differ, or where a linear is not the operator's."""
    shared = set()
    for name, node in linears.items():
        if node is None or node.op != "channel_linear" or node.param("bias") is None:
            return None
        attrs = attributes(node)
        if attrs["out"] != (3 * channels if name == "qkv" else channels):
            return None
        if attrs["activation"] != ("relu" if name == "fc1" else "none"):
            return None
        if attrs["act_bits"]:
            return None
        shared.add((attrs["weight_bits"], attrs["per_tensor"]))
    eps = {attributes(norm)["eps"] for norm in norms}
    if len(shared) != 1 or len(eps) != 1:
        return None
    ((weight_bits, per_tensor),) = shared
    return {"weight_bits": weight_bits, "per_tensor": per_tensor, "eps": eps.pop()}
