"""Latency, energy, area and throughput of a mapped graph."""

from __future__ import annotations

from nasrec_pim.estimate.estimate import estimate
from nasrec_pim.estimate.population import Totals, estimate_many
from nasrec_pim.estimate.report import COMPONENTS, NodeEstimate, Programming, Report, Step
from nasrec_pim.estimate.tail import Tail, tail_latency

__all__ = [
    "COMPONENTS",
    "NodeEstimate",
    "Programming",
    "Report",
    "Step",
    "Tail",
    "Totals",
    "estimate",
    "estimate_many",
    "tail_latency",
]
