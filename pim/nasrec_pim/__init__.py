"""Processing-in-memory: where the nodes of a graph run on ReRAM hardware, and at what cost. No torch needed."""

from __future__ import annotations

from nasrec_pim.chip import NetworkCost, chain_cost, linear_cost
from nasrec_pim.compare import Comparison, compare
from nasrec_pim.crossbar import LinearCost
from nasrec_pim.deltas import Delta, Measured, correction_deltas, measure_linear
from nasrec_pim.draw import floorplan, gantt
from nasrec_pim.errors import HardwareError, MappingError
from nasrec_pim.estimate import NodeEstimate, Report, Tail, Totals, estimate, estimate_many, tail_latency
from nasrec_pim.functional import IDEAL, CrossbarModel, Nonideal
from nasrec_pim.hardware import CORRECTIONS, QUIRKS, Hardware, parameter_table, presets
from nasrec_pim.headroom import Headroom, headroom
from nasrec_pim.mapping import MappedNode, Mapping, map_graph
from nasrec_pim.memory import Popularity, measured_popularity, zipf_popularity
from nasrec_pim.placement import Placed, place

__all__ = [
    "CORRECTIONS",
    "IDEAL",
    "QUIRKS",
    "Comparison",
    "CrossbarModel",
    "Delta",
    "Hardware",
    "HardwareError",
    "Headroom",
    "LinearCost",
    "MappedNode",
    "Mapping",
    "MappingError",
    "Measured",
    "NetworkCost",
    "NodeEstimate",
    "Nonideal",
    "Placed",
    "Popularity",
    "Report",
    "Tail",
    "Totals",
    "chain_cost",
    "compare",
    "correction_deltas",
    "estimate",
    "estimate_many",
    "floorplan",
    "gantt",
    "headroom",
    "linear_cost",
    "map_graph",
    "measure_linear",
    "measured_popularity",
    "parameter_table",
    "place",
    "presets",
    "tail_latency",
    "zipf_popularity",
]
