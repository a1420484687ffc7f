"""The parts of a chip. Here the analog side and what surrounds it: device, crossbar, converters, periphery, processing
element, tile, buffers; the rest stands in `system.py`.

Values stand in the presets (TOML); here are names, units, meanings and limits. Symbols in the docstrings are those of
the cost formulas: X crossbar side, U subarray rows, S = X/U, G groups, a and d converters per subarray, P elements per
tile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nasrec_pim.hardware.parameter import Part, parameter
from nasrec_pim.hardware.system import DigitalUnit, Memory, Noc, Policy

__all__ = [
    "CELL_BITS",
    "MOST_CELL_BITS",
    "PARTS",
    "Adc",
    "Buffer",
    "Crossbar",
    "Dac",
    "Device",
    "Pe",
    "Periphery",
    "Tile",
    "spaced_resistances",
]

CELL_BITS = ("device", "cell_bits")
"""No field of its own: levels of a cell are given by their resistances."""

MOST_CELL_BITS = 8


@dataclass(frozen=True)
class Device(Part):
    """One memory cell."""

    section: ClassVar[str] = "device"

    node_nm: int = parameter("nm", "technology node of the cell", at_least=1)
    area_um2: float = parameter("um^2", "area of one cell", above=0)
    read_latency_ns: float = parameter("ns", "time of one read of the bare cell", above=0)
    write_latency_ns: float = parameter("ns", "length of one write pulse", above=0)
    read_voltages_V: tuple[float, ...] = parameter("V", "voltages of a low and a high input", at_least=0, length=2)
    write_voltages_V: tuple[float, ...] = parameter("V", "lowest and highest write voltage", at_least=0, length=2)
    resistances_ohm: tuple[float, ...] = parameter("ohm", "resistance of each level, highest (HRS) first", above=0)
    high_input_fraction: float = parameter("", "mean share of inputs at the high voltage", at_least=0, at_most=1)
    lrs_fraction: float = parameter("", "mean share of cells in the lowest-resistance state", at_least=0, at_most=1)
    variation_percent: float = parameter("%", "standard deviation of a cell's resistance (functional)", at_least=0)
    stuck_hrs_percent: float = parameter(
        "%", "cells stuck at the highest resistance (functional)", at_least=0, at_most=100
    )
    stuck_lrs_percent: float = parameter(
        "%", "cells stuck at the lowest resistance (functional)", at_least=0, at_most=100
    )
    read_noise_percent: float = parameter("%", "standard deviation of the current of one read (functional)", at_least=0)
    drift_exponent: float = parameter("", "conductance falls as time^-exponent (functional)", at_least=0, at_most=1)
    write_pulses: int = parameter("", "program-and-verify pulses until a cell holds its level, mean", at_least=1)
    endurance_writes: float = parameter("", "writes a cell survives", above=0)

    def inconsistency(self) -> str | None:
        if len(self.resistances_ohm) < 2 or list(self.resistances_ohm) != sorted(self.resistances_ohm, reverse=True):
            return "resistances_ohm must list at least two levels, from the highest resistance to the lowest"
        return None

    @property
    def levels(self) -> int:
        """Number of levels a cell distinguishes."""
        return len(self.resistances_ohm)

    @property
    def cell_bits(self) -> int:
        """Bits a cell holds: floor(log2(levels))."""
        return int(math.log2(self.levels))

    @property
    def mean_square_read_V2(self) -> float:
        """Mean of the squared input voltage."""
        low, high = self.read_voltages_V
        return (1 - self.high_input_fraction) * low**2 + self.high_input_fraction * high**2

    @property
    def mean_read_power_W(self) -> float:
        """Mean power of one selected cell: mean square voltage times mean conductance."""
        highest, lowest = self.resistances_ohm[0], self.resistances_ohm[-1]
        # Written as one quotient so that it agrees with MNSIM to the last digit.
        resistance = highest * lowest / ((1 - self.lrs_fraction) * lowest + self.lrs_fraction * highest)
        return self.mean_square_read_V2 / resistance

    @property
    def mean_write_energy_nJ(self) -> float:
        """Energy of one write pulse into one cell: V^2 / sqrt(R_high R_low) for the length of the pulse."""
        voltage = self.write_voltages_V[-1]
        return voltage**2 / math.sqrt(self.resistances_ohm[0] * self.resistances_ohm[-1]) * self.write_latency_ns


@dataclass(frozen=True)
class Crossbar(Part):
    """A square array of cells."""

    section: ClassVar[str] = "crossbar"

    size: int = parameter("", "word lines and bit lines (X)", at_least=1, at_most=65536)
    subarray_rows: int = parameter("", "word lines of a subarray (U), which has converters of its own", at_least=1)
    cell_type: str = parameter("", "selector of a cell", choices=("1T1R", "0T1R"))
    transistor_node_nm: int = parameter("nm", "node of selectors and multiplexers", at_least=1)
    area_method: str = parameter(
        "", "area from the measured cell and its drivers, or from layout rules", choices=("measured", "layout")
    )
    row_driver_area_um2: float = parameter("um^2", "word-line driver, one a row (method measured)", at_least=0)
    sample_and_hold: bool = parameter("", "hold column currents: inputs are applied once for all columns of an array")
    wire_resistance_ohm: float = parameter("ohm", "wire between neighbouring cells (functional: IR drop)", at_least=0)
    wire_capacitance_fF: float = parameter("fF", "wire between neighbouring cells; enters no formula", at_least=0)

    @property
    def subarrays(self) -> int:
        """Subarrays per crossbar, S = X / U."""
        return self.size // self.subarray_rows


@dataclass(frozen=True)
class Dac(Part):
    """Digital-to-analog converters of the word lines."""

    section: ClassVar[str] = "dac"

    choice: int = parameter("", "row of MNSIM's table, 0 for own values", at_least=0)
    resolution_bits: int = parameter("bits", "bits applied in one step", at_least=1, at_most=16)
    area_um2: float = parameter("um^2", "area of one converter", at_least=0)
    power_W: float = parameter("W", "power while converting", at_least=0)
    rate_GSps: float = parameter("GS/s", "conversions a nanosecond", above=0)
    per_subarray: int = parameter("", "converters per subarray and group (d); 0: one a row", at_least=0)


@dataclass(frozen=True)
class Adc(Part):
    """Analog-to-digital converters of the bit lines."""

    section: ClassVar[str] = "adc"

    choice: int = parameter("", "row of MNSIM's table, 0 for own values", at_least=0)
    kind: str = parameter(
        "", "principle: successive approximation, sense amplifier, ramp", choices=("sar", "sense", "ramp")
    )
    resolution_bits: int = parameter("bits", "bits of a conversion", at_least=1, at_most=24)
    area_um2: float = parameter("um^2", "area of one converter", at_least=0)
    power_W: float = parameter("W", "power while converting", at_least=0)
    rate_GSps: float = parameter("GS/s", "conversions a nanosecond (ramp: steps a nanosecond)", above=0)
    per_subarray: int = parameter("", "converters per subarray and group (a)", at_least=1)


@dataclass(frozen=True)
class Pe(Part):
    """A processing element: groups of crossbars with their converters."""

    section: ClassVar[str] = "pe"

    groups: int = parameter("", "crossbar groups (G), each holding other bit planes of the same block", at_least=1)
    polarity: int = parameter("", "crossbars per group: 2 hold positive and negative weights apart", choices=(1, 2))
    subtraction: str = parameter("", "where the negative crossbar is subtracted", choices=("analog", "digital"))


@dataclass(frozen=True)
class Periphery(Part):
    """Digital circuits around the crossbars: adders, registers, multiplexers."""

    section: ClassVar[str] = "periphery"

    clock_MHz: float = parameter("MHz", "clock of the digital circuits", above=0)
    adder_node_nm: int = parameter("nm", "node of the group adders", at_least=1)
    adder_bits: int = parameter("bits", "width of a group adder", at_least=1)
    shift_register_node_nm: int = parameter("nm", "node of the shift registers", at_least=1)
    register_node_nm: int = parameter("nm", "node of input and output registers", at_least=1)
    joint_node_nm: int = parameter(
        "nm", "node of the joint modules, which add and shift results of elements", at_least=1
    )
    joint_bits: int = parameter("bits", "width class of a joint module", choices=(4, 8, 12, 16))

    @property
    def period_ns(self) -> float:
        """Length of a clock period."""
        return 1e3 / self.clock_MHz


@dataclass(frozen=True)
class Tile(Part):
    """A tile: a grid of processing elements around an output buffer."""

    section: ClassVar[str] = "tile"

    pes: tuple[int, ...] = parameter(
        "", "processing elements across and down (px, py)", at_least=1, at_most=1024, length=2
    )
    bandwidth_Gbps: float = parameter("Gb/s", "link between the elements of a tile", above=0)
    pooling_area_um2: float = parameter("um^2", "pooling unit of a tile", at_least=0)

    @property
    def pe_count(self) -> int:
        """Processing elements of a tile, P."""
        return self.pes[0] * self.pes[1]


@dataclass(frozen=True)
class Buffer(Part):
    """Input buffers of elements and output buffers of tiles (SRAM)."""

    section: ClassVar[str] = "buffer"

    node_nm: int = parameter("nm", "node that selects MNSIM's table", at_least=1)
    bus_bits: int = parameter("bits", "width of an access", choices=(64, 128, 256, 512))
    access_ns: float = parameter("ns", "time of an access, whatever the size, as MNSIM has it", above=0)
    cacti_node_nm: int = parameter("nm", "node of the CACTI table that corrects it", choices=(32, 45, 65, 90))
    cacti_cell: str = parameter("", "cell of the CACTI table", choices=("itrs-hp", "itrs-lop", "itrs-lstp"))


PARTS: Mapping[str, type[Part]] = {
    part.section: part
    for part in (Device, Crossbar, Dac, Adc, Pe, Periphery, Tile, Buffer, DigitalUnit, Noc, Memory, Policy)
}
"""The parts by the name of their section."""


def spaced_resistances(highest_ohm: float, lowest_ohm: float, levels: int) -> tuple[float, ...]:
    """Resistances of a cell's levels whose conductances are evenly spaced; the ends are exact."""
    step = (1 / lowest_ohm - 1 / highest_ohm) / (levels - 1)
    between = (1 / (1 / highest_ohm + step * level) for level in range(1, levels - 1))
    return (highest_ohm, *between, lowest_ohm)
