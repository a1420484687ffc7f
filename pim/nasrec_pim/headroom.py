"""What would be gained if one part of the chip were ideal."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec_ir import Graph
from nasrec_pim.estimate import Report, estimate
from nasrec_pim.hardware import IDEAL_PARTS, Hardware
from nasrec_pim.mapping import map_graph

__all__ = ["Headroom", "headroom"]


@dataclass(frozen=True)
class Headroom:
    """The model on the chip with one part that takes neither time nor energy.

    Attributes:
        part: the ideal part; `all`: every one of them.
        latency_ns, energy_nJ, interval_ns: what is left.
        speedup, energy_gain, throughput_gain: the chip's figures over these.
    """

    part: str
    latency_ns: float
    energy_nJ: float
    interval_ns: float
    speedup: float
    energy_gain: float
    throughput_gain: float


def headroom(graph: Graph, hardware: Hardware) -> tuple[Headroom, ...]:
    """Bounds on what a better part could give, each on its own and all together.

    The mapping is made anew for each, as copies that pay on one chip may not on another.
    """
    real = estimate(map_graph(graph, hardware))
    cases = [(part, (part,)) for part in IDEAL_PARTS] + [("all", IDEAL_PARTS)]
    return tuple(_gain(name, real, estimate(map_graph(graph, hardware.idealized(*parts)))) for name, parts in cases)


def _gain(part: str, real: Report, ideal: Report) -> Headroom:
    return Headroom(
        part=part,
        latency_ns=ideal.latency_ns,
        energy_nJ=ideal.energy_nJ,
        interval_ns=ideal.interval_ns,
        speedup=_ratio(real.latency_ns, ideal.latency_ns),
        energy_gain=_ratio(real.energy_nJ, ideal.energy_nJ),
        throughput_gain=_ratio(real.interval_ns, ideal.interval_ns),
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("inf")
