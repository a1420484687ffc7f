"""Energy of one vector through one stored matrix: what is switched on, times how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.crossbar import circuits
from nasrec_pim.crossbar.latency import accesses_of, cycle_counts, merged_bits
from nasrec_pim.crossbar.shape import (
    Shape,
    ceil_div,
    ceil_log2,
    column_passes,
    digital_subtraction,
    driven_rows,
    input_demux,
    output_mux,
    shape_of,
    summed,
)
from nasrec_pim.hardware import Hardware

__all__ = ["DIGITAL_PARTS", "TOTAL_PARTS", "BufferClasses", "buffer_leakage_W", "energy_nJ"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DIGITAL_PARTS = ("shiftreg", "iReg", "oReg", "input_demux", "output_mux", "jointmodule")
"""Components that `digital` sums up."""

TOTAL_PARTS = ("xbar", "ADC", "DAC", "digital", "buffer", "leakage", "wires")
"""Components that `total` sums up."""


@dataclass(frozen=True)
class BufferClasses:
    """Size classes of the buffers in the SRAM table, arrays over matrices."""

    input: NDArray[np.intp]
    output: NDArray[np.intp]


def energy_nJ(
    shape: Shape, hardware: Hardware, classes: BufferClasses, latency: dict[str, Floats]
) -> dict[str, Floats]:
    """Energy of each component, of `digital` and `buffer` together, and their `total`, nJ.

    Source: MNSIM 2.0's power model times its latency terms: power x time of a unit, times the units at work and the
    cycles that they work. Units are counted as full tiles of full arrays; with the correction `partial_arrays` as used.

    Args:
        shape: the matrices.
        hardware: the chip.
        classes: sizes of the buffers.
        latency: result of `latency_ns`.
    """
    working = shape_of(shape.matrices.single_copies(), hardware) if hardware.corrects("replication") else shape
    work = _used(working, hardware) if hardware.corrects("partial_arrays") else _full(working, hardware)
    period = hardware.periphery.period_ns
    register = circuits.register_power_W(hardware) * period
    terms = {
        "xbar": work.cell_reads * (circuits.cell_power_W(hardware) * circuits.crossbar_read_ns(hardware))
        + work.half_selected_V2_S * circuits.crossbar_read_ns(hardware),
        "ADC": work.adc_conversions * (hardware.adc_power_W * hardware.adc_ns),
        "DAC": work.dac_conversions * (hardware.dac_power_W * hardware.dac_ns),
        "shiftreg": work.adc_conversions * (circuits.shift_register_power_W(hardware) * period),
        "iReg": work.input_registers * register,
        "oReg": work.output_registers * register,
        "input_demux": work.dac_conversions * (circuits.demux_power_W(hardware) * circuits.demux_ns(hardware)),
        "output_mux": work.adc_conversions * (circuits.mux_power_W(hardware) * circuits.mux_ns(hardware)),
        "jointmodule": work.joint_additions * (circuits.joint_power_W(hardware) * period),
    }
    adder = work.group_additions * (circuits.adder_power_W(hardware) * period)
    counted = hardware.corrects("adder_energy")
    read, write = _buffers(work, working, hardware, classes, latency)
    nothing = np.zeros(len(shape.matrices))
    digital = summed([adder if counted else nothing, *(terms[name] for name in DIGITAL_PARTS)])
    out = {
        **terms,
        "adder": adder if counted else np.zeros_like(adder),
        "adder_not_in_total": np.zeros_like(adder) if counted else adder,
        "buffer_read": read,
        "buffer_write": write,
        "digital": digital,
        "buffer": read + write,
        "leakage": _leakage(shape, hardware, classes) * latency["total"],
        "wires": _wires(working, hardware),
    }
    return {**out, "total": summed(out[name] for name in TOTAL_PARTS)}


def buffer_leakage_W(shape: Shape, hardware: Hardware, classes: BufferClasses) -> Floats:
    """Leakage of the input buffers of all elements and the output buffers of all tiles of a matrix."""
    leakage = hardware.sram.leakage_W
    return np.asarray(shape.pes * leakage[classes.input] + shape.tiles * leakage[classes.output])


@dataclass(frozen=True)
class _Work:
    """Units at work times cycles, for one vector."""

    cell_reads: Floats
    half_selected_V2_S: Floats
    dac_conversions: Floats
    adc_conversions: Floats
    input_registers: Floats
    output_registers: Floats
    group_additions: Floats
    joint_additions: Floats
    input_buffers: Floats
    output_buffers: Floats
    input_accesses: Floats
    output_writes: Floats
    output_reads: Floats


def _full(shape: Shape, hardware: Hardware) -> _Work:
    """MNSIM's count: m elements in every tile, R x C cells in every crossbar, whatever the last ones hold."""
    demux, mux, polarity = input_demux(hardware), output_mux(hardware), hardware.pe.polarity
    n, _, applied, applied_passes = cycle_counts(shape, hardware)
    elements = shape.tiles * shape.pes_per_tile
    crossbars = elements * shape.groups_used
    both = digital_subtraction(hardware) and hardware.corrects("digital_subtraction")
    columns = shape.columns * (2 if both else 1)
    dacs = ceil_div(shape.rows, demux)
    adcs = ceil_div(columns, mux) * _subarray_factor(hardware)
    turns = applied if hardware.crossbar.sample_and_hold else n / mux
    buffers = accesses_of(shape, hardware)
    idle_columns = hardware.crossbar.size - shape.columns
    return _Work(
        cell_reads=crossbars * polarity * shape.rows * shape.columns / demux * turns,
        half_selected_V2_S=crossbars * polarity * _half_selected(shape.rows, idle_columns, hardware) / demux * turns,
        dac_conversions=_f(crossbars * dacs * applied),
        adc_conversions=_f(crossbars * adcs * n),
        input_registers=_f(crossbars * dacs * (applied_passes + applied)),
        output_registers=_f(crossbars * adcs * shape.column_passes),
        group_additions=_f(elements * (shape.groups_used - 1) * adcs * shape.column_passes * _adder_levels(hardware)),
        joint_additions=shape.tiles * (shape.pes_per_tile - 1) * adcs * ceil_log2(shape.pes_per_tile),
        input_buffers=_f(elements),
        output_buffers=_f(shape.tiles),
        input_accesses=elements * buffers.input_each_way,
        output_writes=shape.tiles * buffers.output_write,
        output_reads=shape.tiles * buffers.output_read,
    )


def _used(shape: Shape, hardware: Hardware) -> _Work:
    """Every row, column and element counted as far as the matrix fills it."""
    m, size, bus = shape.matrices, hardware.crossbar.size, hardware.buffer.bus_bits
    polarity, held = hardware.pe.polarity, hardware.crossbar.sample_and_hold
    both = digital_subtraction(hardware) and hardware.corrects("digital_subtraction")
    stored = shape.planes * m.copies
    row_passes = _over_blocks(m.inputs, size, lambda rows: ceil_div(rows, driven_rows(hardware)))
    column_turns = _over_blocks(m.outputs, size, lambda columns: column_passes(columns, hardware))
    turns = shape.column_blocks if held else column_turns
    converted = stored * m.outputs * (2 if both else 1) * _subarray_factor(hardware)
    idle_columns = shape.column_blocks * size - m.outputs
    width = merged_bits(shape, hardware)
    sets = shape.plane_sets * m.copies
    return _Work(
        cell_reads=_f(polarity * stored * m.inputs * m.outputs * shape.steps),
        half_selected_V2_S=polarity * stored * _half_selected(m.inputs, idle_columns, hardware) * shape.steps,
        dac_conversions=_f(stored * m.inputs * shape.steps * turns),
        adc_conversions=_f(converted * shape.steps * row_passes),
        input_registers=_f(stored * m.inputs * (shape.steps + 1) * turns),
        output_registers=_f(converted * shape.row_blocks),
        group_additions=_f((shape.planes - shape.plane_sets) * m.copies * m.outputs * shape.row_blocks),
        joint_additions=_f((shape.plane_sets * shape.row_blocks - 1) * m.copies * m.outputs),
        input_buffers=_f(shape.pes),
        output_buffers=shape.pes / hardware.tile.pe_count,
        input_accesses=_over_blocks(m.inputs, size, lambda rows: ceil_div(rows * m.act_bits, bus))
        * (shape.column_blocks * sets),
        output_writes=_over_blocks(m.outputs, size, lambda columns: np.ceil(columns * width / bus))
        * (shape.row_blocks * sets),
        output_reads=_over_blocks(m.outputs, size, lambda columns: ceil_div(columns * m.act_bits, bus))
        * (shape.row_blocks * sets),
    )


def _buffers(
    work: _Work, shape: Shape, hardware: Hardware, classes: BufferClasses, latency: dict[str, Floats]
) -> tuple[Floats, Floats]:
    """Energy of reads and of writes. MNSIM: power of both buffers for the time of both; corrected: own accesses."""
    sram = hardware.sram
    cycle_in, cycle_out = sram.cycle_ns[classes.input], sram.cycle_ns[classes.output]
    # Leakage that is counted over all time must not count during accesses again.
    leak_in, leak_out = (
        np.zeros(len(shape.matrices)) if hardware.corrects("leakage") else sram.leakage_W[c]
        for c in (classes.input, classes.output)
    )
    out = []
    for way, energy, output_accesses in (
        ("read", sram.read_nJ, work.output_reads),
        ("write", sram.write_nJ, work.output_writes),
    ):
        power_in = energy[classes.input] / cycle_in + leak_in
        power_out = energy[classes.output] / cycle_out + leak_out
        if hardware.corrects("buffer_accesses"):
            out.append(work.input_accesses * power_in * cycle_in + output_accesses * power_out * cycle_out)
        else:
            time = latency[f"tile_outbuf_{way}"] + latency[f"pe_inbuf_{way}"]
            out.append((work.input_buffers * power_in + work.output_buffers * power_out) * time)
    return out[0], out[1]


def _leakage(shape: Shape, hardware: Hardware, classes: BufferClasses) -> Floats:
    if not hardware.corrects("leakage"):
        return np.zeros(len(shape.matrices))
    return buffer_leakage_W(shape, hardware, classes)


def _wires(shape: Shape, hardware: Hardware) -> Floats:
    """Inputs to all elements and their sums back, within tiles."""
    m = shape.matrices
    if not hardware.corrects("network") or "network" in hardware.ideal:
        return np.zeros(len(m))
    inputs = m.inputs * m.act_bits * shape.column_blocks
    outputs = merged_bits(shape, hardware) * m.outputs * shape.row_blocks
    return (inputs + outputs) * shape.plane_sets * m.copies * hardware.noc.intra_tile_pJ_per_bit * 1e-3


def _half_selected(rows: Ints, idle_columns: Ints, hardware: Hardware) -> Floats:
    """Power of half-selected cells, W: a quarter of a selected HRS cell's, where there is no transistor (0T1R)."""
    if hardware.crossbar.cell_type == "1T1R":
        return np.zeros(len(rows))
    power = hardware.device.mean_square_read_V2 / hardware.device.resistances_ohm[0]
    return _f(0.25 * rows * idle_columns * power)


def _over_blocks(total: Ints, size: int, count: Callable[[Ints], NDArray[Any]]) -> Floats:
    """Sum of `count` over the blocks that `size` cuts a length into."""
    full, rest = np.divmod(total, size)
    return _f(full * count(np.full_like(total, size)) + np.where(rest > 0, count(rest), 0))


def _subarray_factor(hardware: Hardware) -> int:
    return hardware.subarrays if hardware.corrects("subarray_adcs") else 1


def _adder_levels(hardware: Hardware) -> float:
    return float(ceil_log2(np.array(hardware.pe.groups)))


def _f(values: NDArray[Any]) -> Floats:
    return np.asarray(values, dtype=np.float64)
