"""Two designs side by side: ratios of speed, energy and area, each under a declared assumption."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec_pim.estimate import Report

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """One figure of both designs.

    Attributes:
        what: `"speed"`, `"energy"` or `"area"`.
        assumption: under which the figures are taken.
        a, b: the figures.
        unit: theirs.
        ratio: by how much A is better; below 1 it is worse.
    """

    what: str
    assumption: str
    a: float
    b: float
    unit: str
    ratio: float


def compare(a: Report, b: Report) -> tuple[Comparison, ...]:
    """Ratios of design A over design B.

    Speed: latency of one sample, and throughput of a stream as it is, and for each mm^2 (as many chips as fit into the
    same area). Energy: of one sample alone and of a sample in a stream, everything counted; without the memory's
    standby, which a host pays anyway; and without all static power and look-ups, what the chip itself switches.
    """
    return (
        _less("speed", "latency of one sample", a.latency_ns / 1e3, b.latency_ns / 1e3, "us"),
        _more("speed", "throughput of a stream", a.throughput_per_s, b.throughput_per_s, "samples/s"),
        _more(
            "speed",
            "throughput in equal area",
            _over(a.throughput_per_s, a.area_mm2),
            _over(b.throughput_per_s, b.area_mm2),
            "samples/s/mm2",
        ),
        _less("energy", "one sample alone, everything", a.energy_nJ / 1e3, b.energy_nJ / 1e3, "uJ"),
        _less("energy", "in a stream, everything", a.stream_energy_nJ / 1e3, b.stream_energy_nJ / 1e3, "uJ"),
        _less("energy", "one sample alone, without standby", _without(a, "standby"), _without(b, "standby"), "uJ"),
        _less("energy", "switched on the chip alone", _without(a, *OFF_CHIP), _without(b, *OFF_CHIP), "uJ"),
        _less("area", "tiles in use and digital units", a.area_mm2, b.area_mm2, "mm2"),
    )


OFF_CHIP = ("standby", "leakage", "memory")


def _without(report: Report, *components: str) -> float:
    return (report.energy_nJ - sum(report.energy_by_component[name] for name in components)) / 1e3


def _less(what: str, assumption: str, a: float, b: float, unit: str) -> Comparison:
    return Comparison(what, assumption, a, b, unit, _over(b, a))


def _more(what: str, assumption: str, a: float, b: float, unit: str) -> Comparison:
    return Comparison(what, assumption, a, b, unit, _over(a, b))


def _over(above: float, below: float) -> float:
    return above / below if below else float("inf")
