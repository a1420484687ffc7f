"""What surrounds the tiles: digital unit, network on chip, memory of the embedding tables, mapping policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasrec_pim.hardware.parameter import Part, parameter

__all__ = ["DigitalUnit", "Memory", "Noc", "Policy"]


@dataclass(frozen=True)
class DigitalUnit(Part):
    """The vector unit for everything that is no product with a stored matrix: products between activations,
    norms, activation functions, sums."""

    section: ClassVar[str] = "digital"

    units: int = parameter("", "units on the chip; each runs one node at a time", at_least=1, at_most=4096)
    lanes: int = parameter("", "operations of one kind a unit starts in a clock", at_least=1, at_most=65536)
    special_lanes: int = parameter("", "roots, quotients and exponentials a unit starts in a clock", at_least=1)
    clock_MHz: float = parameter("MHz", "clock", above=0)
    depth_clocks: int = parameter("clocks", "pipeline depth, paid once in each pass over the data", at_least=0)
    multiply_pJ: float = parameter("pJ", "energy of one multiplication", at_least=0)
    add_pJ: float = parameter("pJ", "energy of one addition, comparison or selection", at_least=0)
    special_pJ: float = parameter("pJ", "energy of one root, quotient or exponential", at_least=0)
    register_pJ_per_byte: float = parameter("pJ/byte", "reading or writing operands in the unit's memory", at_least=0)
    lane_area_um2: float = parameter("um^2", "area of a lane with its share of registers", at_least=0)
    special_lane_area_um2: float = parameter("um^2", "area of a special lane", at_least=0)
    leakage_mW: float = parameter("mW", "leakage of one unit", at_least=0)

    @property
    def leakage_W(self) -> float:
        """Leakage of all units."""
        return self.units * self.leakage_mW * 1e-3

    @property
    def area_um2(self) -> float:
        """Area of all units."""
        return self.units * (self.lanes * self.lane_area_um2 + self.special_lanes * self.special_lane_area_um2)


@dataclass(frozen=True)
class Noc(Part):
    """Mesh of tiles."""

    section: ClassVar[str] = "noc"

    grid: tuple[int, ...] = parameter("", "tiles across and down", at_least=1, at_most=1024, length=2)
    hub: tuple[float, ...] = parameter("tiles", "place of digital units and memory port: row, column", length=2)
    order: str = parameter("", "how layers take tiles", choices=("rows", "snake", "shells", "zigzag"))
    bandwidth_Gbps: float = parameter("Gb/s", "link between neighbouring tiles", above=0)
    hop_pJ_per_bit: float = parameter("pJ/bit", "router and link of one hop (correction `network`)", at_least=0)
    intra_tile_pJ_per_bit: float = parameter("pJ/bit", "wires within a tile (correction `network`)", at_least=0)
    router_area_um2: float = parameter("um^2", "router and links of a tile (correction `network`)", at_least=0)

    @property
    def tiles(self) -> int:
        """Tiles on the chip."""
        return self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Memory(Part):
    """Where the embedding tables lie, and what a look-up costs.

    `dram`: rows cross the channel to the chip. `near-memory`: ranks work on their own and may pool the rows of a table
    before they cross (RecNMP). `reram`: tables lie in crossbars used as plain memory.
    """

    section: ClassVar[str] = "memory"

    home: str = parameter("", "what holds the tables", choices=("dram", "near-memory", "reram"))
    entry_bits: int = parameter("bits", "precision of a stored entry", at_least=1, at_most=64)
    channels: int = parameter("", "memory channels", at_least=1, at_most=64)
    ranks: int = parameter("", "ranks per channel", at_least=1, at_most=64)
    clock_ns: float = parameter("ns", "memory clock", above=0)
    line_bytes: int = parameter("bytes", "bytes of one burst", at_least=1)
    trcd_clocks: float = parameter("clocks", "row to column delay", at_least=0)
    tcl_clocks: float = parameter("clocks", "column to data delay", at_least=0)
    tbl_clocks: float = parameter("clocks", "length of a burst", above=0)
    trrd_clocks: float = parameter("clocks", "between activations of a rank", at_least=0)
    tfaw_clocks: float = parameter("clocks", "window that holds at most four activations of a rank", at_least=0)
    activate_nJ: float = parameter("nJ", "activating and precharging a row", at_least=0)
    array_pJ_per_bit: float = parameter("pJ/bit", "reading from the array", at_least=0)
    io_pJ_per_bit: float = parameter("pJ/bit", "crossing the channel", at_least=0)
    add_pJ: float = parameter("pJ", "one addition beside a rank", at_least=0)
    static_mW_per_rank: float = parameter("mW", "active standby of a rank", at_least=0)
    cache_KB: float = parameter("KB", "cache, per rank if near memory and in all otherwise; 0: none", at_least=0)
    cache_ns: float = parameter("ns", "time of a cache hit", at_least=0)
    cache_pJ: float = parameter("pJ", "energy of a cache access", at_least=0)
    zipf_exponent: float = parameter("", "popularity of a table's rows: share of rank r ~ r^-exponent", at_least=0)
    pooling: int = parameter("", "rows of a table per sample that are summed (1 on Criteo, Avazu and KDD)", at_least=1)
    reram_area_factor: float = parameter("", "area of ReRAM tables over that of their cells", at_least=1)
    near_memory_area_mm2: float = parameter("mm^2", "logic beside the memory, per two ranks", at_least=0)


@dataclass(frozen=True)
class Policy(Part):
    """Free choices of the mapping, and how vectors follow one another."""

    section: ClassVar[str] = "mapping"

    act_bits: int = parameter("bits", "precision of activations", at_least=1, at_most=32)
    weight_bits: int = parameter("bits", "precision of weights of no stated precision", at_least=1, at_most=32)
    copies: int = parameter("", "most copies of a matrix that is applied to several vectors per sample", at_least=1)
    matrix_home: str = parameter("", "what holds stored matrices", choices=("crossbar", "digital"))
    packing: bool = parameter("", "let several small matrices share an array")
    overlap_vectors: bool = parameter("", "start the next vector while the last one is in later stages of its element")
    row_writes_per_tile: int = parameter("", "rows that a tile programs at once", at_least=1)
