"""SRAM buffers: MNSIM's tables, and CACTI's at the same interface.

Sizes are rounded up to the next size of a table, and down to its largest one, as MNSIM does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec_pim.errors import HardwareError

__all__ = ["Sram", "cacti_sram", "mnsim_sram"]

DATA = Path(__file__).with_name("data")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sram:
    """One kind of SRAM over all its sizes; arrays are indexed by size class.

    Attributes:
        sizes_bytes: the sizes of the table, ascending.
        cycle_ns: time of an access.
        read_nJ, write_nJ: energy of an access.
        leakage_W: leakage.
        area_um2: area.
    """

    sizes_bytes: Floats
    cycle_ns: Floats
    read_nJ: Floats
    write_nJ: Floats
    leakage_W: Floats
    area_um2: Floats

    def size_class(self, size_bytes: ArrayLike) -> NDArray[np.intp]:
        """Index of the smallest size that holds this many bytes."""
        return np.minimum(np.searchsorted(self.sizes_bytes, size_bytes), len(self.sizes_bytes) - 1)


@cache
def mnsim_sram(node_nm: int, bus_bits: int, access_ns: float) -> Sram:
    """MNSIM's tables: three banks by node, every access takes `access_ns`."""
    bank = 90 if node_nm >= 90 else 65 if node_nm >= 65 else 0
    rows = [r for r in _rows("mnsim_sram.json") if r["from_node_nm"] == bank and r["bus_bits"] == bus_bits]
    return _table(rows, np.full(len(rows), access_ns))


@cache
def cacti_sram(node_nm: int, cell: str, bus_bits: int) -> Sram:
    """CACTI 7's figures, with its random cycle time as the time of an access.

    Raises:
        HardwareError: the table has no such node, cell and bus.
    """
    every = _rows("cacti.json")
    rows = [r for r in every if (r["node_nm"], r["cell"], r["bus_bits"]) == (node_nm, cell, bus_bits)]
    if not rows:
        known = sorted({f"{r['node_nm']} nm {r['cell']} {r['bus_bits']} bits" for r in every})
        raise HardwareError(
            f"buffer: no CACTI table for {node_nm} nm {cell} {bus_bits} bits; there are {', '.join(known)}"
        )
    return _table(rows, np.array([r["cycle_ns"] for r in rows]))


def _table(rows: list[dict[str, Any]], cycle_ns: Floats) -> Sram:
    def column(name: str) -> Floats:
        return np.array([row[name] for row in rows], dtype=np.float64)

    return Sram(
        sizes_bytes=column("size_bytes"),
        cycle_ns=cycle_ns,
        read_nJ=column("read_nJ"),
        write_nJ=column("write_nJ"),
        leakage_W=column("leakage_mW") * 1e-3,
        area_um2=column("area_mm2") * 1e6,
    )


@cache
def _rows(name: str) -> list[dict[str, Any]]:
    """The rows of a table, by size within each kind."""
    table = json.loads((DATA / name).read_text(encoding="utf-8"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return sorted(rows, key=lambda row: row["size_bytes"])
