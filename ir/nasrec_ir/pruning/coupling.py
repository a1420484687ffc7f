"""Which positions of a graph can only leave together: the structures that pruning chooses among.

A unit of a layer is a row of a matrix, an entry of the norm behind it, and a column of every matrix that reads it; a
field of the input is a table and columns. Element-wise ops tie what they join: unit i of a block's FC, of its other
dense operators and of its FM merger are one structure, as they are added up, and a field that the dense-to-sparse
merger makes is as many units as it has channels. What is chosen leaves everywhere at once, so what stays needs no
gathering.

Positions that cannot leave are fixed: the logit, embedding channels, pairs (they leave with their fields), and whatever
is tied to one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nasrec_ir.graph import Graph, Node
from nasrec_ir.ops import attributes
from nasrec_ir.pruning.cuts import Cut
from nasrec_ir.verify import verify

__all__ = ["FIXED", "Coupling", "couple"]

Labels = npt.NDArray[np.int64]

FIXED = -1
"""Stands for the structure of a position that cannot leave."""


@dataclass(frozen=True)
class Coupling:
    """The structures of a graph, numbered from 0 in the order in which the graph makes them.

    Attributes:
        count: how many there are.
        rows: by node id, the structure of each of its rows (see `Cut.rows`), or FIXED.
        columns: by id of a stored matrix's node, the structures [columns, 2] of what each column reads: a unit or field
            and FIXED, or the two fields of a pair.
    """

    count: int
    rows: Mapping[str, Labels]
    columns: Mapping[str, Labels]

    def cuts(self, leaving: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, Cut]:
        """What leaves at each node when these structures do; columns go with what they read."""
        chosen = np.asarray(leaving, np.int64)
        found = {node: np.flatnonzero(np.isin(labels, chosen)) for node, labels in self.rows.items()}
        return {node: Cut(frozenset(map(int, rows))) for node, rows in found.items() if len(rows)}


def couple(graph: Graph) -> Coupling:
    """The structures of an executable graph.

    Raises:
        VerifyError: the graph is not executable.
    """
    verify(graph, "executable")
    walk = _Walk(graph)
    walk.run()
    return walk.coupling()


@dataclass(frozen=True)
class _Labelled:
    """The atoms at a value's positions: `rows` [n, 2], the second column for pairs; `channels` [e] or None."""

    rows: Labels
    channels: Labels | None = None


class _Walk:
    """Walks the graph with an atom for every row that a node makes, and joins the atoms of rows that are tied.

    Atom 0 is what is fixed.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parent = [0]
        self._values: dict[str, _Labelled] = {}
        self._rows: dict[str, Labels] = {}
        self._columns: dict[str, Labels] = {}

    def run(self) -> None:
        for node in self._graph:
            rule = RULES.get(node.op, _Walk._whole)
            self._values[node.id] = rule(self, node, [self._values[operand] for operand in node.inputs])
        self._fix(self._values[self._graph.output].rows)

    def coupling(self) -> Coupling:
        roots = np.array([self._root(atom) for atom in range(len(self._parent))], np.int64)
        used = np.unique(np.concatenate([[0], *(roots[labels] for labels in self._rows.values())]))
        number = np.full(len(roots), FIXED, np.int64)
        number[used[1:]] = np.arange(len(used) - 1)  # the fixed root is 0, the smallest
        return Coupling(
            len(used) - 1,
            {node: number[roots[labels]] for node, labels in self._rows.items()},
            {node: number[roots[labels]] for node, labels in self._columns.items()},
        )

    # Atoms ------------------------------------------------------------------------------------------------------

    def _root(self, atom: int) -> int:
        parent = self._parent
        while parent[atom] != atom:
            parent[atom] = parent[parent[atom]]
            atom = parent[atom]
        return atom

    def _tie(self, a: int, b: int) -> None:
        low, high = sorted((self._root(a), self._root(b)))
        self._parent[high] = low

    def _fix(self, labels: Labels) -> None:
        for atom in np.unique(labels):
            self._tie(0, int(atom))

    def _new(self, node: Node, count: int) -> Labels:
        first = len(self._parent)
        atoms = np.arange(first, first + count)
        self._parent += atoms.tolist()
        self._rows[node.id] = atoms
        return atoms

    def _fix_channels(self, xs: Sequence[_Labelled]) -> None:
        for x in xs:
            if x.channels is not None:
                self._fix(x.channels)

    def _tie_rows(self, first: Labels, other: Labels) -> None:
        """Position by position; a pair is no structure, so what is tied to one is fixed."""
        for a, b in zip(first, other, strict=True):
            if a[1] or b[1]:
                if tuple(a) != tuple(b):
                    self._fix(np.concatenate([a[:1] * (a[1] == 0), b[:1] * (b[1] == 0)]))
            elif a[0] != b[0]:
                self._tie(int(a[0]), int(b[0]))

    # Rules ------------------------------------------------------------------------------------------------------

    def _input(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        """Columns that an earlier round left unread are no structures any more."""
        (size,) = node.type.shape
        if node.type.dtype != "f32":
            return _Labelled(_units(np.zeros(size, np.int64)))
        atoms = self._new(node, size)
        readers = [self._graph[user] for user in self._graph.users[node.id]]
        if all(reader.op == "take" for reader in readers):
            read = {position for reader in readers for position in attributes(reader)["positions"]}
            self._fix(np.delete(atoms, sorted(read)))
        return _Labelled(_units(atoms))

    def _source(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        return _Labelled(_units(self._new(node, node.type.shape[0])), _fixed_channels(node))

    def _numeric_embedding(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        return _Labelled(xs[0].rows, _fixed_channels(node))

    def _product(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        self._fix_channels(xs)
        self._columns[node.id] = np.concatenate([x.rows for x in xs])
        attrs = attributes(node)
        rows, keep = self._new(node, attrs["out"]), attrs["keep"]
        if keep is not None:  # only the norm reads the others
            self._fix(rows[keep:])
        return _Labelled(_units(rows[:keep]), xs[0].channels)

    def _channel_linear(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        (x,) = xs
        assert x.channels is not None
        self._columns[node.id] = _units(x.channels)
        return _Labelled(x.rows, self._new(node, attributes(node)["out"]))

    def _alike(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        return xs[0]

    def _attention(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        self._fix_channels(xs)
        return _Labelled(xs[0].rows, _fixed_channels(node))

    def _joined(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        """add, mul: position by position."""
        first = xs[0]
        for x in xs[1:]:
            self._tie_rows(first.rows, x.rows)
            if first.channels is not None and x.channels is not None:
                self._tie_rows(_units(first.channels), _units(x.channels))
        return first

    def _slice(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        start, stop = attributes(node)["start"], attributes(node)["stop"]
        return _Labelled(xs[0].rows[start:stop], xs[0].channels)

    def _positions(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        return _Labelled(xs[0].rows[list(attributes(node)["positions"])], xs[0].channels)

    def _pad(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        before, (size, *_) = attributes(node)["before"], node.type.shape
        filled = self._new(node, size)
        inner = len(xs[0].rows)
        self._fix(filled[before : before + inner])  # no rows of the pad's own
        rows = np.concatenate([_units(filled[:before]), xs[0].rows, _units(filled[before + inner :])])
        return _Labelled(rows, xs[0].channels)

    def _concat(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        for x in xs[1:]:
            if x.channels is not None and xs[0].channels is not None:
                self._tie_rows(_units(xs[0].channels), _units(x.channels))
        return _Labelled(np.concatenate([x.rows for x in xs]), xs[0].channels)

    def _reshape(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        """Entries of a field are one structure, on either side."""
        (x,), before, after = xs, self._graph[node.inputs[0]].type.shape, node.type.shape
        self._fix_channels(xs)
        if not after or not before:
            self._fix(x.rows)
            return _Labelled(np.zeros((1, 2), np.int64))
        entries = np.repeat(x.rows, before[1], axis=0) if len(before) == 2 else x.rows
        if len(after) == 1:
            return _Labelled(entries)
        if not after[1]:
            return _Labelled(np.zeros((after[0], 2), np.int64), _fixed_channels(node))
        grid = entries.reshape(after[0], after[1], 2)
        for channel in range(1, after[1]):
            self._tie_rows(grid[:, 0], grid[:, channel])
        return _Labelled(grid[:, 0], _fixed_channels(node))

    def _sum(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        return self._pool(node, xs) if attributes(node)["axis"] == 1 else _Labelled(xs[0].rows)

    def _pool(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        assert xs[0].channels is not None
        return _Labelled(_units(xs[0].channels))

    def _pairwise_dot(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        rows = self._fields(np.concatenate([x.rows for x in xs]))
        for x in xs[1:]:
            assert x.channels is not None and xs[0].channels is not None
            self._tie_rows(_units(xs[0].channels), _units(x.channels))
        i, j = np.tril_indices(len(rows), k=-1)
        return _Labelled(np.stack([rows[i], rows[j]], axis=1))

    def _hadamard_pairs(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        left, right = (self._fields(x.rows) for x in xs)
        assert xs[0].channels is not None and xs[1].channels is not None
        self._tie_rows(_units(xs[0].channels), _units(xs[1].channels))
        pairs = np.stack([np.repeat(left, len(right)), np.tile(right, len(left))], axis=1)
        return _Labelled(pairs, xs[0].channels)

    def _whole(self, node: Node, xs: Sequence[_Labelled]) -> _Labelled:
        """Any other op: nothing of what it reads can leave, nor of its result."""
        self._fix_channels(xs)
        for x in xs:
            self._fix(x.rows)
        rows = node.type.shape[0] if node.type.shape else 1
        return _Labelled(np.zeros((rows, 2), np.int64), _fixed_channels(node))

    def _fields(self, rows: Labels) -> Labels:
        """One atom a field; pairs of pairs are not followed."""
        paired = rows[:, 1] != 0
        self._fix(rows[paired])
        return np.where(paired, 0, rows[:, 0])


RULES: Mapping[str, Callable[[_Walk, Node, Sequence[_Labelled]], _Labelled]] = {
    "input": _Walk._input,
    "embedding": _Walk._source,
    "numeric_embedding": _Walk._numeric_embedding,
    "linear": _Walk._product,
    "field_linear": _Walk._product,
    "channel_linear": _Walk._channel_linear,
    "layer_norm": _Walk._alike,
    "batch_norm": _Walk._alike,
    "relu": _Walk._alike,
    "sigmoid": _Walk._alike,
    "scale": _Walk._alike,
    "dropout": _Walk._alike,
    "self_attention": _Walk._attention,
    "field_attention": _Walk._attention,
    "add": _Walk._joined,
    "mul": _Walk._joined,
    "slice": _Walk._slice,
    "take": _Walk._positions,
    "pad": _Walk._pad,
    "zeros": _Walk._source,
    "concat": _Walk._concat,
    "reshape": _Walk._reshape,
    "sum": _Walk._sum,
    "factorization_machine": _Walk._pool,
    "pairwise_dot": _Walk._pairwise_dot,
    "hadamard_pairs": _Walk._hadamard_pairs,
}
"""Ops through which positions can leave; all others keep what they read whole."""


def _units(atoms: Labels) -> Labels:
    """Atoms [n] as labels [n, 2] of positions that are no pairs."""
    return np.stack([atoms, np.zeros_like(atoms)], axis=1)


def _fixed_channels(node: Node) -> Labels | None:
    return np.zeros(node.type.shape[1], np.int64) if len(node.type.shape) == 2 else None
