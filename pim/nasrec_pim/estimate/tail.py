"""Latency under load: samples arrive at random and wait for each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.errors import MappingError
from nasrec_pim.estimate.report import Report
from nasrec_pim.estimate.schedule import Task, schedule
from nasrec_pim.hardware import Hardware
from nasrec_pim.memory.lookup import Tables, misses_cost

__all__ = ["Tail", "tail_latency"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tail:
    """Latency of a stream of samples.

    Attributes:
        arrivals_per_s: rate at which samples arrive.
        load: share of the bottleneck's time that is taken.
        mean_ns, p50_ns, p99_ns: of the time from a sample's arrival to its logit.
        samples: samples simulated.
    """

    arrivals_per_s: float
    load: float
    mean_ns: float
    p50_ns: float
    p99_ns: float
    samples: int


def tail_latency(report: Report, arrivals_per_s: float, *, samples: int = 100_000, seed: int = 0) -> Tail:
    """Latency of samples that arrive independently at a mean rate (a Poisson process).

    Each sample waits for the memory's port, then for the chip's bottleneck, and takes the latency of a sample alone
    with its own number of cache misses. In a chain of stages of constant service times samples wait as long in all as
    they would for the slowest stage alone, so that one queue stands for the chip. Simulated by Lindley's recursion.

    Args:
        report: an estimate.
        arrivals_per_s: mean arrivals a second.
        samples: samples to simulate; the first tenth warms up and is not counted.
        seed: of the random numbers.

    Raises:
        MappingError: the rate is not positive, or more than the chip can serve.
    """
    if not (np.isfinite(arrivals_per_s) and arrivals_per_s > 0):
        raise MappingError(f"arrivals_per_s = {arrivals_per_s!r:.40} must be a positive number")
    load = arrivals_per_s * report.interval_ns * 1e-9
    if load >= 1:
        raise MappingError(
            f"{arrivals_per_s:,.0f} arrivals a second exceed the chip's {report.throughput_per_s:,.0f}; "
            f"{report.bottleneck} is the bottleneck"
        )
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1e9 / arrivals_per_s, samples))
    latency, memory_busy = _samples(report, samples, rng)
    at_chip = _departures(arrivals, memory_busy) - memory_busy
    bottleneck = max((time for name, time in report.occupation.items() if name != "memory"), default=0.0)
    begins = _departures(at_chip, np.full(samples, bottleneck)) - bottleneck
    times = (begins - arrivals + latency)[samples // 10 :]
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return Tail(arrivals_per_s, load, float(times.mean()), float(p50), float(p99), samples)


def _departures(arrivals: Floats, service: Floats) -> Floats:
    """When a single server is done with each: D_n = max(A_n, D_(n-1)) + s_n, unrolled into a running maximum."""
    done = np.cumsum(service)
    return np.asarray(done + np.maximum.accumulate(arrivals - (done - service)))


def _samples(report: Report, samples: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Latency alone, and time at the memory's port, of samples with their own numbers of cache misses."""
    hardware = report.mapping.hardware
    embeddings = [(n.id, n.demand.tables) for n in report.mapping.nodes if n.demand.tables is not None]
    random = [(node, t) for node, t in embeddings if 0 < report.lookups[node].hit_rate < 1]
    if len(random) != 1:
        busy = sum(cost.busy_ns for cost in report.lookups.values())
        return np.full(samples, report.latency_ns), np.full(samples, busy)
    ((node, tables),) = random
    cost = report.lookups[node]
    misses = rng.binomial(cost.lookups, 1 - cost.hit_rate, samples)
    outcomes = [_with_misses(report, node, tables, count, hardware) for count in range(cost.lookups + 1)]
    latency, busy_of = (np.array(column) for column in zip(*outcomes, strict=True))
    return latency[misses], busy_of[misses]


def _with_misses(report: Report, node: str, tables: Tables, misses: int, hardware: Hardware) -> tuple[float, float]:
    """Latency and occupation of the memory's port with so many misses."""
    latency, busy = misses_cost(tables, misses, hardware)
    place = next(i for i, mapped in enumerate(report.mapping.nodes) if mapped.id == node)
    tasks: Sequence[Task] = [
        task._replace(duration_ns=latency, busy_ns=busy) if (task.node, task.stage) == (place, "memory") else task
        for task in report.tasks
    ]
    times = schedule(tasks, hardware.digital.units)
    return max(times.end_ns), sum(task.busy_ns for task in tasks if task.stage == "memory")
