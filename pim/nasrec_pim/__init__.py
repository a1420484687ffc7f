"""Processing-in-memory: where the nodes of a graph run on ReRAM hardware, and at what cost. No torch needed."""

from __future__ import annotations

from nasrec_pim.chip import NetworkCost, chain_cost
from nasrec_pim.crossbar import LinearCost, linear_cost
from nasrec_pim.deltas import Delta, Measured, correction_deltas, measure_linear
from nasrec_pim.errors import HardwareError, MappingError
from nasrec_pim.hardware import CORRECTIONS, QUIRKS, Hardware, figure_table, presets
from nasrec_pim.placement import Placed, place

__all__ = [
    "CORRECTIONS",
    "QUIRKS",
    "Delta",
    "Hardware",
    "HardwareError",
    "LinearCost",
    "MappingError",
    "Measured",
    "NetworkCost",
    "Placed",
    "chain_cost",
    "correction_deltas",
    "figure_table",
    "linear_cost",
    "measure_linear",
    "place",
    "presets",
]
