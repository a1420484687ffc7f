"""Random graphs over the whole op table, with values to run them on: what tests of the IR hold passes and types to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec_ir import Graph, GraphBuilder, ParamRef, TensorType, interpret
from nasrec_ir.types import Segments, merge

Array = npt.NDArray[Any]
Rng = np.random.Generator

BATCH = 3


def random_graph(seed: int, nodes: int = 14) -> Graph:
    """A graph that verifies: about `nodes` random nodes over dense and sparse arguments, joined to one logit.

    Masks, pads, zeros and axes of size 0 are frequent, so that types have live ranges of all kinds.
    """
    return _Draw(np.random.default_rng(seed)).graph(nodes)


def random_parameters(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Values for every parameter of a graph, of its full shape in the store."""
    rng = np.random.default_rng([7, seed])
    values = {
        ref.name: rng.normal(size=ref.shape) * (1 / math.sqrt(max(1, ref.shape[-1])))
        for ref in graph.parameters().values()
    }
    return {name: np.abs(value) if name.endswith("running_var") else value for name, value in values.items()}


def random_inputs(graph: Graph, seed: int = 0, batch: int = BATCH) -> dict[str, Array]:
    """Values for every argument of a graph."""
    rng = np.random.default_rng([11, seed])
    rows = {node.inputs[0]: min(ref.shape[0] for _, ref in node.params) for node in graph if node.op == "embedding"}
    return {
        node.id: rng.integers(0, rows.get(node.id, 1), size=(batch, *node.type.shape))
        if node.type.dtype == "i64"
        else rng.normal(size=(batch, *node.type.shape))
        for node in graph.inputs
    }


def same_result(before: Graph, after: Graph, seed: int = 0) -> None:
    """Asserts that two graphs compute the same, to the precision of float64."""
    parameters, inputs = random_parameters(before, seed), random_inputs(before, seed)
    want, got = interpret(before, parameters, inputs), interpret(after, parameters, inputs)
    assert want.shape == got.shape
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12 * max(1.0, float(np.abs(want).max(initial=0))))


def all_values(graph: Graph, parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The value of every node."""
    return {
        node.id: interpret(Graph(graph.name, graph.nodes, node.id), parameters, inputs)
        for node in graph
        if node.op != "input"
    }


class _Draw:
    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._b = GraphBuilder("random")
        self._ids: list[str] = []

    def graph(self, nodes: int) -> Graph:
        b = self._b
        self._put(b.input("dense", TensorType((self._size(0, 6),))))
        fields, rows = self._size(1, 4), 5
        sparse = b.input("sparse", TensorType((fields,), "i64"))
        self._put(b.add("embedding", [sparse], dim=self._size(1, 4), rows=[rows] * fields))
        for _ in range(nodes):
            ADD[int(self._rng.integers(len(ADD)))](self)
        return b.finish(self._logit())

    def _logit(self) -> str:
        b, flat = self._b, []
        for node in self._ids:
            unused = not any(node in b[other].inputs for other in self._ids)
            if unused or self._rng.random() < 0.1:
                shape = b.type(node).shape
                flat.append(node if len(shape) == 1 else b.add("reshape", [node], shape=(math.prod(shape),)))
        joined = b.add("concat", flat)
        weight = ParamRef("last.weight", (1, b.type(joined).shape[0]))
        final = b.add("linear", [joined], params={"weight": weight, "bias": ParamRef("last.bias", (1,))}, out=1)
        return b.add("reshape", [final], shape=())

    # Choices ----------------------------------------------------------------------------------------------------

    def _size(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))

    def _put(self, node: str) -> str:
        self._ids.append(node)
        return node

    def _pick(self, accept: Callable[[TensorType], bool]) -> str | None:
        fitting = [node for node in self._ids if accept(self._b.type(node))]
        return fitting[int(self._rng.integers(len(fitting)))] if fitting else None

    def _any(self) -> str:
        found = self._pick(lambda t: True)
        assert found is not None
        return found

    def _segments(self, size: int, of: int) -> Segments:
        """`size` positions of `of`, in as many ranges as chance gives."""
        chosen = sorted(self._rng.choice(of, size=size, replace=False).tolist())
        return merge((i, i + 1) for i in chosen)

    def _matrix(self, role: str, rows: int, columns: int) -> ParamRef:
        """A matrix of the graph's own, or a slice of a larger one."""
        name = f"p{len(self._ids)}.{self._size(0, 10**6)}.{role}"
        if self._rng.random() < 0.5:
            return ParamRef(name, (rows, columns))
        shape = (rows + self._size(0, 3), columns + self._size(0, 3))
        return ParamRef(name, shape, self._segments(rows, shape[0]), self._segments(columns, shape[1]))

    def _vector(self, role: str, size: int) -> ParamRef:
        name = f"p{len(self._ids)}.{self._size(0, 10**6)}.{role}"
        if self._rng.random() < 0.5:
            return ParamRef(name, (size,))
        full = size + self._size(0, 3)
        return ParamRef(name, (full,), self._segments(size, full))

    # One kind of node each --------------------------------------------------------------------------------------

    def product(self) -> None:
        first = self._any()
        shape = self._b.type(first).shape
        operands = [first]
        while self._rng.random() < 0.4:
            more = self._pick(lambda t: t.shape[1:] == shape[1:])
            operands.append(more or first)
        columns = sum(self._b.type(node).shape[0] for node in operands)
        out, norm = self._size(0, 5), bool(self._rng.random() < 0.3)
        params = {"weight": self._matrix("weight", out, columns)}
        if self._rng.random() < 0.5:
            params["bias"] = self._vector("bias", out)
        attrs: dict[str, Any] = {"out": out, "activation": ("none", "relu", "sigmoid")[self._size(0, 2)]}
        if norm:
            params |= {"norm_weight": self._vector("gain", out), "norm_bias": self._vector("offset", out)}
            attrs |= {"norm": True, "keep": self._size(0, out) if self._rng.random() < 0.5 else None}
        op = "linear" if len(shape) == 1 else "field_linear"
        self._put(self._b.add(op, operands, params=params, **attrs))

    def channel_linear(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 2):
            out = self._size(1, 4)
            params = {"weight": self._matrix("weight", out, self._b.type(x).shape[1])}
            if self._rng.random() < 0.5:
                params["bias"] = self._vector("bias", out)
            self._put(self._b.add("channel_linear", [x], params=params, out=out))

    def norm(self) -> None:
        x = self._any()
        shape = self._b.type(x).shape
        axis, over_batch = self._size(1, len(shape)), self._rng.random() < 0.4
        roles = ("weight", "bias", *(("running_mean", "running_var") if over_batch else ()))
        params = {role: self._vector(role, shape[axis - 1]) for role in roles}
        self._put(self._b.add("batch_norm" if over_batch else "layer_norm", [x], params=params, axis=axis))

    def pointwise(self) -> None:
        op = ("relu", "sigmoid", "scale", "dropout")[self._size(0, 3)]
        attrs: dict[str, dict[str, Any]] = {"scale": {"factor": -0.75}, "dropout": {"rate": 0.25}}
        self._put(self._b.add(op, [self._any()], **attrs.get(op, {})))

    def add(self) -> None:
        first = self._any()
        operands = [first]
        while self._rng.random() < 0.6:
            operands.append(self._pick(lambda t: t.shape == self._b.type(first).shape) or first)
        self._put(self._b.add("add", operands))

    def mul(self) -> None:
        left = self._any()
        right = self._pick(lambda t: t.shape == self._b.type(left).shape) or left
        self._put(self._b.add("mul", [left, right]))

    def mask(self) -> None:
        x = self._any()
        self._put(self._b.add("mask", [x], keep=self._size(0, self._b.type(x).shape[0])))

    def slice(self) -> None:
        x = self._any()
        start, stop = sorted(self._size(0, self._b.type(x).shape[0]) for _ in range(2))
        self._put(self._b.add("slice", [x], start=start, stop=stop))

    def take(self) -> None:
        x = self._any()
        if size := self._b.type(x).shape[0]:
            positions = tuple(self._size(0, size - 1) for _ in range(self._size(1, 6)))
            self._put(self._b.add("take", [x], positions=positions))

    def pad(self) -> None:
        x = self._any()
        before = self._size(0, 3)
        size = before + self._b.type(x).shape[0] + self._size(0, 3)
        self._put(self._b.add("pad", [x], before=before, size=size))

    def concat(self) -> None:
        first = self._any()
        operands = [first]
        while self._rng.random() < 0.6 and len(operands) < 4:
            operands.append(self._pick(lambda t: t.shape[1:] == self._b.type(first).shape[1:]) or first)
        if sum(self._b.type(node).shape[0] for node in operands) <= 40:
            self._put(self._b.add("concat", operands))

    def zeros(self) -> None:
        shape = (self._size(0, 4),) if self._rng.random() < 0.5 else (self._size(0, 4), self._size(1, 4))
        self._put(self._b.add("zeros", shape=shape))

    def reshape(self) -> None:
        x = self._any()
        entries = self._b.type(x).elements
        divisors = [d for d in range(1, 13) if entries % d == 0]
        rows = divisors[self._size(0, len(divisors) - 1)]
        shape = (entries,) if self._rng.random() < 0.3 else (rows, entries // rows)
        self._put(self._b.add("reshape", [x], shape=shape))

    def sum(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 2):
            self._put(self._b.add("sum", [x], axis=self._size(1, 2)))

    def interaction(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 2 and t.shape[0] <= 8):
            self._put(self._b.add(("pairwise_dot", "factorization_machine")[self._size(0, 1)], [x]))

    def attention(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 2):
            qkv = self._b.add("channel_linear", [x], out=12, params={
                "weight": self._matrix("qkv", 12, self._b.type(x).shape[1])
            })  # fmt: skip
            self._put(self._b.add("self_attention", [qkv], heads=(1, 2, 4)[self._size(0, 2)]))

    def attention_operator(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 2 and t.shape[1] > 0):
            channels = self._b.type(x).shape[1]
            heads = 2 if channels % 2 == 0 else 1
            self._put(self._b.add("field_attention", [x], heads=heads, padded=self._size(0, 3)))

    def hadamard(self) -> None:
        left = self._pick(lambda t: len(t.shape) == 2 and t.shape[0] <= 5)
        if left and (right := self._pick(lambda t: t.shape[1:] == self._b.type(left).shape[1:] and t.shape[0] <= 5)):
            self._put(self._b.add("hadamard_pairs", [left, right]))

    def numeric(self) -> None:
        if x := self._pick(lambda t: len(t.shape) == 1 and t.shape[0] <= 8):
            channels = self._size(1, 4)
            weight = self._matrix("weight", self._b.type(x).shape[0], channels)
            self._put(self._b.add("numeric_embedding", [x], params={"weight": weight}, dim=channels))


ADD: tuple[Callable[[_Draw], None], ...] = (
    _Draw.product,
    _Draw.product,
    _Draw.channel_linear,
    _Draw.norm,
    _Draw.pointwise,
    _Draw.pointwise,
    _Draw.add,
    _Draw.add,
    _Draw.mul,
    _Draw.mask,
    _Draw.mask,
    _Draw.slice,
    _Draw.pad,
    _Draw.concat,
    _Draw.concat,
    _Draw.zeros,
    _Draw.reshape,
    _Draw.sum,
    _Draw.interaction,
    _Draw.attention,
    _Draw.attention_operator,
    _Draw.hadamard,
    _Draw.numeric,
    _Draw.take,
)
"""Kinds of nodes; those that make or meet live ranges twice."""
