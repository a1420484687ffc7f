"""From a graph to layers: which node stands in which row, and where long edges pass.

Rows come from longest paths, twice: blocks (boxes) are ranked first, each rank a *band* of rows; inside of a box its
nodes are ranked by themselves. Boxes of one band stand side by side as *columns*. A value read further down runs there
through *waypoints*, one a row, which all its readers share: one value, one line, as few lines as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from nasrec_ir.draw.caption import acyclic_clusters
from nasrec_ir.graph import Graph

__all__ = ["Band", "Column", "Layers", "layered"]


@dataclass
class Column:
    """What stands next to other columns of its band, never interleaved with them.

    Attributes:
        key: scope of the box, id of a node outside of boxes, or `id@` of a value that only passes the band.
        cluster: whether it is a box.
        rows: items (ids of nodes, or waypoints) of each row, from left to right.
    """

    key: str
    cluster: bool
    rows: dict[int, list[str]] = field(default_factory=dict)

    @property
    def items(self) -> list[str]:
        """All items, row by row."""
        return [item for row in sorted(self.rows) for item in self.rows[row]]


@dataclass
class Band:
    """Rows `first` to `last`, and the columns in them from left to right."""

    first: int
    last: int
    columns: list[Column]


@dataclass
class Layers:
    """Rows of a graph.

    Attributes:
        bands: from top to bottom.
        row: row of each item.
        above, below: items in the neighbouring rows that each item is joined with.
        routes: waypoints from a value to one reader, both ends included.
    """

    bands: list[Band]
    row: dict[str, int]
    above: dict[str, list[str]]
    below: dict[str, list[str]]
    routes: dict[tuple[str, str], tuple[str, ...]]


def is_waypoint(item: str) -> bool:
    """Whether an item is a place where a value passes; ids of nodes hold no @."""
    return "@" in item


def layered(graph: Graph) -> Layers:
    """Rows, columns and waypoints of a verified graph, in the graph's own order from left to right."""
    boxes = acyclic_clusters(graph)
    column_of = {node.id: f"{node.id}." for node in graph}  # a dot at the end: neither a scope nor another id
    column_of.update((node_id, scope) for scope, ids in boxes.items() for node_id in ids)
    bands, row, columns = _ranked(graph, boxes, column_of)
    layers = Layers(bands, row, {node.id: [] for node in graph}, {node.id: [] for node in graph}, {})
    for node in graph:
        if graph.users[node.id]:
            _route(layers, node.id, graph.users[node.id], columns, column_of)
    return layers


def _ranked(
    graph: Graph, boxes: Mapping[str, tuple[str, ...]], column_of: Mapping[str, str]
) -> tuple[list[Band], dict[str, int], dict[str, Column]]:
    """Bands of columns by longest paths over the boxes, rows by longest paths inside of them."""
    inner: dict[str, int] = {}
    height: dict[str, int] = {}
    quotient: nx.DiGraph[str] = nx.DiGraph()
    for node in graph:
        key = column_of[node.id]
        same = [operand for operand in node.inputs if column_of[operand] == key]
        inner[node.id] = 1 + max((inner[operand] for operand in same), default=-1)
        height[key] = max(height.get(key, 0), inner[node.id] + 1)
        quotient.add_node(key)
        quotient.add_edges_from((column_of[other], key) for other in node.inputs if column_of[other] != key)
    columns = {key: Column(key, key in boxes) for key in quotient}
    bands: list[Band] = []
    start: dict[str, int] = {}
    for rank in nx.topological_generations(quotient):
        first = bands[-1].last + 1 if bands else 0
        start.update((key, first) for key in rank)
        bands.append(Band(first, first + max(height[key] for key in rank) - 1, [columns[key] for key in rank]))
    row: dict[str, int] = {}
    for node in graph:
        key = column_of[node.id]
        row[node.id] = start[key] + inner[node.id]
        columns[key].rows.setdefault(row[node.id], []).append(node.id)
    return bands, row, columns


def _route(
    layers: Layers,
    value: str,
    readers: Sequence[str],
    columns: Mapping[str, Column],
    column_of: Mapping[str, str],
) -> None:
    """Waypoints of a value down to its last reader.

    Through its own column, then through a column of its own in each band that it passes; into a box from above.
    """
    row, own = layers.row, columns[column_of[value]]
    last_row = max(row[reader] for reader in readers)
    trunk = [value]  # items that the value passes, one a row
    for band in layers.bands:
        if band.last < row[value]:
            continue
        if band.first > last_row:
            return
        inside: dict[str, list[str]] = {}
        for reader in readers:
            if band.first <= row[reader] <= band.last:
                inside.setdefault(column_of[reader], []).append(reader)
        goes_on = last_row > band.last
        if band.first <= row[value]:
            there = inside.get(own.key, ())
            last = max([row[reader] - 1 for reader in there] + [band.last] * goes_on, default=-1)
            _extend(layers, own, trunk, range(row[value] + 1, last + 1), f"{value}@")
            _finish(layers, value, trunk, there)
            continue
        for key, there in inside.items():
            branch = list(trunk)
            _extend(layers, columns[key], branch, range(band.first, max(row[r] for r in there)), f"{value}@{key}@")
            _finish(layers, value, branch, there)
        if goes_on:
            column = Column(f"{value}@", False)
            band.columns.append(column)
            _extend(layers, column, trunk, range(band.first, band.last + 1), f"{value}@")


def _extend(layers: Layers, column: Column, chain: list[str], rows: range, prefix: str) -> None:
    """Waypoints in a column's rows, at the end of a chain."""
    for here in rows:
        item = f"{prefix}{here}"
        layers.row[item] = here
        layers.above[item], layers.below[item] = [], []
        column.rows.setdefault(here, []).append(item)
        _join(layers, chain[-1], item)
        chain.append(item)


def _finish(layers: Layers, value: str, chain: Sequence[str], readers: Sequence[str]) -> None:
    """Routes along a chain to readers in the rows below."""
    for reader in readers:
        route = chain[: layers.row[reader] - layers.row[value]]
        layers.routes[value, reader] = (*route, reader)
        _join(layers, route[-1], reader)


def _join(layers: Layers, upper: str, lower: str) -> None:
    layers.below[upper].append(lower)
    layers.above[lower].append(upper)
