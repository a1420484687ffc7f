"""Pictures of mapped graphs, as SVG text."""

from __future__ import annotations

from nasrec_pim.draw.floorplan import floorplan
from nasrec_pim.draw.gantt import gantt

__all__ = ["floorplan", "gantt"]
