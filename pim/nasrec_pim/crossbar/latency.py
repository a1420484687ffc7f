"""Latency of one vector through one stored matrix, in MNSIM 2.0's terms: nothing overlaps within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.crossbar import circuits
from nasrec_pim.crossbar.shape import Shape, ceil_log2, summed
from nasrec_pim.hardware import Hardware

__all__ = ["Accesses", "accesses_of", "cycle_counts", "interval_ns", "latency_ns", "merged_bits"]

Floats = NDArray[np.float64]

STAGES: tuple[tuple[str, ...], ...] = (
    ("pe_inbuf_write",),
    ("pe_inbuf_read",),
    ("DAC", "xbar", "ADC", "iReg", "shiftreg", "input_demux", "output_mux", "adder", "oReg"),
    ("jointmodule", "intra_tile_transfer", "tile_merge"),
    ("tile_outbuf_write",),
    ("tile_outbuf_read",),
)
"""What works at the same time on successive vectors, where the mapping lets them overlap."""


@dataclass(frozen=True)
class Accesses:
    """Buffer accesses that a vector waits for: of an element's input buffer and a tile's output buffer."""

    input_each_way: Floats
    output_write: Floats
    output_read: Floats


def accesses_of(shape: Shape, hardware: Hardware) -> Accesses:
    """Buffer accesses of one vector: ceil(bits / bus) with R A bits in, (ADC bits + q) C m bits written, C A m read."""
    bus, act_bits = hardware.buffer.bus_bits, shape.matrices.act_bits
    written_bits = merged_bits(shape, hardware) * shape.columns * shape.pes_per_tile
    return Accesses(
        input_each_way=np.ceil(shape.rows * act_bits / bus),
        output_write=np.ceil(written_bits / bus),
        output_read=np.ceil(shape.columns * act_bits * shape.pes_per_tile / bus),
    )


def latency_ns(
    shape: Shape, hardware: Hardware, input_access_ns: Floats, output_access_ns: Floats
) -> dict[str, Floats]:
    """Time of each component, and their sum under `total`, ns.

    Source: MNSIM 2.0's latency model of a fully connected layer, corrections where switched on. With
    n = steps x row passes x column passes and v = row passes x column passes:

    - DAC n t_DAC, crossbar n t_x, ADC n t_ADC, shift register n T, demultiplexer and multiplexer n times their delay;
    - input register (v + n) T; output register and group adders once a column pass;
    - joint modules q T with q = ceil(log2 m); transfer within the tile over ceil(log2 P) levels;
    - buffers: accesses times the time of one.

    With sampled columns (`crossbar.sample_and_hold`) inputs are applied once for all column passes.

    Args:
        shape: the matrices.
        hardware: the chip.
        input_access_ns, output_access_ns: time of a buffer access.
    """
    period = hardware.periphery.period_ns
    n, _, applied, applied_passes = cycle_counts(shape, hardware)
    buffers = accesses_of(shape, hardware)
    levels = ceil_log2(shape.pes_per_tile)
    tile_levels = float(ceil_log2(np.array(hardware.tile.pe_count)))
    adder_levels = float(ceil_log2(np.array(hardware.pe.groups)))
    width = _element_bits(shape, hardware)
    moved_bits = (tile_levels * (width + levels) - levels * (levels + 1) / 2) * shape.columns
    terms = {
        "pe_inbuf_write": input_access_ns * buffers.input_each_way,
        "pe_inbuf_read": input_access_ns * buffers.input_each_way,
        "DAC": applied * hardware.dac_ns,
        "xbar": applied * circuits.crossbar_read_ns(hardware),
        "ADC": n * hardware.adc_ns,
        "iReg": period * (applied_passes + applied),
        "shiftreg": period * n,
        "input_demux": applied * circuits.demux_ns(hardware),
        "adder": shape.column_passes * adder_levels * period,
        "output_mux": n * circuits.mux_ns(hardware),
        "oReg": shape.column_passes * period,
        "jointmodule": levels * period,
        "intra_tile_transfer": moved_bits / hardware.tile.bandwidth_Gbps,
        "tile_outbuf_write": output_access_ns * buffers.output_write,
        "tile_outbuf_read": output_access_ns * buffers.output_read,
    }
    if hardware.corrects("slice_merge"):
        terms["tile_merge"] = np.maximum(_merge_levels(shape) - levels, 0) * period
    exact = {name: np.asarray(value, dtype=np.float64) for name, value in terms.items()}
    return {**exact, "total": summed(exact.values())}


def interval_ns(latency: dict[str, Floats]) -> Floats:
    """Shortest time between the starts of two vectors whose stages overlap: the longest stage."""
    stages = [sum(latency[name] for name in stage if name in latency) for stage in STAGES]
    return np.asarray(np.maximum.reduce([np.asarray(stage, dtype=np.float64) for stage in stages]))


def cycle_counts(shape: Shape, hardware: Hardware) -> tuple[NDArray[np.int64], ...]:
    """Conversions n and passes v of a converter; applications of inputs and their passes."""
    n, passes = shape.cycles, shape.row_passes * shape.column_passes
    if hardware.crossbar.sample_and_hold:
        return n, passes, shape.steps * shape.row_passes, shape.row_passes
    return n, passes, n, passes


def _element_bits(shape: Shape, hardware: Hardware) -> Floats:
    """Width of what an element hands on: that of the ADC in MNSIM, grown by the input steps' shifts if corrected."""
    bits = np.full(len(shape.matrices), float(hardware.adc.resolution_bits))
    if hardware.corrects("sum_width"):
        bits = bits + (shape.steps - 1) * hardware.dac.resolution_bits
    return bits


def merged_bits(shape: Shape, hardware: Hardware) -> Floats:
    """Width behind the joint modules: one bit a level more; the planes' shifts too if corrected."""
    bits = _element_bits(shape, hardware) + ceil_log2(shape.pes_per_tile)
    if hardware.corrects("sum_width"):
        cell_bits = hardware.device.cell_bits if hardware.corrects("cell_bits") else 1
        bits = bits + (shape.planes - 1) * cell_bits
    return bits


def _merge_levels(shape: Shape) -> Floats:
    """Levels of additions over all planes and row blocks of an output."""
    return ceil_log2(shape.plane_sets * shape.row_blocks)
