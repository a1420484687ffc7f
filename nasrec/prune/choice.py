"""Which structures leave in a round: the lowest, as far as every layer keeps its least."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nasrec.errors import PruneError
from nasrec.prune.scores import Floats, Importance, matrices, structure_scores
from nasrec.prune.settings import PruneSettings
from nasrec_ir import Graph, cost
from nasrec_ir.pruning import FIXED, Coupling, Pruned, couple, remove

__all__ = ["may_leave", "prune_lowest", "require_room"]


def prune_lowest(graph: Graph, coupling: Coupling, scores: Floats, settings: PruneSettings) -> Pruned:
    """The graph without its lowest structures: `settings.share` of its MACs, or of its structures.

    Args:
        graph: an executable graph.
        coupling: of that graph.
        scores: [coupling.count], NaN for structures that stay.
        settings: `share`, `by`, `ranking`, `min_units` and `features` count.

    Raises:
        PruneError: the layers cannot give as much as that and keep `min_units` each.
    """
    ranked = _ranked(graph, coupling, scores, settings)
    order = ranked[_allowed(coupling, ranked, _sizes(graph, coupling), settings.min_units)]
    if settings.by == "structures":
        wanted = max(1, round(settings.share * len(ranked)))
        if len(order) < wanted:
            raise _too_much(graph, f"only {len(order)} of the {wanted} structures asked for can leave")
        return _without(graph, coupling, order[:wanted])
    return _down_to(graph, coupling, order, (1 - settings.share) * cost(graph).macs)


def require_room(graph: Graph, settings: PruneSettings) -> None:
    """Raises `PruneError` if not as much can leave as all rounds together are to drop."""
    coupling = couple(graph)
    worth = {
        node: Importance(*(np.ones(size) for size in ref.view_shape))
        for node in matrices(graph)
        if (ref := graph[node].param("weight")) is not None
    }
    if not worth:
        raise PruneError(f"{graph.name}: has no FC, EFC, projection or merger to prune")
    wanted = 1 - (1 - settings.share) ** settings.rounds
    prune_lowest(graph, coupling, structure_scores(coupling, worth), replace(settings, share=wanted))


def may_leave(graph: Graph, coupling: Coupling, settings: PruneSettings) -> npt.NDArray[np.bool_]:
    """Which structures [coupling.count] the settings let leave: without `features` none that is an input column."""
    allowed = np.ones(coupling.count, bool)
    if not settings.features:
        for node in graph:
            if node.op in ("input", "embedding") and node.id in coupling.rows:
                labels = coupling.rows[node.id]
                allowed[labels[labels != FIXED]] = False
    return allowed


def _ranked(graph: Graph, coupling: Coupling, scores: Floats, settings: PruneSettings) -> npt.NDArray[np.int64]:
    """Structures that may leave, lowest first."""
    known = np.isfinite(scores) & may_leave(graph, coupling, settings)
    rank = scores.copy()
    if settings.ranking == "matrix":  # the share of its layer that is lower
        for members in _layers(coupling):
            members = members[known[members]]
            rank[members[np.argsort(scores[members], kind="stable")]] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.argsort(rank, kind="stable")
    return order[known[order]]


def _layers(coupling: Coupling) -> list[npt.NDArray[np.int64]]:
    """Structures by the set of nodes that make them."""
    makers: dict[int, list[str]] = defaultdict(list)
    for node, labels in coupling.rows.items():
        for structure in np.unique(labels[labels != FIXED]):
            makers[int(structure)].append(node)
    layers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for structure in sorted(makers):
        layers[tuple(makers[structure])].append(structure)
    return [np.array(members, np.int64) for members in layers.values()]


def _sizes(graph: Graph, coupling: Coupling) -> dict[str, int]:
    """Rows of the nodes that must keep some of theirs; what pads fill in may leave altogether. Of an argument only
    those columns count that are read, whose number the structures tell; of a product only those rows that it gives on,
    not those that its norm alone reads."""
    sizes = {}
    for node, labels in coupling.rows.items():
        if graph[node].op == "input":
            sizes[node] = int((labels != FIXED).sum())
        elif graph[node].op not in ("pad", "zeros"):
            sizes[node] = len(labels[: dict(graph[node].attrs).get("keep")])
    return sizes


def _allowed(
    coupling: Coupling, order: npt.NDArray[np.int64], sizes: dict[str, int], min_units: int
) -> npt.NDArray[np.bool_]:
    """Whether each structure may leave after those before it."""
    rows_of: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for node in sizes:
        labels = coupling.rows[node]
        for structure, rows in zip(*np.unique(labels[labels != FIXED], return_counts=True), strict=True):
            rows_of[int(structure)].append((node, int(rows)))
    left = dict(sizes)
    allowed = np.zeros(len(order), bool)
    for place, structure in enumerate(order):
        rows = rows_of[int(structure)]
        if all(left[node] - count >= min(min_units, sizes[node]) for node, count in rows):
            allowed[place] = True
            for node, count in rows:
                left[node] -= count
    return allowed


def _down_to(graph: Graph, coupling: Coupling, order: npt.NDArray[np.int64], macs: float) -> Pruned:
    """Without as few structures as bring the MACs down to this."""
    low, high = 0, len(order)
    best = _without(graph, coupling, order)
    if cost(best.graph).macs > macs:
        raise _too_much(graph, f"at most {1 - cost(best.graph).macs / max(1, cost(graph).macs):.1%} of its MACs can go")
    while high - low > 1:
        middle = (low + high) // 2
        found = _without(graph, coupling, order[:middle])
        if cost(found.graph).macs <= macs:
            high, best = middle, found
        else:
            low = middle
    return best


def _without(graph: Graph, coupling: Coupling, leaving: npt.NDArray[np.int64]) -> Pruned:
    return remove(graph, coupling.cuts(leaving))


def _too_much(graph: Graph, why: str) -> PruneError:
    return PruneError(f"{graph.name}: {why} with every layer keeping its least; lower share, rounds or min_units")
