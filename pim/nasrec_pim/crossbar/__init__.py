"""Stored matrices on crossbar tiles: shape, latency, energy, area."""

from __future__ import annotations

from nasrec_pim.crossbar.linear import CostTable, LinearCost, buffer_classes, cost_table, network_classes
from nasrec_pim.crossbar.shape import Matrices, Shape, shape_of

__all__ = [
    "CostTable",
    "LinearCost",
    "Matrices",
    "Shape",
    "buffer_classes",
    "cost_table",
    "network_classes",
    "shape_of",
]
