"""Latency and energy of a sample's look-ups: plain DRAM, ranks that work on their own (RecNMP), or ReRAM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nasrec_pim.crossbar.circuits import cell_power_W, crossbar_read_ns
from nasrec_pim.hardware import Hardware
from nasrec_pim.hardware.choices import ADC_CHOICES
from nasrec_pim.memory.popularity import Popularity, hit_rate, zipf_popularity

__all__ = ["LookupCost", "Tables", "lookup_cost", "lookup_ns", "misses_cost"]


@dataclass(frozen=True)
class Tables:
    """The tables of an embedding.

    Attributes:
        rows: rows of each table.
        dim: entries of a row.
        popularity: of each table's rows; None: Zipf with the memory's exponent.
    """

    rows: tuple[int, ...]
    dim: int
    popularity: tuple[Popularity, ...] | None = None


@dataclass(frozen=True)
class LookupCost:
    """Cost of one sample's look-ups.

    Attributes:
        latency_ns: until the last row has arrived, at the mean number of cache misses.
        busy_ns: time for which the memory cannot serve the next sample.
        energy_nJ: by component, with `total`; background power stands under `static_W`.
        static_W: power drawn all the time.
        area_um2: on this chip, or beside the memory.
        lookups: rows looked up.
        hit_rate: share of them that the cache answers.
        table_bytes: size of the tables.
    """

    latency_ns: float
    busy_ns: float
    energy_nJ: dict[str, float]
    static_W: float
    area_um2: float
    lookups: int
    hit_rate: float
    table_bytes: int


def lookup_cost(tables: Tables, hardware: Hardware) -> LookupCost:
    """Cost of one look-up (or `memory.pooling` look-ups) into every table.

    Sources: DDR4 timing and RecNMP's energies as the preset states them; see `lookup_ns`. In ReRAM every table has
    arrays of its own, whose rows are read in parallel by sense amplifiers.
    """
    cost = _lookup_cost(tables, hardware)
    if "memory" not in hardware.ideal:
        return cost
    return replace(cost, latency_ns=0.0, busy_ns=0.0, energy_nJ=dict.fromkeys(cost.energy_nJ, 0.0), static_W=0.0)


def _lookup_cost(tables: Tables, hardware: Hardware) -> LookupCost:
    memory = hardware.memory
    lookups = len(tables.rows) * memory.pooling
    row_bits = tables.dim * memory.entry_bits
    table_bytes = sum(tables.rows) * row_bits // 8
    if memory.home == "reram":
        return _reram(tables, hardware, lookups, row_bits, table_bytes)
    hits = _hit_rate(tables.rows, tables.dim, tables.popularity, hardware)
    misses = lookups * (1 - hits)
    near = memory.home == "near-memory"
    crossing = _crossing(tables, misses, hardware)
    latency, busy = misses_cost(tables, misses, hardware)
    energy = {
        "activate": misses * memory.activate_nJ,
        "array": misses * row_bits * memory.array_pJ_per_bit * 1e-3,
        "io": crossing * row_bits * memory.io_pJ_per_bit * 1e-3,
        "cache": (lookups if memory.cache_KB > 0 else 0) * memory.cache_pJ * 1e-3,
        "pooling": (lookups - len(tables.rows)) * tables.dim * memory.add_pJ * 1e-3,
    }
    return LookupCost(
        latency_ns=latency,
        busy_ns=busy,
        energy_nJ={**energy, "total": sum(energy.values())},
        static_W=memory.channels * memory.ranks * memory.static_mW_per_rank * 1e-3,
        area_um2=memory.near_memory_area_mm2 * 1e6 * math.ceil(memory.channels * memory.ranks / 2) if near else 0.0,
        lookups=lookups,
        hit_rate=hits,
        table_bytes=table_bytes,
    )


def misses_cost(tables: Tables, misses: float, hardware: Hardware) -> tuple[float, float]:
    """Latency of a sample's look-ups with so many cache misses, and time until the next sample's can begin."""
    memory = hardware.memory
    row_bits = tables.dim * memory.entry_bits
    crossing = _crossing(tables, misses, hardware)
    arrived = lookup_ns(misses, crossing, row_bits, hardware)
    burst = memory.tbl_clocks * memory.clock_ns
    # The first row's delay passes while the next sample's rows are asked for.
    busy = max(arrived - _first_ns(row_bits, hardware), 0.0) + burst if arrived else burst
    cached = memory.cache_ns if memory.cache_KB > 0 else 0.0
    return arrived + cached, busy


def _crossing(tables: Tables, misses: float, hardware: Hardware) -> float:
    """Rows that cross the channels: pooled beside the ranks, one a table; else every one that is not cached."""
    return float(len(tables.rows)) if hardware.memory.home == "near-memory" else misses


def lookup_ns(misses: float, crossing: float, row_bits: int, hardware: Hardware) -> float:
    """Time until the last of a sample's rows has arrived from DRAM.

    The slowest of two: a rank's activations, a quarter of tFAW (at least tRRD, and the bursts of a row) apart, the last
    followed by tRCD + tCL and its bursts; and the channel, which carries one burst after the other.

    Args:
        misses: rows read from DRAM, spread evenly over the ranks.
        crossing: rows that cross the channels.
        row_bits: size of a row.
        hardware: the chip and its memory.
    """
    if misses <= 0:
        return crossing_ns(crossing, row_bits, hardware)
    return max(rank_ns(misses, row_bits, hardware), crossing_ns(crossing, row_bits, hardware))


def rank_ns(misses: float, row_bits: int, hardware: Hardware) -> float:
    """Time until the busiest rank has read its rows."""
    memory = hardware.memory
    bursts = _bursts(row_bits, hardware) * memory.tbl_clocks
    of_a_rank = max(1.0, _share(misses, memory.channels * memory.ranks))
    spacing = max(memory.tfaw_clocks / 4, memory.trrd_clocks, bursts)
    return (of_a_rank - 1) * spacing * memory.clock_ns + _first_ns(row_bits, hardware)


def crossing_ns(rows: float, row_bits: int, hardware: Hardware) -> float:
    """Time until the last row has crossed its channel."""
    memory = hardware.memory
    if rows <= 0:
        return 0.0
    bursts = _share(rows, memory.channels) * _bursts(row_bits, hardware) * memory.tbl_clocks
    return (memory.trcd_clocks + memory.tcl_clocks + bursts) * memory.clock_ns


def _share(rows: float, parts: int) -> float:
    """Rows of the fullest of equal parts; a mean that is no whole number is shared as it is."""
    return math.ceil(rows / parts) if float(rows).is_integer() else rows / parts


def _first_ns(row_bits: int, hardware: Hardware) -> float:
    memory = hardware.memory
    bursts = _bursts(row_bits, hardware) * memory.tbl_clocks
    return (memory.trcd_clocks + memory.tcl_clocks + bursts) * memory.clock_ns


def _bursts(row_bits: int, hardware: Hardware) -> int:
    return -(-row_bits // (8 * hardware.memory.line_bytes))


@lru_cache(maxsize=256)
def _hit_rate(rows: tuple[int, ...], dim: int, popularity: tuple[Popularity, ...] | None, hardware: Hardware) -> float:
    memory = hardware.memory
    caches = memory.channels * memory.ranks if memory.home == "near-memory" else 1
    capacity = caches * memory.cache_KB * 1024 * 8 / (dim * memory.entry_bits)
    known: Sequence[Popularity] = popularity or [zipf_popularity(n, memory.zipf_exponent) for n in rows]
    return hit_rate(known, capacity)


def _reram(tables: Tables, hardware: Hardware, lookups: int, row_bits: int, table_bytes: int) -> LookupCost:
    memory, device = hardware.memory, hardware.device
    sense = ADC_CHOICES[8]
    cells = -(-row_bits // device.cell_bits)
    # A cell of several levels is sensed once a bit, against one reference after the other.
    read_ns = (crossbar_read_ns(hardware) + 1 / sense["rate_GSps"]) * device.cell_bits
    transfer_ns = lookups * row_bits / hardware.noc.bandwidth_Gbps
    energy = {
        "array": lookups * cells * cell_power_W(hardware) * read_ns,
        "sense": lookups * row_bits * sense["power_W"] / sense["rate_GSps"],
        "pooling": (lookups - len(tables.rows)) * tables.dim * memory.add_pJ * 1e-3,
    }
    stored_cells = 8 * table_bytes / device.cell_bits
    return LookupCost(
        latency_ns=memory.pooling * read_ns + transfer_ns,
        busy_ns=max(memory.pooling * read_ns, transfer_ns),
        energy_nJ={**energy, "total": sum(energy.values())},
        static_W=0.0,
        area_um2=stored_cells * device.area_um2 * memory.reram_area_factor,
        lookups=lookups,
        hit_rate=0.0,
        table_bytes=table_bytes,
    )
