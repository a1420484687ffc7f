"""What leaves a graph, and what is left of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec_ir.types import Segments, merge

__all__ = ["Cut", "Indices", "Kept", "ranges_of"]

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Cut:
    """What leaves at one node.

    Attributes:
        rows: positions of its result: output units or fields of a stored matrix (of a `channel_linear`, channels; with
            `keep`, of the product before it), fields of an embedding, columns of a real-valued argument, positions
            that a `pad` or `zeros` fills.
        columns: positions of the joined operands of a stored matrix that it does not read any more, though others may.
    """

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Kept:
    """Where the values of a pruned graph's parameter stand in the original one.

    Attributes:
        node, role: whose parameter it was.
        rows, columns: the kept rows and columns of what that node read, ascending; None: all of them.
    """

    node: str
    role: str
    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None

    def take(self, values: Any) -> Any:
        """The kept entries of an array or tensor that holds the original node's parameter."""
        if self.rows is not None:
            values = values[list(self.rows)]
        return values if self.columns is None else values[:, list(self.columns)]


def ranges_of(positions: Indices) -> Segments:
    """Ascending positions as ranges."""
    return merge((int(i), int(i) + 1) for i in positions)
