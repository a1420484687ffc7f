"""The floor of tiles: which node's matrix lies where, and how full each tile is."""

from __future__ import annotations

from nasrec_pim.chip.mesh import mesh_of
from nasrec_pim.draw.svg import color, document, rectangle, text
from nasrec_pim.mapping.mapping import Mapping

__all__ = ["floorplan", "tile_contents"]

CELL, GAP, MARGIN, HEAD = 34.0, 3.0, 16.0, 46.0
LEGEND_WIDTH, LEGEND_LINES = 230.0, 40


def floorplan(mapping: Mapping) -> str:
    """The tiles in use on their places in the mesh, as SVG.

    A tile is filled as high as its cells hold weights, with a band for each node in the node's colour. Under the
    pointer it names everything that it holds.
    """
    contents = tile_contents(mapping)
    mesh = mesh_of(mapping.hardware)
    rows = [int(mesh.rows[tile]) for tile in contents]
    columns = [int(mesh.columns[tile]) for tile in contents]
    across, down = max(columns, default=0) + 1, max(rows, default=0) + 1
    order = {node.id: number for number, node in enumerate(n for n in mapping.nodes if n.stored is not None)}
    cells_of_tile = mapping.cells_allocated / mapping.tiles if mapping.tiles else 1.0
    title = (
        f"{mapping.name or 'model'} on {mapping.hardware.name}: {mapping.tiles:,} tiles, "
        f"{mapping.utilization:.1%} of their cells hold weights"
    )
    elements = [text(MARGIN, 20, title, size=13), text(MARGIN, 36, "digital units and memory: left of the marked tile")]
    for tile, held in contents.items():
        x = MARGIN + int(mesh.columns[tile]) * (CELL + GAP)
        y = HEAD + int(mesh.rows[tile]) * (CELL + GAP)
        full = min(1.0, sum(held.values()) / cells_of_tile)
        tip = f"tile {tile}, {full:.1%} full: " + ", ".join(f"{n} {c / cells_of_tile:.1%}" for n, c in held.items())
        elements.append(rectangle(x, y, CELL, CELL, "#eef1f3", stroke="#aab4bc", tip=tip))
        top = y + CELL
        for node_id, cells in sorted(held.items(), key=lambda item: -item[1]):
            band = CELL * full * cells / sum(held.values())
            top -= band
            elements.append(rectangle(x, top, CELL, band, color(order[node_id]), tip=tip))
        elements.append(text(x + CELL / 2, y + CELL / 2 + 4, str(tile), anchor="middle", size=9))
    hub_row, hub_column = mesh.hub
    if hub_row < down and hub_column < across:
        x, y = MARGIN + hub_column * (CELL + GAP), HEAD + hub_row * (CELL + GAP)
        elements.append(rectangle(x - 4, y, 3, CELL, "#1c2329", tip="digital units and the memory's port"))
    left = MARGIN + across * (CELL + GAP) + 16
    elements += _legend(order, left)
    lines = min(len(order), LEGEND_LINES) + (len(order) > LEGEND_LINES)
    height = max(HEAD + down * (CELL + GAP), HEAD + 15 * lines) + MARGIN
    return document(max(left + LEGEND_WIDTH, 560), height, title, elements)


def tile_contents(mapping: Mapping) -> dict[int, dict[str, float]]:
    """Cells that each node's weights take on each tile in use, spread evenly over the node's tiles."""
    out: dict[int, dict[str, float]] = {}
    for node in mapping.nodes:
        stored = node.stored
        if stored is None:
            continue
        key = stored.key
        planes = stored.footprint.planes * mapping.hardware.pe.polarity
        cells = key.inputs * key.outputs * key.copies * planes / len(stored.tiles)
        for tile in stored.tiles:
            out.setdefault(tile, {})[node.id] = cells
    return dict(sorted(out.items()))


def _legend(order: dict[str, int], left: float) -> list[str]:
    elements = []
    for line, (node_id, number) in enumerate(order.items()):
        y = HEAD + 15 * line
        if line == LEGEND_LINES:
            elements.append(text(left, y + 9, f"and {len(order) - LEGEND_LINES} more"))
            break
        elements += [rectangle(left, y, 10, 10, color(number)), text(left + 16, y + 9, node_id)]
    return elements
