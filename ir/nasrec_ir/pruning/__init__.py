"""Structured pruning of graphs: which positions hang together, and how a graph becomes the smaller one without them."""

from __future__ import annotations

from nasrec_ir.pruning.coupling import FIXED, Coupling, couple
from nasrec_ir.pruning.cuts import Cut, Kept
from nasrec_ir.pruning.remove import Pruned, remove

__all__ = ["FIXED", "Coupling", "Cut", "Kept", "Pruned", "couple", "remove"]
