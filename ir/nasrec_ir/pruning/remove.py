"""The rewriting: a graph without some rows, columns and fields, on smaller parameters of its own.

A value keeps some positions of each of its axes; what is gone counts as absent:

- a stored matrix reads what is there, with just those columns, and gives the rows that do not leave;
- norms take their mean and variance over what is there; attention looks at the fields that are there;
- `add` gives what any operand has; `mul` what both have;
- a pair of fields is there if both are; pooled fields (FM, sum) are those that are there;
- zeros that a `pad` fills in are there until they are cut themselves.

So the result equals the original run with absent positions left out of every sum, mean and product, which tests hold
it to. Where operands of an `add` keep different positions, they are spread over those of any, with zeros; `couple`
finds the cuts that need nothing of the kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from nasrec_ir.build import GraphBuilder
from nasrec_ir.errors import PruneError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.passes import OPTIMISE
from nasrec_ir.pruning.cuts import Cut, Indices, Kept
from nasrec_ir.types import ParamRef
from nasrec_ir.verify import verify

__all__ = ["Pruned", "remove"]


@dataclass(frozen=True)
class Pruned:
    """A pruned graph.

    Attributes:
        graph: executable, its parameters whole and as large as what is left of them.
        kept: by parameter name, which entries of which original parameter it holds.
    """

    graph: Graph
    kept: Mapping[str, Kept]


def remove(graph: Graph, cuts: Mapping[str, Cut], *, min_units: int = 1) -> Pruned:
    """The smaller graph, optimised.

    Arguments stay what they were, so the same rows of data fit: columns that leave are not read.

    Args:
        graph: an executable graph.
        cuts: what leaves, by node id.
        min_units: rows that every stored matrix (of as many) must keep.

    Raises:
        VerifyError: the graph is not executable.
        PruneError: a cut names what is not there, or leaves nothing of a layer; the message names the node.
    """
    verify(graph, "executable")
    for node_id, cut in cuts.items():
        _check(graph, node_id, cut, min_units)
    removal = _Removal(graph, cuts)
    small = removal.run()
    return Pruned(OPTIMISE.run(small), removal.kept)


def _check(graph: Graph, node_id: str, cut: Cut, min_units: int) -> None:
    if node_id not in graph:
        raise PruneError(f"graph {graph.name} has no node %{node_id} to cut")
    node = graph[node_id]
    size = _rows_of(node)
    if cut.rows and size is None:
        raise PruneError(f"%{node_id}: {node.op} has no rows of its own; cut those of the nodes it reads")
    if outside := [row for row in cut.rows if not 0 <= row < (size or 0)]:
        raise PruneError(f"%{node_id}: row {min(outside)} lies outside of its {size}")
    if cut.columns and node.op not in ("linear", "field_linear"):
        raise PruneError(f"%{node_id}: columns can be cut of linear and field_linear nodes, not of {node.op}")
    columns = sum(graph[operand].type.shape[0] for operand in node.inputs) if cut.columns else 0
    if outside := [column for column in cut.columns if not 0 <= column < columns]:
        raise PruneError(f"%{node_id}: column {min(outside)} lies outside of its {columns}")
    if size and node.op in MATRICES and size - len(cut.rows) < min(min_units, size):
        raise PruneError(
            f"%{node_id}: {size - len(cut.rows)} of its {size} units would be left, fewer than {min(min_units, size)}; "
            "prune less, or allow fewer (min_units)"
        )


MATRICES = ("linear", "field_linear", "channel_linear")


def _rows_of(node: Node) -> int | None:
    """How many rows a cut of this node may name; None for ops that pass on what they read."""
    if node.op in MATRICES:
        return int(attributes(node)["out"])
    if node.op in ("embedding", "pad", "zeros") or (node.op == "input" and node.type.dtype == "f32"):
        return node.type.shape[0]
    return None


@dataclass(frozen=True)
class _Value:
    """What is left of a value: the node that holds it, and which positions of either axis that node has."""

    id: str
    rows: Indices
    channels: Indices | None = None


class _Removal:
    def __init__(self, graph: Graph, cuts: Mapping[str, Cut]) -> None:
        self._graph, self._cuts = graph, cuts
        self._b = GraphBuilder(graph.name)
        self._values: dict[str, _Value] = {}
        uses = Counter(ref.name for ref in graph.parameters().values())
        self._shared = {name for name, count in uses.items() if count > 1}
        self.kept: dict[str, Kept] = {}

    def run(self) -> Graph:
        for node in self._graph:  # all arguments stand first
            if node.op == "input":
                self._b.copy(node, ())
        for node in self._graph:
            rule = RULES.get(node.op, _Removal._whole)
            value = rule(self, node, [self._values[operand] for operand in node.inputs])
            if node.type.shape and node.type.elements and not (len(value.rows) and _size(value.channels)):
                raise PruneError(f"%{node.id}: nothing of it would be left; prune less, or keep more of what it reads")
            self._values[node.id] = value
        return self._b.finish_live(self._values[self._graph.output].id)

    # What rules are made of -------------------------------------------------------------------------------------

    def _cut(self, node: Node) -> Indices:
        """Positions of the node's rows that stay."""
        rows = np.arange(_rows_of(node) or 0)
        return np.setdiff1d(rows, np.fromiter(self._cuts.get(node.id, Cut()).rows, np.intp))

    def _add(self, node: Node, inputs: Sequence[str], params: Mapping[str, ParamRef] | None = None, **new: Any) -> str:
        attrs = dict(node.attrs) | new
        given = params if params is not None else {role: self._own(node, role) for role, _ in node.params}
        return self._b.add(node.op, inputs, id=node.id, params=given, **attrs)

    def _own(self, node: Node, role: str, rows: Indices | None = None, columns: Indices | None = None) -> ParamRef:
        """A parameter of the new graph's own: what is left of one of the node's."""
        ref = node.param(role)
        assert ref is not None
        view = ref.view_shape
        sizes = (view[0] if rows is None else len(rows), *([] if len(view) == 1 else [view[1]]))
        if columns is not None:
            sizes = (sizes[0], len(columns))
        name = f"{node.id}.{role}" if ref.name in self._shared else ref.name
        self.kept[name] = Kept(node.id, role, _unless_all(rows, view[0]), _unless_all(columns, view[-1]))
        return ParamRef(name, sizes)

    def _take(self, node: Node, value: _Value, rows: Indices) -> _Value:
        """A value with fewer rows."""
        if np.array_equal(value.rows, rows):
            return value
        return replace(value, id=self._taken(f"{node.id}.kept", value.id, np.searchsorted(value.rows, rows)), rows=rows)

    def _taken(self, node_id: str, source: str, places: Indices) -> str:
        """A take; where the source is one itself, as after an earlier round, from what that takes."""
        positions = tuple(map(int, places))
        if self._b[source].op == "take":
            earlier = attributes(self._b[source])["positions"]
            source, positions = self._b[source].inputs[0], tuple(earlier[place] for place in positions)
        return self._b.add("take", [source], id=node_id, positions=positions)

    def _spread(self, node: Node, value: _Value, rows: Indices) -> _Value:
        """A value with more rows, zero where it has none."""
        if np.array_equal(value.rows, rows):
            return value
        size = len(value.rows)
        padded = self._b.add("pad", [value.id], id=f"{node.id}.zero", size=size + 1)
        found = np.isin(rows, value.rows)
        places = np.where(found, np.searchsorted(value.rows, rows), size)
        spread = self._b.add("take", [padded], id=f"{node.id}.kept", positions=tuple(map(int, places)))
        return replace(value, id=spread, rows=rows)

    def _whole_channels(self, node: Node, values: Sequence[_Value]) -> None:
        for value, operand in zip(values, node.inputs, strict=True):
            shape = self._graph[operand].type.shape
            if value.channels is not None and len(value.channels) < shape[1]:
                raise PruneError(f"%{node.id}: {node.op} needs all {shape[1]} channels of %{operand}; keep them")

    def _common_channels(self, node: Node, values: Sequence[_Value]) -> Indices | None:
        if any(not _same(value.channels, values[0].channels) for value in values):
            raise PruneError(f"%{node.id}: the operands of {node.op} would keep different channels; cut them alike")
        return values[0].channels

    # Rules: (node, what is left of its operands) -> what is left of its result -----------------------------------

    def _input(self, node: Node, xs: Sequence[_Value]) -> _Value:
        whole = _Value(node.id, np.arange(node.type.shape[0]))
        return self._take(node, whole, self._cut(node)) if node.type.dtype == "f32" else whole

    def _embedding(self, node: Node, xs: Sequence[_Value]) -> _Value:
        fields = self._cut(node)
        if not len(fields):
            raise PruneError(f"%{node.id}: all of its fields would leave; keep one")
        roles = [role for role, _ in node.params]
        params = {f"tables.{place}": self._own(node, roles[field]) for place, field in enumerate(fields)}
        looked_up = self._add(node, [self._take(node, xs[0], fields).id], params)
        return _Value(looked_up, fields, np.arange(node.type.shape[1]))

    def _numeric_embedding(self, node: Node, xs: Sequence[_Value]) -> _Value:
        weight = self._own(node, "weight", xs[0].rows)
        return _Value(self._add(node, [xs[0].id], {"weight": weight}), xs[0].rows, np.arange(node.type.shape[1]))

    def _product(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """linear, field_linear: the columns that are there, the rows that stay, the norm over these."""
        self._whole_channels(node, xs)
        columns, inputs, offset = [], [], 0
        cut = np.fromiter(self._cuts.get(node.id, Cut()).columns, np.intp)
        for x, operand in zip(xs, node.inputs, strict=True):
            rows = np.setdiff1d(x.rows, cut - offset)
            if len(rows):
                columns.append(rows + offset)
                inputs.append(self._take(node, x, rows).id)
            offset += self._graph[operand].type.shape[0]
        if not inputs and offset:
            raise PruneError(f"%{node.id}: it would read nothing any more; keep some of its columns")
        attrs, rows = attributes(node), self._cut(node)
        read = np.concatenate(columns) if columns else np.arange(0)
        params = {
            role: self._own(node, role, rows if ref.view_shape[0] == attrs["out"] else None, _columns(role, read))
            for role, ref in node.params
        }
        keep = attrs["keep"]
        left = rows if keep is None else rows[rows < keep]
        new = {} if keep is None else {"keep": len(left)}
        product = self._add(node, inputs or [x.id for x in xs], params, out=len(rows), **new)
        return _Value(product, left, xs[0].channels)

    def _channel_linear(self, node: Node, xs: Sequence[_Value]) -> _Value:
        (x,), rows = xs, self._cut(node)
        params = {
            role: self._own(node, role, rows if ref.view_shape[0] == attributes(node)["out"] else None,
                            x.channels if role == "weight" else None)
            for role, ref in node.params
        }  # fmt: skip
        return _Value(self._add(node, [x.id], params, out=len(rows)), x.rows, rows)

    def _norm(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """layer_norm, batch_norm: over what is there."""
        (x,) = xs
        along = x.rows if attributes(node)["axis"] == 1 else x.channels
        params = {role: self._own(node, role, along) for role, _ in node.params}
        return replace(x, id=self._add(node, [x.id], params))

    def _alike(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """Ops that treat positions alike."""
        return replace(xs[0], id=self._add(node, [xs[0].id]))

    def _fields_alike(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """Attention: among the fields that are there, with all of their channels."""
        self._whole_channels(node, xs)
        return _Value(self._add(node, [xs[0].id]), xs[0].rows, np.arange(node.type.shape[1]))

    def _sum_up(self, node: Node, xs: Sequence[_Value]) -> _Value:
        channels = self._common_channels(node, xs)
        rows = reduce(np.union1d, [x.rows for x in xs])
        there = [self._spread(node, x, rows) for x in xs if len(x.rows)] or list(xs[:1])
        return _Value(self._add(node, [x.id for x in there]), rows, channels)

    def _multiply(self, node: Node, xs: Sequence[_Value]) -> _Value:
        channels = self._common_channels(node, xs)
        rows = np.intersect1d(xs[0].rows, xs[1].rows)
        return _Value(self._add(node, [self._take(node, x, rows).id for x in xs]), rows, channels)

    def _slice(self, node: Node, xs: Sequence[_Value]) -> _Value:
        start, stop = attributes(node)["start"], attributes(node)["stop"]
        low, high = (int(i) for i in np.searchsorted(xs[0].rows, (start, stop)))
        return replace(xs[0], id=self._add(node, [xs[0].id], start=low, stop=high), rows=xs[0].rows[low:high] - start)

    def _positions(self, node: Node, xs: Sequence[_Value]) -> _Value:
        chosen = np.asarray(attributes(node)["positions"], np.intp)
        rows = np.flatnonzero(np.isin(chosen, xs[0].rows))
        places = np.searchsorted(xs[0].rows, chosen[rows])
        return replace(xs[0], id=self._taken(node.id, xs[0].id, places), rows=rows)

    def _pad(self, node: Node, xs: Sequence[_Value]) -> _Value:
        before, inner = attributes(node)["before"], self._graph[node.inputs[0]].type.shape[0]
        filled = self._cut(node)
        low, high = filled[filled < before], filled[filled >= before + inner]
        rows = np.concatenate([low, xs[0].rows + before, high])
        padded = self._add(node, [xs[0].id], before=len(low), size=len(rows))
        return replace(xs[0], id=padded, rows=rows)

    def _zeros(self, node: Node, xs: Sequence[_Value]) -> _Value:
        rows, (_, *channels) = self._cut(node), node.type.shape
        zeros = self._b.add("zeros", id=node.id, shape=(len(rows), *channels))
        return _Value(zeros, rows, np.arange(channels[0]) if channels else None)

    def _concat(self, node: Node, xs: Sequence[_Value]) -> _Value:
        channels = self._common_channels(node, xs)
        sizes = [self._graph[operand].type.shape[0] for operand in node.inputs]
        starts = np.cumsum([0, *sizes[:-1]])
        rows = np.concatenate([x.rows + start for x, start in zip(xs, starts, strict=True)])
        there = [x.id for x in xs if len(x.rows)] or [xs[0].id]
        return _Value(there[0] if len(there) == 1 else self._add(node, there), rows, channels)

    def _reshape(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """Through one row of all entries; rows of the result that keep only some of theirs are filled with zeros."""
        (x,), before, after = xs, self._graph[node.inputs[0]].type.shape, node.type.shape
        if not before or not after:
            return _Value(self._add(node, [x.id]), np.arange(1), None)
        width = after[1] if len(after) == 2 else 1
        entries = x.rows
        if len(before) == 2:
            assert x.channels is not None
            entries = (x.rows[:, None] * before[1] + x.channels).ravel()
        rows = np.unique(entries // width) if width else np.arange(after[0])
        wanted = (rows[:, None] * width + np.arange(width)).ravel()
        channels = np.arange(width) if len(after) == 2 else None
        if len(wanted) != len(entries):
            if len(before) == 2:
                x = replace(x, id=self._b.add("reshape", [x.id], id=f"{node.id}.flat", shape=(len(entries),)))
            x = self._spread(node, replace(x, rows=entries), wanted)
        return _Value(self._add(node, [x.id], shape=(len(rows), *after[1:])), rows, channels)

    def _pool(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """factorization_machine, and sum over the fields: what was a channel is a unit."""
        channels = xs[0].channels
        assert channels is not None
        return _Value(self._add(node, [xs[0].id]), channels)

    def _sum(self, node: Node, xs: Sequence[_Value]) -> _Value:
        return (
            self._pool(node, xs) if attributes(node)["axis"] == 1 else _Value(self._add(node, [xs[0].id]), xs[0].rows)
        )

    def _pairwise_dot(self, node: Node, xs: Sequence[_Value]) -> _Value:
        self._common_channels(node, xs)
        starts = np.cumsum([0, *(self._graph[operand].type.shape[0] for operand in node.inputs)])[:-1]
        rows = np.concatenate([x.rows + start for x, start in zip(xs, starts, strict=True)])
        i, j = np.tril_indices(len(rows), k=-1)
        pairs = rows[i] * (rows[i] - 1) // 2 + rows[j]
        return _Value(self._add(node, [x.id for x in xs if len(x.rows)] or [xs[0].id]), pairs)

    def _hadamard_pairs(self, node: Node, xs: Sequence[_Value]) -> _Value:
        channels = self._common_channels(node, xs)
        right = self._graph[node.inputs[1]].type.shape[0]
        pairs = (xs[0].rows[:, None] * right + xs[1].rows).ravel()
        return _Value(self._add(node, [x.id for x in xs]), pairs, channels)

    def _whole(self, node: Node, xs: Sequence[_Value]) -> _Value:
        """Any other op: it needs all of what it reads."""
        self._whole_channels(node, xs)
        for x, operand in zip(xs, node.inputs, strict=True):
            (size, *_) = self._graph[operand].type.shape or (1,)
            if len(x.rows) < size:
                raise PruneError(f"%{node.id}: {node.op} needs all {size} rows of %{operand}; keep them")
        (rows, *channels) = node.type.shape or (1,)
        return _Value(
            self._add(node, [x.id for x in xs]), np.arange(rows), np.arange(channels[0]) if channels else None
        )


RULES: Mapping[str, Callable[[_Removal, Node, Sequence[_Value]], _Value]] = {
    "input": _Removal._input,
    "embedding": _Removal._embedding,
    "numeric_embedding": _Removal._numeric_embedding,
    "linear": _Removal._product,
    "field_linear": _Removal._product,
    "channel_linear": _Removal._channel_linear,
    "layer_norm": _Removal._norm,
    "batch_norm": _Removal._norm,
    "relu": _Removal._alike,
    "sigmoid": _Removal._alike,
    "scale": _Removal._alike,
    "dropout": _Removal._alike,
    "self_attention": _Removal._fields_alike,
    "field_attention": _Removal._fields_alike,
    "add": _Removal._sum_up,
    "mul": _Removal._multiply,
    "slice": _Removal._slice,
    "take": _Removal._positions,
    "pad": _Removal._pad,
    "zeros": _Removal._zeros,
    "concat": _Removal._concat,
    "reshape": _Removal._reshape,
    "sum": _Removal._sum,
    "factorization_machine": _Removal._pool,
    "pairwise_dot": _Removal._pairwise_dot,
    "hadamard_pairs": _Removal._hadamard_pairs,
}
"""Ops that positions can leave through, as in coupling.py; all others need what they read whole."""


def _columns(role: str, columns: Indices) -> Indices | None:
    return columns if role == "weight" else None


def _unless_all(chosen: Indices | None, size: int) -> tuple[int, ...] | None:
    return None if chosen is None or len(chosen) == size else tuple(map(int, chosen))


def _size(channels: Indices | None) -> int:
    return 1 if channels is None else len(channels)


def _same(a: Indices | None, b: Indices | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
