"""From a graph to tiles, digital units and memory."""

from __future__ import annotations

from nasrec_pim.mapping.mapping import MappedNode, Mapping, Stored, map_graph, map_graphs

__all__ = ["MappedNode", "Mapping", "Stored", "map_graph", "map_graphs"]
