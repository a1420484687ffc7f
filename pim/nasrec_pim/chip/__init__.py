"""The chip: where layers lie on the mesh of tiles, and how long results travel."""

from __future__ import annotations

from nasrec_pim.chip.network import LayerCost, NetworkCost, chain_cost, linear_cost

__all__ = ["LayerCost", "NetworkCost", "chain_cost", "linear_cost"]
