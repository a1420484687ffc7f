"""Area, power and delay of the circuits around a crossbar, scaled as MNSIM 2.0 does (its built-in tables)."""

from __future__ import annotations

from nasrec_pim.crossbar.shape import input_demux, output_mux
from nasrec_pim.hardware import Hardware

__all__ = [
    "adder_area_um2",
    "adder_power_W",
    "cell_power_W",
    "crossbar_area_um2",
    "crossbar_read_ns",
    "demux_area_um2",
    "demux_ns",
    "demux_power_W",
    "joint_area_um2",
    "joint_power_W",
    "mux_area_um2",
    "mux_ns",
    "mux_power_W",
    "register_area_um2",
    "register_power_W",
    "shift_register_area_um2",
    "shift_register_power_W",
]

REFERENCE_NM = 65
"""Node at which registers and joint modules are tabulated; others scale with the square."""

ADDER_NODES_NM = (28, 45, 55, 130)
JOINT_AREA_UM2 = {4: 182.88, 8: 353.76, 12: 385.44, 16: 512.16}
JOINT_POWER_W = {4: 1.39e-4, 8: 2.64e-4, 12: 3.67e-4, 16: 4.97e-4}
MUX_TRANSISTORS = ((2, 8), (4, 24), (8, 72), (16, 216), (32, 648))
MUX_TRANSISTORS_MAX = 1944
DEMUX_STAGE_NS, MUX_STAGE_NS = 0.27933, 0.032744
MUX_POWER_W = 12e-9
"""Per transistor of a multiplexer."""


def crossbar_area_um2(hardware: Hardware) -> float:
    """Cells and word-line drivers, or cells by layout rules: 4 F^2 (0T1R), 12 F^2 (1T1R)."""
    crossbar = hardware.crossbar
    cells = crossbar.size**2
    if crossbar.area_method == "measured":
        return cells * hardware.device.area_um2 + crossbar.row_driver_area_um2 * crossbar.size
    factor = 4 if crossbar.cell_type == "0T1R" else 12
    return factor * cells * hardware.device.node_nm**2 * 1e-6


def crossbar_read_ns(hardware: Hardware) -> float:
    """Read of the device and a wire term in s, the crossbar's size in KB at a bit a cell."""
    s = hardware.crossbar.size**2 / 8192
    return hardware.device.read_latency_ns + 1e-3 * (2e-4 * s**2 + 5e-6 * s + 4e-14)


def cell_power_W(hardware: Hardware) -> float:
    """Mean power of a selected cell."""
    return hardware.device.mean_read_power_W


def demux_ns(hardware: Hardware) -> float:
    """Delay of the demultiplexers between DACs and rows."""
    return DEMUX_STAGE_NS * _depth(input_demux(hardware))


def mux_ns(hardware: Hardware) -> float:
    """Delay of the multiplexers between columns and ADCs; the ratio counts one polarity."""
    return MUX_STAGE_NS * _depth(-(-hardware.crossbar.size // hardware.adc.per_subarray))


def demux_area_um2(hardware: Hardware) -> float:
    return _transistors(input_demux(hardware)) * _mux_transistor_um2(hardware)


def mux_area_um2(hardware: Hardware) -> float:
    return _transistors(output_mux(hardware)) * _mux_transistor_um2(hardware)


def demux_power_W(hardware: Hardware) -> float:
    return _transistors(input_demux(hardware)) * MUX_POWER_W


def mux_power_W(hardware: Hardware) -> float:
    return _transistors(output_mux(hardware)) * MUX_POWER_W


def adder_area_um2(hardware: Hardware) -> float:
    """A group adder: 140 F^2 a bit, with F the next node of a table; 1.42 um^2 a bit at 65 nm."""
    node, bits = hardware.periphery.adder_node_nm, hardware.periphery.adder_bits
    if node == REFERENCE_NM:
        return bits * 1.42
    feature = next((f for f in ADDER_NODES_NM if f >= node), ADDER_NODES_NM[-1])
    return bits * 10 * 14 * feature**2 / 1e6


def adder_power_W(hardware: Hardware) -> float:
    return hardware.periphery.adder_bits * (3e-7 if hardware.periphery.adder_node_nm == REFERENCE_NM else 2.5e-9)


def shift_register_area_um2(hardware: Hardware) -> float:
    return 1.42 * _scale(hardware.periphery.shift_register_node_nm)


def shift_register_power_W(hardware: Hardware) -> float:
    return 8.1e-7 * _scale(hardware.periphery.shift_register_node_nm)


def register_area_um2(hardware: Hardware) -> float:
    """An input or output register."""
    return 1.4256 * _scale(hardware.periphery.register_node_nm)


def register_power_W(hardware: Hardware) -> float:
    return 18.8e-9 * _scale(hardware.periphery.register_node_nm)


def joint_area_um2(hardware: Hardware) -> float:
    return JOINT_AREA_UM2[hardware.periphery.joint_bits] * _scale(hardware.periphery.joint_node_nm)


def joint_power_W(hardware: Hardware) -> float:
    return JOINT_POWER_W[hardware.periphery.joint_bits] * _scale(hardware.periphery.joint_node_nm)


def _scale(node_nm: int) -> float:
    return (node_nm / REFERENCE_NM) ** 2


def _transistors(ratio: int) -> int:
    return next((count for limit, count in MUX_TRANSISTORS if ratio <= limit), MUX_TRANSISTORS_MAX)


def _mux_transistor_um2(hardware: Hardware) -> float:
    return 10 * hardware.crossbar.transistor_node_nm**2 * 1e-6


def _depth(ratio: int) -> int:
    """Stages of a tree of 8-way multiplexers: one, and one for each time that 8 divides into the ratio."""
    stages = 1
    while ratio > 0:
        stages, ratio = stages + 1, ratio // 8
    return stages
