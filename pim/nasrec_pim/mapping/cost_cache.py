"""Costs of stored matrices, each computed once per hardware and many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from nasrec_pim.crossbar import CostTable, LinearCost, Matrices, buffer_classes, cost_table, shape_of
from nasrec_pim.crossbar.energy import BufferClasses
from nasrec_pim.crossbar.shape import summed
from nasrec_pim.hardware import Hardware

__all__ = ["CostCache", "Entry", "Footprint", "Key", "cost_cache_of"]


class Key(NamedTuple):
    """What determines the cost of a matrix on a chip."""

    inputs: int
    outputs: int
    weight_bits: int
    act_bits: int
    copies: int


class Footprint(NamedTuple):
    """What a matrix takes, and the buffers that it alone would need (size classes)."""

    pes: int
    tiles: int
    planes: int
    plane_sets: int
    pes_per_tile: int
    columns: int
    input_class: int
    output_class: int


class Entry(NamedTuple):
    """Cost of a matrix for one vector, in a network with buffers of given classes.

    Attributes:
        latency_ns: without summing over tiles and travelling.
        interval_ns: shortest time between vectors that overlap.
        xbar_nJ, ADC_nJ, DAC_nJ, digital_nJ, buffer_nJ, wires_nJ: energy; leakage stands apart.
        dynamic_nJ: sum of these.
        leakage_W: leakage of its buffers.
        area_um2: area of its tiles.
        table, row: where the full figures stand.
    """

    latency_ns: float
    interval_ns: float
    xbar_nJ: float
    ADC_nJ: float
    DAC_nJ: float
    digital_nJ: float
    buffer_nJ: float
    wires_nJ: float
    dynamic_nJ: float
    leakage_W: float
    area_um2: float
    table: CostTable
    row: int

    @property
    def cost(self) -> LinearCost:
        """Every component."""
        return self.table.row(self.row)


ENERGIES = ("xbar", "ADC", "DAC", "digital", "buffer", "wires")


class CostCache:
    """Costs of matrices on one chip, computed when first asked for."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._footprints: dict[Key, Footprint] = {}
        self._entries: dict[tuple[int, int], dict[Key, Entry]] = {}

    def footprints(self, keys: Iterable[Key]) -> dict[Key, Footprint]:
        """What matrices take, of at least these."""
        missing = sorted({key for key in keys if key not in self._footprints})
        if missing:
            shape = shape_of(_matrices(missing), self._hardware)
            classes = buffer_classes(shape, self._hardware)
            columns = (shape.pes, shape.tiles, shape.planes, shape.plane_sets, shape.pes_per_tile, shape.columns)
            rows = zip(*(column.tolist() for column in (*columns, classes.input, classes.output)), strict=True)
            self._footprints.update(zip(missing, (Footprint(*row) for row in rows), strict=True))
        return self._footprints

    def entries(self, keys: Iterable[Key], classes: tuple[int, int]) -> dict[Key, Entry]:
        """Costs with buffers of these classes, of at least these matrices."""
        known = self._entries.setdefault(classes, {})
        missing = sorted({key for key in keys if key not in known})
        if missing:
            fixed = BufferClasses(*(np.full(len(missing), size, dtype=np.intp) for size in classes))
            table = cost_table(_matrices(missing), self._hardware, fixed)
            columns = (
                table.latency_ns["total"],
                table.interval_ns,
                *(table.energy_nJ[name] for name in ENERGIES),
                summed(table.energy_nJ[name] for name in ENERGIES),
                table.leakage_W,
                table.area_um2["total"],
            )
            rows = zip(*(column.tolist() for column in columns), strict=True)
            for i, (key, figures) in enumerate(zip(missing, rows, strict=True)):
                known[key] = Entry._make((*figures, table, i))
        return known


def cost_cache_of(hardware: Hardware) -> CostCache:
    """The cache of a chip, kept with it."""
    if "cost_cache" not in hardware.memo:
        hardware.memo["cost_cache"] = CostCache(hardware)
    cache: CostCache = hardware.memo["cost_cache"]
    return cache


def _matrices(keys: list[Key]) -> Matrices:
    return Matrices.of(*(list(column) for column in zip(*keys, strict=True)))
