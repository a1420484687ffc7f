"""Area of the tiles that stored matrices take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.crossbar import circuits
from nasrec_pim.crossbar.energy import BufferClasses
from nasrec_pim.crossbar.shape import Shape, summed
from nasrec_pim.hardware import Hardware

__all__ = ["area_um2"]

Floats = NDArray[np.float64]


def area_um2(shape: Shape, hardware: Hardware, classes: BufferClasses) -> dict[str, Floats]:
    """Area by component, um^2, with the parts of `digital` under `digital.NAME`, and the `total`.

    Source: MNSIM 2.0's area model. Per tile: P G crossbars of each polarity, their converters, registers and
    multiplexers; P - 1 joint modules a converter; P input buffers and an output buffer; a pooling unit. Elements of the
    last tile that the matrix leaves to others are charged to it too, except with the correction `partial_arrays`.
    """
    element, tile = _parts(hardware)
    share = (
        shape.pes / hardware.tile.pe_count if hardware.corrects("partial_arrays") else shape.tiles.astype(np.float64)
    )
    elements = share * hardware.tile.pe_count
    sram = hardware.sram.area_um2
    parts = {name: elements * area for name, area in element.items()}
    digital = {f"digital.{name}": parts[name] for name in ELEMENT_DIGITAL} | {
        "digital.jointmodule": share * tile.joint_um2
    }
    out = {
        **{name: parts[name] for name in ("xbar", "ADC", "DAC")},
        "digital": summed(digital.values()),
        "buffer": elements * sram[classes.input] + share * sram[classes.output],
        "pooling": share * tile.pooling_um2,
        "network": share * tile.router_um2,
    }
    return {**out, **digital, "total": summed(out.values())}


ELEMENT_DIGITAL = ("adder", "shiftreg", "iReg", "oReg", "input_demux", "output_mux")


@dataclass(frozen=True)
class _TileParts:
    joint_um2: float
    pooling_um2: float
    router_um2: float


@lru_cache(maxsize=256)
def _parts(hardware: Hardware) -> tuple[dict[str, float], _TileParts]:
    """Areas per processing element, and what a tile has once."""
    groups, subarrays = hardware.pe.groups, hardware.subarrays
    adcs = groups * hardware.adc.per_subarray * subarrays
    dacs = groups * hardware.dacs_per_subarray * subarrays
    register = circuits.register_area_um2(hardware)
    element = {
        "xbar": groups * hardware.pe.polarity * circuits.crossbar_area_um2(hardware),
        "ADC": adcs * hardware.adc_area_um2,
        "DAC": dacs * hardware.dac.area_um2,
        # G - 1 adders sum the groups of a column, in each subarray.
        "adder": hardware.adc.per_subarray * subarrays * (subarrays * (groups - 1)) * circuits.adder_area_um2(hardware),
        "shiftreg": adcs * circuits.shift_register_area_um2(hardware),
        "iReg": dacs * register,
        "oReg": adcs * register,
        "input_demux": dacs * circuits.demux_area_um2(hardware),
        "output_mux": adcs * circuits.mux_area_um2(hardware),
    }
    tile = _TileParts(
        joint_um2=(hardware.tile.pe_count - 1) * adcs * circuits.joint_area_um2(hardware),
        pooling_um2=0.0 if hardware.corrects("pooling_area") else hardware.tile.pooling_area_um2,
        router_um2=hardware.noc.router_area_um2 if hardware.corrects("network") else 0.0,
    )
    return element, tile
