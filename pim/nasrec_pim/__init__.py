"""Processing-in-memory: where the nodes of a graph run on ReRAM hardware. No torch needed."""

from __future__ import annotations

from nasrec_pim.placement import Placed, place

__all__ = ["Placed", "place"]
