"""What each correction of MNSIM changes: alone on top of the tool, and missing from the physical fidelity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasrec_pim.chip import linear_cost
from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import CORRECTIONS, PHYSICAL, Hardware

__all__ = ["Delta", "Measured", "correction_deltas", "measure_linear"]


@dataclass(frozen=True)
class Measured:
    """The figures that are compared."""

    latency_ns: float
    energy_nJ: float
    area_um2: float


@dataclass(frozen=True)
class Delta:
    """What one correction does.

    Attributes:
        name, doc: the correction.
        alone: MNSIM with this correction only; None where it cannot run.
        step: MNSIM with this correction and all before it.
        without: the physical fidelity without it; None where it cannot run.
    """

    name: str
    doc: str
    alone: Measured | None
    step: Measured
    without: Measured | None


def correction_deltas(
    measure: Callable[[Hardware], Measured], hardware: Hardware
) -> tuple[Measured, tuple[Delta, ...], Measured]:
    """MNSIM's figures, what each correction changes, and the physical fidelity's figures.

    Args:
        measure: figures of something on a chip, for example `measure_linear(512, 1024)`.
        hardware: the chip; its own corrections are left aside.
    """
    base = measure(hardware.with_corrections("mnsim"))
    deltas, so_far = [], []
    for name in PHYSICAL:
        so_far.append(name)
        deltas.append(
            Delta(
                name=name,
                doc=CORRECTIONS[name].doc,
                alone=_or_none(measure, hardware, (name,)),
                step=measure(hardware.with_corrections(so_far)),
                without=_or_none(measure, hardware, tuple(other for other in PHYSICAL if other != name)),
            )
        )
    return base, tuple(deltas), deltas[-1].step


def measure_linear(K: int, N: int, weight_bits: int = 8, act_bits: int = 8, copies: int = 1) -> Callable[..., Measured]:
    """Measures a layer alone (`linear_cost`)."""

    def measure(hardware: Hardware) -> Measured:
        cost = linear_cost(K, N, weight_bits, act_bits, hardware, copies=copies)
        return Measured(cost.latency_ns["total"], cost.energy_nJ["total"], cost.area_um2["total"])

    return measure


def _or_none(measure: Callable[[Hardware], Measured], hardware: Hardware, names: tuple[str, ...]) -> Measured | None:
    try:
        return measure(hardware.with_corrections(names))
    except MappingError:
        return None
