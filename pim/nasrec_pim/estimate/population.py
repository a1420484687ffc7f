"""Estimates of many graphs, as a search asks for them: the totals alone."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_ir import Graph
from nasrec_pim.estimate.estimate import hop_energy_nJ, lookups_of
from nasrec_pim.estimate.report import interval_of
from nasrec_pim.estimate.schedule import schedule, tasks_of
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.mapping import Mapping, map_graphs
from nasrec_pim.mapping.work import Work, work_energy_nJ

__all__ = ["Totals", "estimate_many"]

Floats = NDArray[np.float64]

CHUNK = 64
"""Graphs that are mapped together: enough to share a pass, few enough to stay in cache."""


@dataclass(frozen=True)
class Totals:
    """Totals of many graphs, arrays over them; each as in `Report`."""

    latency_ns: Floats
    energy_nJ: Floats
    area_mm2: Floats
    interval_ns: Floats

    def __len__(self) -> int:
        return len(self.latency_ns)


def estimate_many(graphs: Iterable[Graph], hardware: Hardware) -> Totals:
    """Totals of `estimate(map_graph(graph, hardware))` for each graph.

    Costs of matrices are kept with `hardware`: equal matrices of different graphs, of this call or later ones, are
    costed once.

    Raises:
        MappingError: an op has no home, or the chip has too few tiles for one of the graphs.
    """
    given = list(graphs)
    rows: list[tuple[float, float, float, float]] = []
    for start in range(0, len(given), CHUNK):
        with _uncollected():
            rows += [_totals(mapping) for mapping in map_graphs(given[start : start + CHUNK], hardware)]
    return Totals(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: mappings hold no cycles, and looking for some takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _totals(mapping: Mapping) -> tuple[float, float, float, float]:
    """Latency, energy, area and interval."""
    hardware = mapping.hardware
    lookups = lookups_of(mapping)
    tasks = tasks_of(mapping, lookups)
    latency = max(schedule(tasks, hardware.digital.units).end_ns, default=0.0)
    energy = sum([cost.energy_nJ["total"] for cost in lookups.values()])
    area_um2 = sum([cost.area_um2 for cost in lookups.values()])
    static_W = sum([cost.static_W for cost in lookups.values()])
    travels = hardware.corrects("network")
    work = [0, 0, 0, 0, 0]
    for node in mapping.nodes:
        for i, count in enumerate(node.demand.work):
            work[i] += count
        stored = node.stored
        if stored is not None:
            entry, share = stored.entry, stored.share / stored.footprint.pes
            per_vector = entry.dynamic_nJ + (hop_energy_nJ(stored, hardware) if travels else 0.0)
            energy += per_vector * node.demand.vectors
            area_um2 += entry.area_um2 * share
            static_W += entry.leakage_W * share
    energy += sum(work_energy_nJ(Work(*work), hardware).values())
    if any(work):
        area_um2 += hardware.digital.area_um2
        static_W += hardware.digital.leakage_W * (0 if "digital" in hardware.ideal else 1)
    if hardware.corrects("leakage"):
        energy += static_W * latency
    return latency, energy, 1e-6 * area_um2, interval_of(mapping, tasks)
