"""Nodes and graphs: immutable, in topological order, with a networkx graph behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from nasrec_ir.errors import VerifyError
from nasrec_ir.types import ParamRef, TensorType

__all__ = ["AttrValue", "Graph", "Node"]

AttrValue = int | float | bool | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: what it reads, its attributes and parameters, and the type of its one result.

    Attributes:
        id: name of the result, unique in its graph; dots part scopes (`b1.fc.norm` belongs to block `b1`).
        op: a row of the op table (`nasrec_ir.ops.OPS`), or `"input"`.
        inputs: ids of the operands, in order.
        attrs: attributes that differ from their defaults, in the op table's order.
        params: parameters by role (`weight`, `bias`, ...), in the op table's order.
        type: type of the result.
    """

    id: str
    op: str
    inputs: tuple[str, ...]
    attrs: tuple[tuple[str, AttrValue], ...]
    params: tuple[tuple[str, ParamRef], ...]
    type: TensorType

    @property
    def scope(self) -> str:
        """First part of the id: the block that the node belongs to."""
        return self.id.split(".", 1)[0]

    def param(self, role: str) -> ParamRef | None:
        """The parameter in this role, if the node has one."""
        for name, ref in self.params:
            if name == role:
                return ref
        return None


class Graph:
    """An immutable directed acyclic graph of nodes with one output.

    Nodes stand in topological order, inputs first; `verify` checks that and everything else. Two graphs are equal
    when name, nodes (in order) and output are equal.

    Raises:
        VerifyError: two nodes share an id, or something that is no node stands among them.
    """

    name: str
    nodes: tuple[Node, ...]
    output: str
    verified: frozenset[str]
    _by_id: Mapping[str, Node]

    def __init__(self, name: str, nodes: Iterable[Node], output: str) -> None:
        try:
            given = tuple(nodes)
            by_id = {node.id: node for node in given}
        except (AttributeError, TypeError):
            raise VerifyError("a graph's nodes must be Node objects, each with a string for an id") from None
        if len(by_id) != len(given):
            seen: set[str] = set()
            twice = next(node.id for node in given if node.id in seen or seen.add(node.id))  # type: ignore[func-returns-value]
            shown = repr(twice) if type(twice) is str else f"a value of type {type(twice).__name__}"
            raise VerifyError(f"two nodes are called {shown:.60}; give each an id of its own")
        self.__dict__.update(name=name, nodes=given, output=output, verified=frozenset(), _by_id=by_id)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"graphs are immutable; build another instead of setting {name}")

    def remember_verified(self, level: str) -> None:
        """For the verifier: nothing was found at this level, and as nothing can change, it need not look again."""
        self.__dict__["verified"] = self.verified | {level}

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"graphs are immutable; {name} cannot be deleted")

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: object) -> Graph:
        return self

    def __getitem__(self, node_id: str) -> Node:
        return self._by_id[node_id]

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._by_id

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return (self.name, self.output, self.nodes) == (other.name, other.output, other.nodes)

    def __hash__(self) -> int:
        return hash((self.name, self.output, self.nodes))

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The graph's arguments, in the order of the call."""
        return tuple(node for node in self.nodes if node.op == "input")

    @property
    def type(self) -> TensorType:
        """Type of the output."""
        return self[self.output].type

    @cached_property
    def digraph(self) -> nx.DiGraph[str]:
        """The networkx view: an edge from each operand to its user; each networkx node carries its `Node` as `node`."""
        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        graph.add_nodes_from((node.id, {"node": node}) for node in self.nodes)
        graph.add_edges_from((operand, node.id) for node in self.nodes for operand in node.inputs)
        return graph

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of the nodes that read each node, once per user, in topological order."""
        found: dict[str, dict[str, None]] = {node.id: {} for node in self.nodes}
        for node in self.nodes:
            for operand in node.inputs:
                found.setdefault(operand, {})[node.id] = None
        return {node_id: tuple(users) for node_id, users in found.items()}

    def live_ids(self) -> frozenset[str]:
        """Ids of the nodes that the output depends on."""
        live, queue = {self.output}, [self.output]
        while queue:
            for operand in self[queue.pop()].inputs:
                if operand not in live:
                    live.add(operand)
                    queue.append(operand)
        return frozenset(live)

    def parameters(self) -> dict[str, ParamRef]:
        """Every parameter slice by its key `node id.role`, in order of use."""
        return {f"{node.id}.{role}": ref for node in self.nodes for role, ref in node.params}
