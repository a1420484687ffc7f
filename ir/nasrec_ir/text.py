"""The text form of a graph: one statement a node, made to be read, diffed and parsed back to the same graph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn, TypeVar

from nasrec_ir.errors import ParseError
from nasrec_ir.graph import AttrValue, Graph, Node
from nasrec_ir.ops import OPS
from nasrec_ir.types import MAX_DIMENSION, ParamRef, Segments, TensorType
from nasrec_ir.verify import verify

__all__ = ["dump", "parse"]

LINE_WIDTH = 160

T = TypeVar("T")


def dump(graph: Graph) -> str:
    """The text form of a graph; `parse(dump(graph)) == graph`."""
    arguments = ", ".join(f"%{node.id}: {node.type}" for node in graph.inputs)
    lines = [f"graph {graph.name}({arguments}) -> {graph.type} {{"]
    lines += [line for node in graph if node.op != "input" for line in _statement(node)]
    return "\n".join([*lines, f"  return %{graph.output}", "}", ""])


def _statement(node: Node) -> list[str]:
    operands = ", ".join(f"%{operand}" for operand in node.inputs)
    head = f"  %{node.id} = {node.op}({operands})"
    if node.attrs:
        head += " {" + ", ".join(f"{key} = {_value(value)}" for key, value in node.attrs) + "}"
    if not node.params:
        return [f"{head} : {node.type}"]
    params = [f"{role} = {_ref(ref)}" for role, ref in node.params]
    line = f"{head} [{', '.join(params)}] : {node.type}"
    if len(line) <= LINE_WIDTH:
        return [line]
    return [f"{head} [", *(f"    {param}," for param in params), f"  ] : {node.type}"]


def _value(value: AttrValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(str, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value) if isinstance(value, float) else str(value)


def _ref(ref: ParamRef) -> str:
    sizes = ", ".join(map(str, ref.shape))
    if not ref.whole:
        sizes += " | " + _segments(ref.rows)
        if len(ref.shape) == 2:
            sizes += " | " + _segments(ref.columns)
    return f"{json.dumps(ref.name)}[{sizes}]"


def _segments(segments: Segments) -> str:
    return ", ".join(f"{start}:{stop}" for start, stop in segments) or "none"


def parse(text: str) -> Graph:
    """Reads the text form back and verifies it.

    Statements may stand in any layout; `#` starts a comment that ends with the line.

    Raises:
        ParseError: the text is no graph; the message names line and column.
        VerifyError: it is one, but breaks rules of the IR.
    """
    if not isinstance(text, str):
        raise ParseError(f"a graph's text must be a string, not {type(text).__name__}")
    graph = _Parser(text).graph()
    verify(graph)
    return graph


TOKEN = re.compile(
    r"""(?P<skip>[\ \t\r\n]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<id>%[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<arrow>->)
      | (?P<float>-?[0-9]+(?:\.[0-9]+(?:e[+-]?[0-9]+)?|e[+-]?[0-9]+))
      | (?P<int>-?[0-9]+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<mark>[()\[\]{},:=|])""",
    re.VERBOSE | re.ASCII,
)
MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


class _Parser:
    """Recursive descent without recursion: the grammar has no nesting."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._defined: set[str] = set()
        self._tokens = self._scan()
        self._here = next(self._tokens)

    def graph(self) -> Graph:
        self._word("graph")
        name = self._take("word").text
        self._mark("(")
        nodes: list[Node] = []
        while not self._next_is(")"):
            if nodes:
                self._mark(",")
            argument = self._new_id()
            self._mark(":")
            nodes.append(Node(argument, "input", (), (), (), self._type()))
        self._mark(")")
        self._take("arrow")
        declared = self._type()
        self._mark("{")
        while self._here.kind == "id":
            nodes.append(self._node())
        self._word("return")
        where = self._here
        output = self._id()
        self._mark("}")
        self._take("end")
        graph = Graph(name, nodes, output)
        if output in graph and graph.type != declared:
            self._fail(f"the graph declares {declared} but returns {graph.type}", where)
        return graph

    def _node(self) -> Node:
        node_id = self._new_id()
        self._mark("=")
        where = self._here
        op = self._take("word").text
        if op not in OPS:
            self._fail(f"unknown op {op!r}", where)
        self._mark("(")
        inputs: list[str] = []
        while not self._next_is(")"):
            if inputs:
                self._mark(",")
            inputs.append(self._id())
        self._mark(")")
        attrs = tuple(self._list("{", "}", self._attr)) if self._next_is("{") else ()
        params = tuple(self._list("[", "]", self._param)) if self._next_is("[") else ()
        self._mark(":")
        return Node(node_id, op, tuple(inputs), attrs, params, self._type())

    def _list(self, opening: str, closing: str, item: Callable[[], T]) -> list[T]:
        self._mark(opening)
        out: list[T] = []
        while not self._next_is(closing):
            out.append(item())
            if not self._next_is(closing):
                self._mark(",")
        self._mark(closing)
        return out

    def _attr(self) -> tuple[str, AttrValue]:
        key = self._take("word").text
        self._mark("=")
        token = self._here
        if self._next_is("("):
            return key, tuple(self._list("(", ")", self._int))
        if token.kind == "int":
            return key, self._int()
        self._advance()
        if token.kind == "float":
            return key, float(token.text)
        if token.kind == "word":
            return key, {"true": True, "false": False}.get(token.text, token.text)
        self._fail("a value must be a number, a word or sizes in parentheses", token)

    def _param(self) -> tuple[str, ParamRef]:
        role = self._take("word").text
        self._mark("=")
        where = self._here
        try:
            name = json.loads(self._take("string").text)
        except ValueError:
            self._fail("a parameter's name is not a proper string", where)
        self._mark("[")
        shape = [self._int()]
        if self._next_is(","):
            self._mark(",")
            shape.append(self._int())
        selections: list[Segments] = []
        while self._next_is("|"):
            self._mark("|")
            selections.append(self._ranges())
        self._mark("]")
        if selections and len(selections) != len(shape):
            self._fail(f"{len(selections)} selections for {len(shape)} axes", where)
        return role, ParamRef(name, tuple(shape), *selections)

    def _ranges(self) -> Segments:
        if self._here.kind == "word":
            self._word("none")
            return ()
        where, ranges = self._here, [self._range()]
        while self._next_is(","):
            self._mark(",")
            ranges.append(self._range())
        segments = tuple(ranges)
        edges = [edge for range_ in segments for edge in range_]
        if any(low >= high for low, high in pairwise(edges)):
            self._fail("ranges must ascend, neither empty nor touching", where)
        return segments

    def _range(self) -> tuple[int, int]:
        start = self._int()
        self._mark(":")
        return start, self._int()

    def _type(self) -> TensorType:
        dtype = self._take("word").text
        self._mark("[")
        self._word("B")
        shape = []
        while self._next_is(","):
            self._mark(",")
            shape.append(self._int())
        self._mark("]")
        if self._here.kind == "word" and self._here.text == "live":
            self._advance()
            where, live = self._here, self._range()
            if not shape or not 0 <= live[0] <= live[1] <= shape[0] or live == (0, shape[0]):
                self._fail("a live range must lie within the first axis and be less than all of it", where)
            return TensorType(tuple(shape), dtype, live)
        return TensorType(tuple(shape), dtype)

    def _new_id(self) -> str:
        where = self._here
        name = self._id()
        if name in self._defined:
            self._fail(f"%{name} is defined twice", where)
        self._defined.add(name)
        return name

    def _id(self) -> str:
        return self._take("id").text[1:]

    def _int(self) -> int:
        token = self._take("int")
        if len(token.text) > MAX_DIGITS or not 0 <= int(token.text) <= MAX_DIMENSION:
            self._fail(f"a size must lie in 0..{MAX_DIMENSION}", token)
        return int(token.text)

    def _word(self, word: str) -> None:
        token = self._take("word")
        if token.text != word:
            self._fail(f"expected {word!r}, found {token.text[:40]!r}", token)

    def _next_is(self, mark: str) -> bool:
        return self._here.kind == "mark" and self._here.text == mark

    def _mark(self, mark: str) -> None:
        if not self._next_is(mark):
            self._fail(f"expected {mark!r}, found {self._here.text[:40]!r}", self._here)
        self._advance()

    def _take(self, kind: str) -> _Token:
        token = self._here
        if token.kind != kind:
            wanted = {"id": "%name", "end": "the end of the text"}.get(kind, kind)
            self._fail(f"expected {wanted}, found {token.text[:40]!r}", token)
        self._advance()
        return token

    def _advance(self) -> None:
        if self._here.kind != "end":
            self._here = next(self._tokens)

    def _scan(self) -> Iterator[_Token]:
        position = 0
        while position < len(self._text):
            match = TOKEN.match(self._text, position)
            if match is None:
                self._fail(
                    f"unexpected character {self._text[position]!r}",
                    _Token("", self._text[position], position),
                )
            kind = str(match.lastgroup)
            if kind != "skip":
                yield _Token(kind, match.group(), position)
            position = match.end()
        yield _Token("end", "end of text", position)

    def _fail(self, message: str, token: _Token) -> NoReturn:
        line = self._text.count("\n", 0, token.position) + 1
        column = token.position - self._text.rfind("\n", 0, token.position)
        shown = message if len(message) <= 200 else f"{message[:200]}..."
        raise ParseError(f"line {line}, column {column}: {shown}")
