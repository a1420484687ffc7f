"""Layers on a mesh of tiles, alone or one after another, as MNSIM 2.0 times them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasrec_pim.chip.mesh import Distances, check_room, distances, mesh_of
from nasrec_pim.crossbar import LinearCost, Matrices, cost_table, network_classes, shape_of
from nasrec_pim.crossbar.linear import CostTable, Floats
from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import Hardware

__all__ = [
    "LayerCost",
    "NetworkCost",
    "alone_hops",
    "chain_cost",
    "hop_ns",
    "linear_cost",
    "merge_transfer_ns",
    "onward_transfer_ns",
]


@dataclass(frozen=True)
class LayerCost:
    """One layer of a chain.

    Attributes:
        cost: the layer for one vector, with buffers as large as the whole chain needs.
        merge_hops, onward_hops: D_in and D_out.
        merge_ns: reading the output buffer and summing over the layer's tiles.
        onward_ns: transfer to the next layer.
        latency_ns: everything.
    """

    cost: LinearCost
    merge_hops: float
    onward_hops: float
    merge_ns: float
    onward_ns: float
    latency_ns: float


@dataclass(frozen=True)
class NetworkCost:
    """A chain of layers; totals are sums over `layers`."""

    layers: tuple[LayerCost, ...]

    @property
    def latency_ns(self) -> float:
        """One vector through all layers."""
        return sum(layer.latency_ns for layer in self.layers)

    @property
    def energy_nJ(self) -> float:
        """One vector through all layers."""
        return sum(layer.cost.energy_nJ["total"] for layer in self.layers)


def linear_cost(
    K: int,
    N: int,
    weight_bits: int = 8,
    act_bits: int = 8,
    hardware: Hardware | None = None,
    *,
    copies: int = 1,
) -> LinearCost:
    """Cost of a fully connected layer of K inputs and N outputs, for one vector.

    With hardware without corrections these are the figures of MNSIM 2.0 (commit ca39ccb) for the layer alone, agreeing
    to floating-point rounding.

    Args:
        K: input features, at least 1.
        N: output features, at least 1.
        weight_bits: precision of the weights, sign included.
        act_bits: precision of inputs and outputs.
        hardware: default `Hardware.mnsim()`.
        copies: how often the matrix is stored.

    Raises:
        MappingError: a size or precision is out of range.
    """
    chip = Hardware.mnsim() if hardware is None else hardware
    table = cost_table(Matrices.of(K, N, weight_bits, act_bits, copies), chip)
    return _placed_alone(table, chip) if chip.corrects("place_single") else table.row(0)


def chain_cost(
    layers: Sequence[tuple[int, int]], weight_bits: int = 8, act_bits: int = 8, hardware: Hardware | None = None
) -> NetworkCost:
    """Fully connected layers one after another, each given by its inputs and outputs.

    MNSIM 2.0's convention: a layer starts when the last one is done, and sums its tiles' results where that makes the
    longest way to the next layer shortest. A layer alone is not placed (correction `place_single`).

    Raises:
        MappingError: a layer is malformed, or the chip has too few tiles.
    """
    chip = Hardware.mnsim() if hardware is None else hardware
    if not layers or any(len(layer) != 2 for layer in layers):
        raise MappingError(f"layers = {layers!r:.60} must be pairs (inputs, outputs), at least one")
    inputs, outputs = zip(*layers, strict=True)
    matrices = Matrices.of(inputs, outputs, weight_bits, act_bits)
    table = cost_table(matrices, chip, network_classes(shape_of(matrices, chip), chip))
    ways = _chain_distances(table, chip)
    merge = merge_transfer_ns(table, ways.merge, chip)
    onward = onward_transfer_ns(matrices.outputs * matrices.act_bits, ways.onward, chip)
    rows = []
    for i in range(len(layers)):
        cost = table.row(i)
        rows.append(
            LayerCost(
                cost=cost,
                merge_hops=float(ways.merge[i]),
                onward_hops=float(ways.onward[i]),
                merge_ns=cost.latency_ns["tile_outbuf_read"] + float(merge[i]),
                onward_ns=float(onward[i]),
                latency_ns=cost.latency_ns["total"] + float(merge[i]) + float(onward[i]),
            )
        )
    return NetworkCost(tuple(rows))


def merge_transfer_ns(table: CostTable, hops: Floats, hardware: Hardware) -> Floats:
    """Time to sum results over the tiles of each layer: D_in (T + C m A / bandwidth)."""
    shape = table.shape
    bits = shape.columns * shape.pes_per_tile * shape.matrices.act_bits
    return _hops_ns(bits, hops, hardware, hardware.periphery.period_ns)


def onward_transfer_ns(bits: Floats | np.ndarray, hops: Floats, hardware: Hardware) -> Floats:
    """Time to send results on: D_out times the bits over the bandwidth."""
    router = hardware.periphery.period_ns if hardware.corrects("network") else 0.0
    return _hops_ns(bits, hops, hardware, router)


def hop_ns(bits: float, hops: float, hardware: Hardware, *, router: bool = False) -> float:
    """Time of one transfer; `router` adds a clock a hop in MNSIM too, as it does where tiles are merged."""
    if "network" in hardware.ideal:
        return 0.0
    streamed = bits / hardware.noc.bandwidth_Gbps
    period = hardware.periphery.period_ns
    if hardware.corrects("network"):
        return hops * period + streamed if hops > 0 else 0.0
    return hops * ((period if router else 0.0) + streamed)


def _hops_ns(bits: np.ndarray, hops: Floats, hardware: Hardware, router_ns: float) -> Floats:
    """Every hop stores all and forwards it (MNSIM), or the bits stream through all routers (correction `network`)."""
    streamed = bits / hardware.noc.bandwidth_Gbps
    if hardware.corrects("network"):
        return np.asarray(hops * router_ns + np.where(hops > 0, streamed, 0.0))
    return np.asarray(hops * (router_ns + streamed))


def alone_hops(tiles: int, hardware: Hardware) -> Floats:
    """D_in of a layer that lies alone on the chip's first tiles."""
    check_room(tiles, hardware)
    mesh = mesh_of(hardware)
    return distances(mesh, np.arange(tiles), np.zeros(1, dtype=np.int64), [[]], np.zeros(1, dtype=bool)).merge


def _placed_alone(table: CostTable, hardware: Hardware) -> LinearCost:
    """The cost of a matrix that lies on the chip alone, summing over its tiles included."""
    cost = table.row(0)
    merge = float(merge_transfer_ns(table, alone_hops(cost.tiles, hardware), hardware)[0])
    latency = {**cost.latency_ns, "merge_transfer": merge, "total": cost.latency_ns["total"] + merge}
    return replace(cost, latency_ns=latency)


def _chain_distances(table: CostTable, hardware: Hardware) -> Distances:
    count = len(table)
    counts = table.shape.tiles
    check_room(int(counts.sum()), hardware)
    if count == 1 and not hardware.corrects("place_single"):
        return Distances(np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64))
    starts = np.cumsum(counts) - counts
    successors = [[i + 1] for i in range(count - 1)] + [[]]
    tiles = np.arange(int(counts.sum()))
    return distances(mesh_of(hardware), tiles, starts, successors, np.zeros(count, dtype=bool))
