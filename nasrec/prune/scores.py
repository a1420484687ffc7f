"""What a structure is worth: the mean over its rows in the matrices that make it and its columns in those that read it.

A score needs a figure for every row and every column of every stored matrix: norms of trained weights (magnitude), or
learned masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nasrec_ir import Graph
from nasrec_ir.pruning import FIXED, Coupling

__all__ = ["Floats", "Importance", "magnitudes", "matrices", "relative", "structure_scores"]

Floats = npt.NDArray[np.float64]


class Importance(NamedTuple):
    """A figure for every row [outputs] and column [inputs] of a matrix."""

    rows: Floats
    columns: Floats


def matrices(graph: Graph) -> tuple[str, ...]:
    """Ids of the nodes whose matrix is pruned: FC and EFC, the projections of dot-product, gating, sum and attention,
    the mergers, and the last layer, whose columns count though its row cannot leave. Not the channels inside attention.
    """
    return tuple(
        node.id
        for node in graph
        if node.op in ("linear", "field_linear") and (ref := node.param("weight")) is not None and ref.elements
    )


def magnitudes(weights: Mapping[str, npt.NDArray[np.floating]], norm: str = "l2") -> dict[str, Importance]:
    """Norms of rows and columns of each matrix [outputs, inputs], by node id, each in units of the matrix's mean one,
    so that matrices of different size and scale can be compared.

    Args:
        weights: trained matrices.
        norm: "l2", root of the mean square, or "l1", mean absolute value.
    """
    return {node: Importance(_norms(weight, 1, norm), _norms(weight, 0, norm)) for node, weight in weights.items()}


def _norms(weight: npt.NDArray[np.floating], axis: int, norm: str) -> Floats:
    exact = weight.astype(np.float64)
    if not exact.size:
        return np.zeros(exact.shape[1 - axis])
    return relative(np.sqrt((exact**2).mean(axis=axis)) if norm == "l2" else np.abs(exact).mean(axis=axis))


def relative(values: Floats) -> Floats:
    """In units of their mean, where they have one."""
    return np.asarray(values / max(float(values.mean()), np.finfo(np.float64).tiny)) if values.size else values


def structure_scores(coupling: Coupling, figures: Mapping[str, Importance]) -> Floats:
    """The score [coupling.count] of every structure; NaN where no matrix makes or reads it.

    The column of a pair of fields counts for both.
    """
    total, count = np.zeros(coupling.count), np.zeros(coupling.count)
    for node, (rows, columns) in figures.items():
        made, read = coupling.rows[node], coupling.columns[node]
        for labels, values in ((made, rows), (read[:, 0], columns), (read[:, 1], columns)):
            chosen = labels != FIXED
            np.add.at(total, labels[chosen], values[chosen])
            np.add.at(count, labels[chosen], 1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count > 0, total / count, np.nan))
