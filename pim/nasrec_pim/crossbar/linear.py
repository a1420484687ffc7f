"""The cost of stored matrices, a table of many at once; where they lie on the chip is not asked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.crossbar.area import area_um2
from nasrec_pim.crossbar.energy import BufferClasses, buffer_leakage_W, energy_nJ
from nasrec_pim.crossbar.latency import interval_ns, latency_ns
from nasrec_pim.crossbar.shape import Matrices, Shape, mapping_figures, shape_of
from nasrec_pim.hardware import Hardware

__all__ = ["CostTable", "LinearCost", "buffer_classes", "cost_table", "network_classes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearCost:
    """Cost of one stored matrix for one input vector.

    Attributes:
        latency_ns: by component, with `total`.
        interval_ns: shortest time between two vectors whose stages overlap.
        energy_nJ: by component; `digital` and `buffer` are sums of components, `total` the sum of `xbar`, `ADC`,
            `DAC`, `digital`, `buffer`, `leakage` and `wires`. `adder_not_in_total`: computed by
            MNSIM, and left out.
        area_um2: by component, with `total`; the parts of `digital` stand under `digital_parts`.
        mapping: MNSIM's mapping figures.
        leakage_W: leakage of the buffers.
    """

    latency_ns: Mapping[str, float]
    interval_ns: float
    energy_nJ: Mapping[str, float]
    area_um2: Mapping[str, Any]
    mapping: Mapping[str, float]
    leakage_W: float

    @property
    def pes(self) -> int:
        """Processing elements, M."""
        return int(self.mapping["PEs"])

    @property
    def tiles(self) -> int:
        """Tiles."""
        return int(self.mapping["tiles"])


@dataclass(frozen=True)
class CostTable:
    """Costs of many matrices; arrays over them, by component."""

    shape: Shape
    latency_ns: dict[str, Floats]
    interval_ns: Floats
    energy_nJ: dict[str, Floats]
    area_um2: dict[str, Floats]
    mapping: dict[str, Any]
    leakage_W: Floats

    def __len__(self) -> int:
        return len(self.shape.matrices)

    def row(self, index: int) -> LinearCost:
        """The cost of one of the matrices."""
        area = {name: float(value[index]) for name, value in self.area_um2.items()}
        parts = {name.removeprefix("digital."): area.pop(name) for name in list(area) if name.startswith("digital.")}
        return LinearCost(
            latency_ns={name: float(value[index]) for name, value in self.latency_ns.items()},
            interval_ns=float(self.interval_ns[index]),
            energy_nJ={name: float(value[index]) for name, value in self.energy_nJ.items()},
            area_um2={**area, "digital_parts": parts},
            mapping={
                name: (value[index].item() if isinstance(value, np.ndarray) else value)
                for name, value in self.mapping.items()
            },
            leakage_W=float(self.leakage_W[index]),
        )


def cost_table(matrices: Matrices, hardware: Hardware, classes: BufferClasses | None = None) -> CostTable:
    """Costs of many matrices in one pass.

    Args:
        matrices: what is stored.
        hardware: the chip.
        classes: size classes of the buffers; default: as each matrix alone would have them. In a network all buffers
            have the largest size that a layer needs.
    """
    shape = shape_of(matrices, hardware)
    sizes = buffer_classes(shape, hardware) if classes is None else classes
    cycle = hardware.sram.cycle_ns
    latency = latency_ns(shape, hardware, cycle[sizes.input], cycle[sizes.output])
    return CostTable(
        shape=shape,
        latency_ns=latency,
        interval_ns=interval_ns(latency),
        energy_nJ=energy_nJ(shape, hardware, sizes, latency),
        area_um2=area_um2(shape, hardware, sizes),
        mapping=mapping_figures(shape, hardware),
        leakage_W=buffer_leakage_W(shape, hardware, sizes),
    )


def buffer_classes(shape: Shape, hardware: Hardware) -> BufferClasses:
    """Size classes that each matrix alone would need."""
    sram = hardware.sram
    return BufferClasses(sram.size_class(shape.input_bytes), sram.size_class(shape.output_bytes))


def network_classes(shape: Shape, hardware: Hardware) -> BufferClasses:
    """Size classes of a chip that runs all these matrices: one size for all, the largest needed (MNSIM's rule)."""
    each = buffer_classes(shape, hardware)
    return BufferClasses(np.full_like(each.input, each.input.max()), np.full_like(each.output, each.output.max()))
