"""The result of an estimate."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasrec_ir.ops import Home
from nasrec_pim.estimate.schedule import DIGITAL, MEMORY, Schedule, Task
from nasrec_pim.mapping.mapping import Mapping
from nasrec_pim.memory import LookupCost

__all__ = ["COMPONENTS", "NodeEstimate", "Programming", "Report", "Step", "interval_of", "occupation_of"]

COMPONENTS = (
    "xbar",
    "ADC",
    "DAC",
    "periphery",
    "buffer",
    "network",
    "arithmetic",
    "registers",
    "memory",
    "leakage",
    "standby",
)
"""Components of energy: arrays and converters; registers, multiplexers and joint modules around them; SRAM buffers;
wires within and between tiles; operations of the digital units and their operands; look-ups; leakage of buffers and
digital units; standby of the memory."""


@dataclass(frozen=True, slots=True)
class NodeEstimate:
    """One node's part, per sample.

    Attributes:
        id, op, home: the node and where it runs.
        start_ns, end_ns: from the start of its first task to the end of its last, for a sample alone.
        latency_ns: time of its tasks, waiting left out.
        energy_nJ: sum of `energies`.
        area_mm2: its tiles, and its part of what nodes share.
        tiles: numbers of the tiles that hold its matrix.
        energies: energy by component (`COMPONENTS`), nJ; components that it has none of are left out.
    """

    id: str
    op: str
    home: Home
    start_ns: float
    end_ns: float
    latency_ns: float
    energy_nJ: float
    area_mm2: float
    tiles: tuple[int, ...]
    energies: Dictionary[str, float]


@dataclass(frozen=True)
class Step:
    """A task of the critical path."""

    id: str
    stage: str
    start_ns: float
    end_ns: float


@dataclass(frozen=True)
class Programming:
    """Writing all weights once.

    Attributes:
        time_ns: until the fullest tile is written; tiles write at the same time.
        energy_nJ: of all pulses into all cells.
        cells: cells written.
        rewrites: how often the model can be written until cells wear out.
    """

    time_ns: float
    energy_nJ: float
    cells: int
    rewrites: float


def occupation_of(mapping: Mapping, tasks: Sequence[Task]) -> dict[str, float]:
    """Time for which each resource is taken by a sample, ns; see `Report.occupation`."""
    out: dict[str, float] = {}
    digital = memory = 0.0
    for task in tasks:
        if task.stage == DIGITAL:
            digital += task.busy_ns
        elif task.stage == MEMORY:
            memory += task.busy_ns
        else:
            out[mapping.nodes[task.node].id] = task.busy_ns
            for array in task.arrays:
                name = f"array {array}"
                out[name] = out.get(name, 0.0) + task.busy_ns
    if digital:
        out["digital"] = digital / mapping.hardware.digital.units
    if memory:
        out["memory"] = memory
    return out


def interval_of(mapping: Mapping, tasks: Sequence[Task]) -> float:
    """Occupation of the bottleneck, ns."""
    return max(occupation_of(mapping, tasks).values(), default=0.0)


@dataclass(frozen=True)
class Report:
    """An estimate of a graph on a chip.

    Attributes:
        mapping: what was estimated.
        nodes: every node but the inputs; energy and area of the report are sums over them, its latency is the latest
            end, and the sum over `critical_path`.
        latency_ns: one sample alone, from its arrival to its logit.
        energy_nJ: of that sample, with static power over its latency.
        area_mm2: tiles in use, digital units, and logic beside the memory.
        static_W: leakage and standby power.
        critical_path: the tasks that decide the latency, without gaps.
        tasks, times: the schedule.
        lookups: cost of the look-ups by embedding node.
    """

    mapping: Mapping
    nodes: tuple[NodeEstimate, ...]
    latency_ns: float
    energy_nJ: float
    area_mm2: float
    static_W: float
    critical_path: tuple[Step, ...]
    tasks: tuple[Task, ...]
    times: Schedule
    lookups: Dictionary[str, LookupCost]

    def __getitem__(self, node_id: str) -> NodeEstimate:
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    @cached_property
    def energy_by_component(self) -> dict[str, float]:
        """Energy of a sample by component, nJ."""
        out = dict.fromkeys(COMPONENTS, 0.0)
        for node in self.nodes:
            for name, value in node.energies.items():
                out[name] += value
        return out

    @cached_property
    def occupation(self) -> dict[str, float]:
        """Time for which each resource is taken by a sample, ns: `digital` (mean over the units), `memory`, the matrix
        of each node under its id, and shared arrays as `array N`."""
        return occupation_of(self.mapping, self.tasks)

    @property
    def bottleneck(self) -> str:
        """The resource that bounds the throughput."""
        return max(self.occupation, key=lambda name: (self.occupation[name], name), default="")

    @property
    def interval_ns(self) -> float:
        """Shortest mean time between the samples of a stream: the occupation of the bottleneck."""
        return interval_of(self.mapping, self.tasks)

    @property
    def throughput_per_s(self) -> float:
        """Samples a second of a pipelined stream."""
        return 1e9 / self.interval_ns if self.interval_ns else float("inf")

    @property
    def stream_energy_nJ(self) -> float:
        """Energy per sample of a stream at full throughput: static power counts for an interval only."""
        return self.energy_nJ - self.static_W * (self.latency_ns - self.interval_ns)

    @property
    def utilization(self) -> dict[str, float]:
        """Share of the interval for which each resource works in a stream, and of the cells that hold weights."""
        interval = self.interval_ns or 1.0
        return {name: time / interval for name, time in self.occupation.items()} | {"cells": self.mapping.utilization}

    @cached_property
    def programming(self) -> Programming:
        """Time and energy of writing the weights."""
        hardware = self.mapping.hardware
        device = hardware.device
        rows_of_tile: dict[int, float] = {}
        cells = 0
        for node in self.mapping.nodes:
            stored = node.stored
            if stored is None:
                continue
            key, planes = stored.key, stored.footprint.planes * hardware.pe.polarity * stored.key.copies
            cells += key.inputs * key.outputs * planes
            blocks = -(-key.outputs // hardware.crossbar.size)
            for tile in stored.tiles:
                rows = key.inputs * blocks * planes / len(stored.tiles)
                rows_of_tile[tile] = rows_of_tile.get(tile, 0.0) + rows
        rows_in_turn = max(rows_of_tile.values(), default=0.0) / hardware.mapping.row_writes_per_tile
        return Programming(
            time_ns=rows_in_turn * device.write_pulses * device.write_latency_ns,
            energy_nJ=cells * device.write_pulses * device.mean_write_energy_nJ,
            cells=cells,
            rewrites=device.endurance_writes / device.write_pulses,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        programming = self.programming
        return {
            "graph": self.mapping.name,
            "hardware": self.mapping.hardware.name,
            "fidelity": self.mapping.hardware.fidelity,
            "latency_ns": self.latency_ns,
            "energy_nJ": self.energy_nJ,
            "area_mm2": self.area_mm2,
            "interval_ns": self.interval_ns,
            "throughput_per_s": self.throughput_per_s,
            "stream_energy_nJ": self.stream_energy_nJ,
            "bottleneck": self.bottleneck,
            "static_W": self.static_W,
            "tiles": self.mapping.tiles,
            "cell_utilisation": self.mapping.utilization,
            "energy_by_component_nJ": self.energy_by_component,
            "programming": {
                "time_ns": programming.time_ns,
                "energy_nJ": programming.energy_nJ,
                "cells": programming.cells,
                "rewrites": programming.rewrites,
            },
            "critical_path": [[s.id, s.stage, s.start_ns, s.end_ns] for s in self.critical_path],
            "nodes": [
                {
                    "id": n.id,
                    "op": n.op,
                    "home": n.home,
                    "tiles": list(n.tiles),
                    "start_ns": n.start_ns,
                    "end_ns": n.end_ns,
                    "latency_ns": n.latency_ns,
                    "energy_nJ": n.energy_nJ,
                    "area_mm2": n.area_mm2,
                    "energies_nJ": dict(n.energies),
                }
                for n in self.nodes
            ],
        }
