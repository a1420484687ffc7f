"""Skips what is known to be zero: masked units, unselected inputs, padding, and the parts of weights they would meet.

Walks the graph once and keeps each value *packed*: only the parts that may be other than zero exist as nodes, each
with the positions it has in the full value. Concatenations cost nothing while packed; a product with a stored weight
reads the parts one by one with just their columns of the weight. A value is spelled out in full only where an op
needs its zeros (a norm, softmax, sigmoid).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nasrec_ir.build import GraphBuilder
from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.passes.narrow import Narrower
from nasrec_ir.types import Range, Segments, merge, total

__all__ = ["ElideZeros"]


@dataclass(frozen=True)
class ElideZeros:
    """Rewrites a graph so that no node computes with operands known to be zero, where the op allows it."""

    name: ClassVar[str] = "elide-zeros"

    def apply(self, graph: Graph) -> Graph:
        after = _Elision(graph).run()
        return graph if after == graph else after


@dataclass(frozen=True)
class _Part:
    """A node holding positions of a larger value; `segments` tells which, in the node's own order, and is not empty."""

    id: str
    segments: Segments


@dataclass(frozen=True)
class _Packed:
    """A value of `shape`, zero outside of its parts, which ascend and do not overlap."""

    shape: tuple[int, ...]
    parts: tuple[_Part, ...]

    @property
    def segments(self) -> Segments:
        return merge(range_ for part in self.parts for range_ in part.segments)

    @property
    def full(self) -> bool:
        return not self.shape or total(self.segments) == self.shape[0]


class _Elision:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._b = GraphBuilder(graph.name)
        self._narrow = Narrower(self._b, graph)
        self._values: dict[str, _Packed] = {}
        self._named: dict[tuple[str, ...], str] = {}
        self._joined: dict[tuple[str, ...], str] = {}
        self._spelled: dict[_Packed, str] = {}

    def run(self) -> Graph:
        for node in self._graph:
            if node.op == "input":
                self._values[node.id] = self._whole(self._b.copy(node, ()))
                continue
            rule = RULES.get(node.op, _Elision._plain)
            self._values[node.id] = rule(self, node, [self._values[i] for i in node.inputs])
        return self._b.finish_live(self._full(self._values[self._graph.output]))

    # What rules are made of -------------------------------------------------------------------------------------

    def _whole(self, node_id: str) -> _Packed:
        shape = self._b.type(node_id).shape
        positions = merge([(0, shape[0])]) if shape else ((0, 1),)
        return _Packed(shape, (_Part(node_id, positions),) if positions else ())

    def _add(self, node: Node, inputs: Sequence[str], **changed: Any) -> str:
        """The same node on other operands, a copy where those are of the same types."""
        if not changed and [self._b.type(i) for i in inputs] == [self._graph[i].type for i in node.inputs]:
            return self._b.copy(node, inputs)
        attrs = dict(node.attrs) | changed
        return self._b.add(node.op, inputs, id=node.id, params=dict(node.params), **attrs)

    def _live(self, x: _Packed) -> str:
        """The parts of a value next to each other, as one node."""
        if not x.parts:
            return self._b.add("zeros", shape=(0, *x.shape[1:]))
        if len(x.parts) == 1:
            return x.parts[0].id
        ids = tuple(part.id for part in x.parts)
        if ids not in self._joined:
            self._joined[ids] = self._b.add("concat", ids, id=self._named.get(ids, "parts"))
        return self._joined[ids]

    def _full(self, x: _Packed) -> str:
        """The value spelled out, zeros included."""
        if x.full:
            return self._live(x)
        if x not in self._spelled:
            self._spelled[x] = self._spell(x)
        return self._spelled[x]

    def _spell(self, x: _Packed) -> str:
        b, live = self._b, self._live(x)
        if not x.segments:
            return b.add("zeros", shape=x.shape)
        if len(x.segments) == 1:
            return b.add("pad", [live], before=x.segments[0][0], size=x.shape[0])
        pieces: list[str] = []
        end = offset = 0
        for start, stop in (*x.segments, (x.shape[0], x.shape[0])):
            if start > end:
                pieces.append(b.add("zeros", shape=(start - end, *x.shape[1:])))
            if stop > start:
                pieces.append(b.add("slice", [live], start=offset, stop=offset + stop - start))
            end, offset = stop, offset + stop - start
        return b.add("concat", pieces)

    def _take(self, x: _Packed, wanted: Segments) -> list[_Part]:
        """The parts of a value within ascending ranges of positions."""
        out = []
        for part in x.parts:
            hits = _intersect(part.segments, wanted)
            if hits == part.segments:
                out.append(part)
            elif hits:
                local = _positions_of(hits, part.segments)
                out.append(_Part(self._narrow(part.id, local), hits))
        return out

    # Rules: (node, operands) -> packed result -------------------------------------------------------------------

    def _plain(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Any op that needs its operands in full."""
        return self._whole(self._add(node, [self._full(x) for x in xs]))

    def _zeros(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        return _Packed(node.type.shape, ())

    def _mask(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        keep = merge([(0, attributes(node)["keep"])])
        return _Packed(xs[0].shape, tuple(self._take(xs[0], keep)))

    def _slice(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        start, stop = attributes(node)["start"], attributes(node)["stop"]
        parts = self._take(xs[0], merge([(start, stop)]))
        return _Packed(node.type.shape, tuple(_Part(p.id, _shift(p.segments, -start)) for p in parts))

    def _positions(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """take: of the positions that may be other than zero, where they stand when those are packed."""
        packed = {at: place for place, at in enumerate(i for low, high in xs[0].segments for i in range(low, high))}
        hits = [(place, packed[at]) for place, at in enumerate(attributes(node)["positions"]) if at in packed]
        if not hits:
            return _Packed(node.type.shape, ())
        taken = self._add(node, [self._live(xs[0])], positions=tuple(at for _, at in hits))
        return _Packed(node.type.shape, (_Part(taken, merge((place, place + 1) for place, _ in hits)),))

    def _pad(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        before = attributes(node)["before"]
        return _Packed(node.type.shape, tuple(_Part(p.id, _shift(p.segments, before)) for p in xs[0].parts))

    def _concat(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        parts, offset = [], 0
        for x in xs:
            parts += [_Part(p.id, _shift(p.segments, offset)) for p in x.parts]
            offset += x.shape[0]
        joined = _Packed((offset, *xs[0].shape[1:]), tuple(parts))
        if node.op == "concat":
            self._named.setdefault(tuple(part.id for part in parts), node.id)
        return joined

    def _product(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """linear, field_linear: read the parts only, with their columns of the weight."""
        joined = self._concat(node, xs)
        if joined.full and joined.parts:
            return self._whole(self._add(node, [part.id for part in joined.parts]))
        attrs: dict[str, Any] = dict(node.attrs)
        params = dict(node.params)
        params["weight"] = params["weight"].narrow(columns=joined.segments)
        inputs = [part.id for part in joined.parts]
        if not inputs:  # a product over nothing still gives the bias, or what the norm adds to zero
            channels = xs[0].shape[1:]
            inputs = [self._b.add("zeros", shape=(0, *channels))]
        return self._whole(self._b.add(node.op, inputs, id=node.id, params=params, **attrs))

    def _each(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Ops that treat positions alike and keep zero."""
        x = xs[0]
        if not x.parts:
            return _Packed(node.type.shape, ())
        return _Packed(node.type.shape, (_Part(self._add(node, [self._live(x)]), x.segments),))

    def _add_up(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Parts that meet nothing stay as they are; where parts meet, they are added."""
        parts = sorted((p for x in xs for p in x.parts), key=lambda p: p.segments)
        groups: dict[Segments, list[str]] = {}
        for part in parts:
            groups.setdefault(part.segments, []).append(part.id)
        if _disjoint(groups):
            summed = tuple(
                _Part(ids[0] if len(ids) == 1 else self._add(node, ids), segments) for segments, ids in groups.items()
            )
            return _Packed(node.type.shape, summed)
        # Partial overlap: spell the operands out over what any of them covers.
        cover = _cover(range_ for x in xs for range_ in x.segments)
        widened = [
            self._full(_Packed((total(cover), *x.shape[1:]), tuple(_within(p, cover) for p in x.parts))) for x in xs
        ]
        return _Packed(node.type.shape, (_Part(self._add(node, widened), cover),))

    def _multiply(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        both = _intersect(xs[0].segments, xs[1].segments)
        if not both:
            return _Packed(node.type.shape, ())
        cut = [self._live(_Packed(x.shape, tuple(self._take(x, both)))) for x in xs]
        return _Packed(node.type.shape, (_Part(self._add(node, cut), both),))

    def _reduce_fields(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """factorization_machine, and sum over the fields: zero fields add nothing."""
        if not xs[0].parts:
            return _Packed(node.type.shape, ())
        return self._whole(self._add(node, [self._live(xs[0])]))

    def _sum(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        return self._reduce_fields(node, xs) if attributes(node)["axis"] == 1 else self._each(node, xs)

    def _reshape(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Part by part where each fills whole positions of the result; else those positions are filled up first."""
        (x,), shape = xs, node.type.shape
        before, after = math.prod(x.shape[1:]), math.prod(shape[1:])
        if (x.full and len(x.parts) == 1) or not shape or not before or not after:
            return self._whole(self._add(node, [self._full(x)]))
        flat = [
            _Part(part.id, tuple((start * before, stop * before) for start, stop in part.segments)) for part in x.parts
        ]
        if any(edge % after for part in flat for range_ in part.segments for edge in range_):
            return self._reshape_covered(node, x, flat, after)
        parts = []
        for part in flat:
            segments = tuple((start // after, stop // after) for start, stop in part.segments)
            parts.append(_Part(self._add(node, [part.id], shape=(total(segments), *shape[1:])), segments))
        return _Packed(shape, tuple(parts))

    def _reshape_covered(self, node: Node, x: _Packed, flat: Sequence[_Part], after: int) -> _Packed:
        shape = node.type.shape
        if len(x.shape) > 1:
            flat = [
                _Part(self._b.add("reshape", [p.id], id=f"{node.id}.flat", shape=(total(p.segments),)), p.segments)
                for p in flat
            ]
        touched = _cover((start // after, -(-stop // after)) for part in flat for start, stop in part.segments)
        wanted = tuple((start * after, stop * after) for start, stop in touched)
        filled = self._full(_Packed((total(wanted),), tuple(_within(part, wanted) for part in flat)))
        rows = self._add(node, [filled], shape=(total(touched), *shape[1:]))
        return _Packed(shape, (_Part(rows, touched),))

    def _numeric_embedding(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        (x,) = xs
        if not x.segments:
            return _Packed(node.type.shape, ())
        attrs: dict[str, Any] = dict(node.attrs)
        params = {role: ref.narrow(rows=x.segments) for role, ref in node.params}
        live = self._b.add(node.op, [self._live(x)], id=node.id, params=params, **attrs)
        return _Packed(node.type.shape, (_Part(live, x.segments),))

    def _hadamard_pairs(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Only pairs of fields that are both there; row i's pairs start at i times the right side's fields."""
        left, right = xs
        pairs = merge(
            (i * right.shape[0] + start, i * right.shape[0] + stop)
            for low, high in left.segments
            for i in range(low, high)
            for start, stop in right.segments
        )
        if not pairs:
            return _Packed(node.type.shape, ())
        live = self._add(node, [self._live(left), self._live(right)])
        return _Packed(node.type.shape, (_Part(live, pairs),))

    def _pairwise_dot(self, node: Node, xs: Sequence[_Packed]) -> _Packed:
        """Only pairs of rows that are both there; row i's pairs with j < i start at i(i-1)/2."""
        x = self._concat(node, xs)
        pairs = merge(
            (i * (i - 1) // 2 + start, i * (i - 1) // 2 + min(stop, i))
            for low, high in x.segments
            for i in range(low, high)
            for start, stop in x.segments
            if start < i
        )
        if not pairs:
            return _Packed(node.type.shape, ())
        return _Packed(node.type.shape, (_Part(self._add(node, [part.id for part in x.parts]), pairs),))


Rule = Callable[[_Elision, Node, Sequence[_Packed]], _Packed]

RULES: dict[str, Rule] = {
    "zeros": _Elision._zeros,
    "mask": _Elision._mask,
    "slice": _Elision._slice,
    "take": _Elision._positions,
    "pad": _Elision._pad,
    "concat": _Elision._concat,
    "linear": _Elision._product,
    "field_linear": _Elision._product,
    "relu": _Elision._each,
    "scale": _Elision._each,
    "dropout": _Elision._each,
    "add": _Elision._add_up,
    "mul": _Elision._multiply,
    "factorization_machine": _Elision._reduce_fields,
    "sum": _Elision._sum,
    "reshape": _Elision._reshape,
    "pairwise_dot": _Elision._pairwise_dot,
    "numeric_embedding": _Elision._numeric_embedding,
    "hadamard_pairs": _Elision._hadamard_pairs,
}
"""Ops that know what to do with zeros; all others get their operands in full."""


def _intersect(a: Segments, b: Segments) -> Segments:
    out = []
    for start, stop in a:
        out += [(max(start, low), min(stop, high)) for low, high in b if max(start, low) < min(stop, high)]
    return merge(out)


def _shift(segments: Segments, by: int) -> Segments:
    return tuple((start + by, stop + by) for start, stop in segments)


def _positions_of(chosen: Segments, segments: Segments) -> Segments:
    """Where chosen positions, all within the segments, stand when the segments are packed."""
    out: list[Range] = []
    offset = 0
    for start, stop in segments:
        out += [
            (offset + max(low, start) - start, offset + min(high, stop) - start)
            for low, high in chosen
            if max(low, start) < min(high, stop)
        ]
        offset += stop - start
    return merge(out)


def _within(part: _Part, cover: Segments) -> _Part:
    return _Part(part.id, _positions_of(part.segments, cover))


def _cover(ranges: Iterable[Range]) -> Segments:
    """The union of ranges that may overlap."""
    out: list[Range] = []
    for start, stop in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    return tuple(out)


def _disjoint(groups: Iterable[Segments]) -> bool:
    ranges = sorted(range_ for segments in groups for range_ in segments)
    ordered = all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
    # Parts must also ascend as a whole, or packing them side by side would permute positions.
    hulls = [(s[0][0], s[-1][1]) for s in groups if s]
    return ordered and all(a[1] <= b[0] for a, b in itertools.pairwise(hulls))
