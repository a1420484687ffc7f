"""Building graphs: each added node gets its type from the op table at once, so mistakes surface where they are made."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nasrec_ir.errors import VerifyError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import OPS, Op, RuleError
from nasrec_ir.ops.table import ParamRule
from nasrec_ir.types import ParamRef, TensorType

__all__ = ["GraphBuilder"]


class GraphBuilder:
    """Collects nodes in topological order.

    Example:
        >>> b = GraphBuilder("tiny")
        >>> x = b.input("dense", TensorType((13,)))
        >>> h = b.add("linear", [x], id="logit", out=1)
        >>> graph = b.finish(b.add("reshape", [h], shape=()))
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: dict[str, Node] = {}
        self._numbered: dict[str, str] = {}

    def __getitem__(self, node_id: str) -> Node:
        return self._nodes[node_id]

    def type(self, node_id: str) -> TensorType:
        """Type of a node's result."""
        return self._nodes[node_id].type

    def input(self, name: str, type: TensorType) -> str:
        """Adds an argument of the graph; returns its id."""
        return self._put(Node(self._fresh(name), "input", (), (), (), type))

    def add(
        self,
        op: str,
        inputs: Sequence[str] = (),
        *,
        id: str | None = None,
        params: Mapping[str, ParamRef] | None = None,
        biased: bool = False,
        rows: Sequence[int] = (),
        **attrs: Any,
    ) -> str:
        """Adds a node and returns its id.

        Args:
            op: a row of the op table.
            inputs: ids of the operands.
            id: name of the result; made unique by a number where it is taken. Default: the op's name.
            params: parameters by role. Default: a parameter of its own named `id.role` for every role required.
            biased: with default parameters, whether an optional bias is there.
            rows: with default parameters of an embedding, the rows of each table.
            attrs: attributes; None and defaults are left out.

        Raises:
            VerifyError: the operands or attributes break the op's rules.
        """
        name = self._fresh(id or op)
        given = {key: value for key, value in attrs.items() if value is not None}
        try:
            row, types = self._operands(op, inputs)
            full = _complete(row, given)
            type, rule = row.infer(types, full), row.params(types, full)
            params = _own_params(name, rule, biased, rows) if params is None else _ordered(params, rule)
        except RuleError as error:
            raise VerifyError(f"%{name} = {op}: {error}") from None
        stored = tuple((a.name, given[a.name]) for a in row.attrs if a.name in given and given[a.name] != a.default)
        return self._put(Node(name, op, tuple(inputs), stored, tuple(params.items()), type))

    def _operands(self, op: str, inputs: Sequence[str]) -> tuple[Op, list[TensorType]]:
        if op not in OPS:
            raise RuleError(f"no such op; there are {', '.join(sorted(OPS))}")
        if unknown := [operand for operand in inputs if operand not in self._nodes]:
            raise RuleError(f"operand %{unknown[0]} does not exist")
        OPS[op].check_arity(len(inputs))
        return OPS[op], [self._nodes[operand].type for operand in inputs]

    def copy(self, node: Node, inputs: Iterable[str]) -> str:
        """Adds a node of another graph, reading `inputs` here; returns its id.

        The operands must have the types that the node's own had: nothing is inferred or checked again, which passes
        that copy most of a graph would spend their time on.
        """
        operands = tuple(inputs)
        if operands == node.inputs and node.id not in self._nodes:
            return self._put(node)
        return self._put(Node(self._fresh(node.id), node.op, operands, node.attrs, node.params, node.type))

    def finish(self, output: str) -> Graph:
        """The graph whose result is `output`."""
        return Graph(self.name, self._nodes.values(), output)

    def finish_live(self, output: str) -> Graph:
        """The same without what the output does not need.

        Names that were made unique are numbered anew, so that they do not depend on what is gone.
        """
        live = Graph(self.name, self._nodes.values(), output).live_ids()
        kept = [node for node in self._nodes.values() if node.id in live or node.op == "input"]
        taken = {node.id for node in kept if node.id not in self._numbered}
        renamed: dict[str, str] = {}
        for node in kept:
            if node.id in self._numbered:
                name = _unused(self._numbered[node.id], taken)
                taken.add(name)
                if name != node.id:
                    renamed[node.id] = name
        if not renamed:
            return Graph(self.name, kept, output)
        nodes = [
            replace(node, id=renamed.get(node.id, node.id), inputs=tuple(renamed.get(i, i) for i in node.inputs))
            if node.id in renamed or not renamed.keys().isdisjoint(node.inputs)
            else node
            for node in kept
        ]
        return Graph(self.name, nodes, renamed.get(output, output))

    def _put(self, node: Node) -> str:
        self._nodes[node.id] = node
        return node.id

    def _fresh(self, name: str) -> str:
        unused = _unused(name, self._nodes)
        if unused != name:
            self._numbered[unused] = name
        return unused


def _unused(name: str, taken: Container[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _complete(row: Op, given: Mapping[str, Any]) -> dict[str, Any]:
    """All attributes of a node, checked."""
    for key, value in given.items():
        if key not in row.known:
            raise RuleError(f"unknown attribute {key!r:.60}")
        if problem := row.known[key].problem(value):
            raise RuleError(problem)
    if missing := row.required.difference(given):
        raise RuleError(f"attribute {min(missing)} is missing")
    return {**row.defaults, **given}


def _ordered(params: Mapping[str, ParamRef], rule: ParamRule) -> dict[str, ParamRef]:
    """In the op table's order; roles that it does not have last, for the verifier to name."""
    known = {role: params[role] for role in rule if role in params}
    return known | {role: ref for role, ref in params.items() if role not in rule}


def _own_params(name: str, rule: ParamRule, biased: bool, rows: Sequence[int]) -> dict[str, ParamRef]:
    out: dict[str, ParamRef] = {}
    sized = [role for role, (shape, _) in rule.items() if None in shape]
    if len(rows) != len(sized):
        raise RuleError(f"rows has {len(rows)} entries for {len(sized)} tables")
    for index, (role, (shape, required)) in enumerate(rule.items()):
        if required or (biased and role == "bias"):
            sizes = tuple(rows[index] if size is None else size for size in shape)
            out[role] = ParamRef(f"{name}.{role}", sizes)
    return out
