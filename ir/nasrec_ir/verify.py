"""The verifier: a list of rules, each of which reports what it finds; all of it is raised at once."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Literal

from nasrec_ir.errors import VerifyError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.malformed import malformed
from nasrec_ir.ops import OPS, Op, RuleError, attributes
from nasrec_ir.ops.table import ParamRule
from nasrec_ir.types import DTYPES, MAX_DIMENSION, ParamRef, Segments, TensorType

__all__ = ["Level", "problems", "verify"]

Level = Literal["lowered", "executable"]
LEVELS = ("lowered", "executable")
Problem = tuple[str, str]
Rule = Callable[[Graph], Iterator[Problem]]

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)
MAX_NAME = 200
SHOWN = 12
SHOWN_TEXT = 80
MOST_PROBLEMS = 1000


def verify(graph: Graph, level: Level = "lowered", *, before: Graph | None = None) -> None:
    """Checks every rule of the IR.

    Args:
        graph: the graph.
        level: `"lowered"`: well-formed: names, order, operands, attributes, types and parameters are right.
            `"executable"`: also what the machine should never see is gone: dead nodes, masks, and products with
            operands known to be zero; and the output is a logit per sample.
        before: a graph that this one was made from. If it verified, the nodes that both hold and that read operands
            of the same types are not checked on their own again.

    Raises:
        VerifyError: lists every broken rule with its node, and carries them as `problems`.
    """
    found = problems(graph, level, before=before)
    if not found:
        return
    lines = [f"%{_shown(where, 60)}: {_shown(what)}" if where else _shown(what) for where, what in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    name = graph.name if isinstance(graph, Graph) and isinstance(graph.name, str) else "?"
    raise VerifyError(f"graph {_shown(name, 60)}: " + "; ".join(lines), tuple(found))


def _shown(text: str, most: int = 300) -> str:
    """On one line of bounded length, whatever a graph's fields hold."""
    plain = text if text.isprintable() else repr(text)[1:-1]
    return plain if len(plain) <= most else f"{plain[:most]}..."


def problems(graph: Graph, level: Level = "lowered", *, before: Graph | None = None) -> list[Problem]:
    """Every broken rule as (node id, message), up to a thousand; the list is empty when the graph verifies."""
    if level not in LEVELS:
        raise VerifyError(f"level must be one of {', '.join(LEVELS)}, not {level!r:.40}")
    given: object = graph
    if not isinstance(given, Graph):
        return list(malformed(given))
    known = _Known(before)
    alone: tuple[Rule, ...] = (lambda g: malformed(g, known.nodes),)
    meaning: tuple[Rule, ...] = (lambda g: rule_nodes(g, known), rule_stores)
    for reached, groups in (("lowered", (alone, STRUCTURE, meaning)), ("executable", (EXECUTABLE,))):
        if reached not in graph.verified:
            for rules in groups:  # each group relies on those before it
                found = list(islice((problem for rule in rules for problem in rule(graph)), MOST_PROBLEMS))
                if found:
                    return found
            graph.remember_verified(reached)
        if reached == level:
            break
    return []


def rule_names(graph: Graph) -> Iterator[Problem]:
    for what, name in (("graph name", graph.name), *(("id", node.id) for node in graph)):
        if len(name) > MAX_NAME or not IDENTIFIER.fullmatch(name):
            yield ("", f"{what} {name!r:.60} is not an identifier (letters, digits, _ and dots)")
    for node in graph.inputs:
        if "." in node.id or keyword.iskeyword(node.id):
            yield (node.id, "an argument's name must be a plain identifier")


def rule_known_ops(graph: Graph) -> Iterator[Problem]:
    for node in graph:
        if node.op != "input" and node.op not in OPS:
            yield (node.id, f"unknown op {node.op!r:.60}")


def rule_order(graph: Graph) -> Iterator[Problem]:
    """Every operand stands before its user, which also rules out cycles."""
    seen: set[str] = set()
    for node in graph:
        for operand in node.inputs:
            if operand not in graph:
                yield (node.id, f"operand %{operand} does not exist")
            elif operand not in seen:
                yield (
                    node.id,
                    f"operand %{operand} is not defined before its use (a cycle, or nodes out of order)",
                )
        seen.add(node.id)


def rule_output(graph: Graph) -> Iterator[Problem]:
    if graph.output not in graph:
        yield ("", f"output %{graph.output} does not exist")


def rule_inputs(graph: Graph) -> Iterator[Problem]:
    """Arguments are plain, and stand first: that is where the text form writes them."""
    if not graph.inputs:
        yield ("", "a graph needs an argument, as its batch size is read from there")
    for node in graph.nodes[len(graph.inputs) :]:
        if node.op == "input":
            yield (node.id, "an argument must stand before all other nodes")
    for node in graph.inputs:
        if node.inputs or node.attrs or node.params:
            yield (node.id, "an argument has no operands, attributes or parameters")
        yield from ((node.id, text) for text in _type_problems(node.type))
        if not node.type.full:
            yield (node.id, "nothing of an argument is known to be zero")


class _Known:
    """Nodes that were checked as part of an earlier graph."""

    def __init__(self, before: Graph | None = None) -> None:
        self._before = before if before is not None and "lowered" in before.verified else None
        self.nodes = frozenset(map(id, self._before)) if self._before else frozenset[int]()

    def fits(self, node: Node, graph: Graph) -> bool:
        """Whether the node's own rules hold in this graph because they did in the earlier one."""
        earlier = self._before
        return (
            earlier is not None
            and id(node) in self.nodes
            and all(graph[operand].type == earlier[operand].type for operand in node.inputs)
        )


def rule_nodes(graph: Graph, known: _Known) -> Iterator[Problem]:
    """Arity, attributes, the type rule and the parameter rule of each node's row."""
    for node in graph:
        if node.op == "input" or known.fits(node, graph):
            continue
        try:
            yield from ((node.id, text) for text in _node_problems(graph, node))
        except RuleError as error:
            yield (node.id, f"{node.op}: {error}")


def _node_problems(graph: Graph, node: Node) -> Iterator[str]:
    op = OPS[node.op]
    op.check_arity(len(node.inputs))
    _check_attributes(op, node)
    attrs = attributes(node)
    types = [graph[operand].type for operand in node.inputs]
    inferred = op.infer(types, attrs)
    yield from _type_problems(inferred)
    if inferred != node.type:
        yield f"type is {node.type} but {node.op} gives {inferred}"
    yield from _param_problems(node, op.params(types, attrs))


def _check_attributes(op: Op, node: Node) -> None:
    written = [key for key, _ in node.attrs]
    for key, value in node.attrs:
        if key not in op.known:
            raise RuleError(f"unknown attribute {key!r:.60}")
        if problem := op.known[key].problem(value):
            raise RuleError(problem)
        if value == op.known[key].default:
            raise RuleError(f"{key} = {value!r} is the default and must be left out")
    if len(written) > 1 and written != [name for name in op.known if name in written]:
        raise RuleError(f"attributes must be written once each, in the order {', '.join(op.known)}")
    if missing := op.required.difference(written):
        raise RuleError(f"attribute {min(missing)} is missing")


def _param_problems(node: Node, rule: ParamRule) -> Iterator[str]:
    if not rule and not node.params:
        return
    roles = dict(node.params)
    if len(roles) != len(node.params):
        raise RuleError("a parameter is given twice")
    for role, (_, required) in rule.items():
        if required and role not in roles:
            yield f"parameter {role} is missing"
    for role, ref in node.params:
        if role not in rule:
            yield f"{node.op} has no parameter {role!r:.60}"
            continue
        broken = [f"{role}: {text}" for text in _ref_problems(ref)]
        yield from broken
        shape = rule[role][0]
        if not broken and not _fits(ref.view_shape, shape):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            yield f"{role} selects {list(ref.view_shape)} of {ref.name!r:.60}, not [{wanted}]"
    known = [role for role in roles if role in rule]
    if len(known) > 1 and known != [role for role in rule if role in roles]:
        yield f"parameters must stand in the order of the op table, not {', '.join(known[:SHOWN])}"


def _fits(view: Sequence[int], shape: Sequence[int | None]) -> bool:
    return len(view) == len(shape) and all(want in (None, got) for want, got in zip(shape, view, strict=True))


def _type_problems(type: TensorType) -> Iterator[str]:
    if type.dtype not in DTYPES:
        yield f"unknown element kind {type.dtype!r:.20}"
    if len(type.shape) > 2 or any(not 0 <= size <= MAX_DIMENSION for size in type.shape):
        yield f"{str(type)[:SHOWN_TEXT]} has an axis outside of 0..{MAX_DIMENSION}, or more than two"
    elif type.elements > MAX_DIMENSION:
        yield f"{type} holds more than {MAX_DIMENSION} entries per sample"
    elif type.shape and not 0 <= type.live[0] <= type.live[1] <= type.shape[0]:
        yield f"live range {type.live[0]}:{type.live[1]} lies outside of {type}"


def _ref_problems(ref: ParamRef) -> Iterator[str]:
    if not ref.name or len(ref.name) > MAX_NAME or not ref.name.isprintable():
        yield f"name {ref.name!r:.60} must be printable and at most {MAX_NAME} characters"
    if len(ref.shape) not in (1, 2) or any(not 0 <= size <= MAX_DIMENSION for size in ref.shape):
        yield f"shape {str(list(ref.shape))[:SHOWN_TEXT]} is not one or two sizes in 0..{MAX_DIMENSION}"
        return
    if len(ref.shape) == 1 and ref.columns:
        yield "a vector has no columns"
    for what, segments, size in zip(("rows", "columns"), (ref.rows, ref.columns), ref.shape, strict=False):
        if not _canonical(segments, size):
            shown = str(list(segments))[:SHOWN_TEXT]
            yield f"{what} {shown} are not ascending, disjoint, merged ranges within 0:{size}"


def _canonical(segments: Segments, size: int) -> bool:
    end = -1
    for start, stop in segments:
        if not end < start < stop <= size:
            return False
        end = stop
    return True


def rule_stores(graph: Graph) -> Iterator[Problem]:
    """One name means one parameter, whose full shape all its users agree on."""
    shapes: dict[str, tuple[int, ...]] = {}
    for node in graph:
        for _, ref in node.params:
            if shapes.setdefault(ref.name, ref.shape) != ref.shape:
                yield (
                    node.id,
                    f"{ref.name} has shape {list(ref.shape)} here, {list(shapes[ref.name])} elsewhere",
                )


def rule_no_dead(graph: Graph) -> Iterator[Problem]:
    live = graph.live_ids()
    for node in graph:
        if node.id not in live and node.op != "input":
            yield (node.id, "does not reach the output")


def rule_no_masks(graph: Graph) -> Iterator[Problem]:
    for node in graph:
        if node.op == "mask":
            yield (node.id, "a mask is left; run the elide-zeros pass")


def rule_no_zero_products(graph: Graph) -> Iterator[Problem]:
    for node in graph:
        if node.op in OPS and OPS[node.op].matvec and node.op != "channel_linear":
            for operand in node.inputs:
                if not graph[operand].type.full:
                    yield (node.id, f"multiplies zeros of %{operand}; run the elide-zeros pass")


def rule_logit(graph: Graph) -> Iterator[Problem]:
    if graph.type != TensorType(()):
        yield (graph.output, f"the output is {graph.type}, not one logit per sample, f32[B]")


STRUCTURE: tuple[Rule, ...] = (rule_names, rule_known_ops, rule_order, rule_output, rule_inputs)
EXECUTABLE: tuple[Rule, ...] = (rule_no_dead, rule_no_masks, rule_no_zero_products, rule_logit)
