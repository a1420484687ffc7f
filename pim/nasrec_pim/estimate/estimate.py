"""What a mapped graph costs: latency along the critical path, energy, area, throughput."""

from __future__ import annotations

import numpy as np

from nasrec_pim.estimate.report import NodeEstimate, Report, Step
from nasrec_pim.estimate.schedule import Schedule, Task, schedule, tasks_of
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.mapping import MappedNode, Mapping, Stored
from nasrec_pim.mapping.work import work_energy_nJ
from nasrec_pim.memory import LookupCost, lookup_cost

__all__ = ["estimate", "hop_energy_nJ", "lookups_of"]


def estimate(mapping: Mapping) -> Report:
    """Estimates a mapped graph.

    One sample alone on the chip gives the latency, the end of the last task; energy is that of the sample, with static
    power for as long as the sample takes. For a stream see `Report.interval_ns` and `Report.stream_energy_nJ`.
    """
    hardware = mapping.hardware
    lookups = lookups_of(mapping)
    tasks = tasks_of(mapping, lookups)
    times = schedule(tasks, hardware.digital.units)
    latency = max(times.end_ns, default=0.0)
    busy = _digital_busy(mapping, tasks)
    static_W = _static_W(mapping, lookups, busy)
    nodes = _nodes(mapping, tasks, times, lookups, static_W, busy, latency)
    return Report(
        mapping=mapping,
        nodes=nodes,
        latency_ns=latency,
        energy_nJ=sum(node.energy_nJ for node in nodes),
        area_mm2=sum(node.area_mm2 for node in nodes),
        static_W=sum(static_W),
        critical_path=_critical_path(mapping, tasks, times),
        tasks=tuple(tasks),
        times=times,
        lookups=lookups,
    )


def lookups_of(mapping: Mapping) -> dict[str, LookupCost]:
    """Cost of the look-ups of each embedding."""
    tables = ((node.id, node.demand.tables) for node in mapping.nodes)
    return {node_id: lookup_cost(t, mapping.hardware) for node_id, t in tables if t is not None}


def _digital_busy(mapping: Mapping, tasks: list[Task]) -> list[float]:
    """Each node's share of all digital work, by time."""
    busy = [0.0] * len(mapping.nodes)
    for task in tasks:
        if task.stage == "digital":
            busy[task.node] += task.duration_ns
    total = sum(busy)
    return [time / total for time in busy] if total else busy


def _static_W(mapping: Mapping, lookups: dict[str, LookupCost], busy: list[float]) -> list[float]:
    """Power that each node's hardware draws all the time; MNSIM has none (correction `leakage`)."""
    hardware = mapping.hardware
    if not hardware.corrects("leakage"):
        return [0.0] * len(mapping.nodes)
    digital = hardware.digital.leakage_W * (0 if "digital" in hardware.ideal else 1)
    out = []
    for node, share in zip(mapping.nodes, busy, strict=True):
        power = share * digital
        if node.stored is not None:
            power += node.stored.entry.leakage_W * (node.stored.share / node.stored.footprint.pes)
        elif node.home == "memory":
            power += lookups[node.id].static_W
        out.append(power)
    return out


def _nodes(
    mapping: Mapping,
    tasks: list[Task],
    times: Schedule,
    lookups: dict[str, LookupCost],
    static_W: list[float],
    busy: list[float],
    latency: float,
) -> tuple[NodeEstimate, ...]:
    hardware = mapping.hardware
    digital_mm2 = 1e-6 * hardware.digital.area_um2
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    service = [0.0] * len(mapping.nodes)
    for task, start, end in zip(tasks, times.start_ns, times.end_ns, strict=True):
        first.setdefault(task.node, start)
        last[task.node] = end
        service[task.node] += task.duration_ns
    out = []
    ends: dict[str, float] = {}
    for place, node in enumerate(mapping.nodes):
        energies = _energies(node, hardware, lookups)
        if static_W[place]:
            energies["standby" if node.home == "memory" else "leakage"] = static_W[place] * latency
        area = busy[place] * digital_mm2
        if node.stored is not None:
            area += 1e-6 * node.stored.entry.area_um2 * (node.stored.share / node.stored.footprint.pes)
        elif node.home == "memory":
            area += 1e-6 * lookups[node.id].area_um2
        if place not in first:  # wires: at hand as soon as what they come from
            first[place] = last[place] = max((ends[s] for s in node.demand.sources), default=0.0)
        ends[node.id] = last[place]
        out.append(
            NodeEstimate(
                id=node.id,
                op=node.demand.op,
                home=node.home,
                start_ns=first[place],
                end_ns=last[place],
                latency_ns=service[place],
                energy_nJ=sum(energies.values()),
                area_mm2=area,
                tiles=node.stored.tiles if node.stored is not None else (),
                energies=energies,
            )
        )
    return tuple(out)


def _energies(node: MappedNode, hardware: Hardware, lookups: dict[str, LookupCost]) -> dict[str, float]:
    """Energy of a node by component, static power aside."""
    out = work_energy_nJ(node.demand.work, hardware)
    stored = node.stored
    if stored is not None:
        entry, vectors = stored.entry, node.demand.vectors
        out["xbar"] = entry.xbar_nJ * vectors
        out["ADC"] = entry.ADC_nJ * vectors
        out["DAC"] = entry.DAC_nJ * vectors
        out["periphery"] = entry.digital_nJ * vectors
        out["buffer"] = entry.buffer_nJ * vectors
        if hardware.corrects("network"):
            out["network"] = (entry.wires_nJ + hop_energy_nJ(stored, hardware)) * vectors
    elif node.home == "memory":
        out["memory"] = lookups[node.id].energy_nJ["total"]
    return out


def hop_energy_nJ(stored: Stored, hardware: Hardware) -> float:
    """Energy of a vector's travel to its matrix, over its tiles, and back."""
    if "network" in hardware.ideal:
        return 0.0
    hops, key = stored.hops, stored.key
    bits = key.inputs * hops.deliver + key.outputs * (hops.merge + hops.collect)
    return bits * key.act_bits * hardware.noc.hop_pJ_per_bit * 1e-3


def _critical_path(mapping: Mapping, tasks: list[Task], times: Schedule) -> tuple[Step, ...]:
    """The chain of tasks, each started by the end of the one before, that ends last."""
    if not tasks:
        return ()
    at = int(np.argmax(times.end_ns))
    out = []
    while at >= 0:
        out.append(Step(mapping.nodes[tasks[at].node].id, tasks[at].stage, times.start_ns[at], times.end_ns[at]))
        at = times.because[at]
    return tuple(reversed(out))
