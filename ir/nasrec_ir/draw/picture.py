"""Graph -> SVG: a picture that needs nothing but a viewer."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape

from nasrec_ir.draw.caption import HOMES, Caption, captions, short
from nasrec_ir.draw.curves import Curve, curves, first_fit, free_room
from nasrec_ir.draw.curves import number as _n
from nasrec_ir.draw.layers import Layers, is_waypoint, layered
from nasrec_ir.draw.letters import FONT, text_width
from nasrec_ir.draw.order import reduce_crossings
from nasrec_ir.draw.place import NODE_HEIGHT, Places, place
from nasrec_ir.graph import Graph
from nasrec_ir.types import TensorType
from nasrec_ir.verify import verify

__all__ = ["svg"]

INK, QUIET, LINE, BOX = "#1c2329", "#5f6b76", "#6b7680", "#f5f7f8"
MARGIN = 20.0
HEADER = 34.0
LEGEND_ROW = 20.0
ARROW = 5.5


def svg(graph: Graph) -> str:
    """A graph as a self-contained SVG picture, data flowing down.

    A box a block, a card a node: id, multiply-accumulates, op with what is fused into it, shape; the colour tells where
    processing-in-memory hardware would run it. A value is one line however many nodes read it: thick for fields of
    embeddings, thin for dense units, dashed for category ids. What does not reach the output is faint. Viewers show
    attributes and parameters on hovering. Equal graphs give equal text.

    Raises:
        VerifyError: the graph is malformed.
    """
    verify(graph)
    said, live = captions(graph), graph.live_ids()
    layers = layered(graph)
    width = {item: 0.0 if is_waypoint(item) else _card_width(said[item]) for item in layers.row}
    reduce_crossings(layers, width)
    places = place(layers, width)
    drawn, work = curves(graph, layers, places, width), _work(said, layers)
    legend, legend_height = _legend(graph, said, max(places.width, 360.0))
    page = (max(places.width, 360.0) + 2 * MARGIN, places.height + HEADER + legend_height + 3 * MARGIN)
    parts = [
        *_head(graph, said, page),
        f'<g transform="translate({_n(MARGIN + (page[0] - 2 * MARGIN - places.width) / 2)} {_n(MARGIN + HEADER)})">',
        *_boxes(places, work),
        *_lines(graph, drawn, live),
        *_titles(places, work, [line for lines in drawn.values() for line in lines]),
        *(_card(said[node.id], width[node.id], places, layers, faint=node.id not in live) for node in graph),
        "</g>",
        f'<g transform="translate({_n(MARGIN)} {_n(page[1] - MARGIN - legend_height)})" font-size="10.5">',
        *legend,
        "</g>",
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _head(graph: Graph, said: Mapping[str, Caption], page: tuple[float, float]) -> list[str]:
    macs = sum(caption.macs for caption in said.values())
    counts = f"{sum(1 for node in graph if node.op != 'input')} nodes, {short(macs)} MACs per sample"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(page[0])} {_n(page[1])}" width="{_n(page[0])}" '
        f'height="{_n(page[1])}" role="img" font-family="{escape(FONT)}" fill="{INK}">',
        f"<title>{escape(graph.name)}</title>",
        f"<desc>Computation graph of {escape(graph.name)}: {counts}.</desc>",
        f'<rect width="{_n(page[0])}" height="{_n(page[1])}" fill="#ffffff"/>',
        f'<text x="{_n(MARGIN)}" y="{_n(MARGIN + 12)}" font-size="15" font-weight="bold">{escape(graph.name)}</text>',
        f'<text x="{_n(page[0] - MARGIN)}" y="{_n(MARGIN + 12)}" font-size="11.5" fill="{QUIET}" text-anchor="end">'
        f"{counts}</text>",
    ]


def _boxes(places: Places, work: Mapping[str, str]) -> list[str]:
    parts = [f'<g stroke="#cfd6dc" fill="{BOX}">']
    for box in places.boxes:
        size = f'width="{_n(box.right - box.left)}" height="{_n(box.bottom - box.top)}"'
        about = escape(f"{box.scope}: {work[box.scope] or 'no MACs'}")
        parts.append(f'<rect x="{_n(box.left)}" y="{_n(box.top)}" {size} rx="8"><title>{about}</title></rect>')
    return [*parts, "</g>"]


def _titles(places: Places, work: Mapping[str, str], lines: Sequence[Curve]) -> list[str]:
    """Name of each box and its share of the work, where no line passes; no share where there is no room."""
    parts = [f'<g font-size="11.5" fill="{QUIET}">']
    for box in places.boxes:
        name, share = text_width(box.scope, 11.5, bold=True), text_width(work[box.scope], 10)
        room = free_room(box, box.top + 6, box.top + 19, lines)
        at = first_fit(room, name + 7 + share)
        beside = at + name + 7 if at is not None else None
        if at is None:
            at = first_fit(room, name)
        if at is None:
            at = box.left + 12
        elif beside is None:
            beside = first_fit([(max(low, at + name + 7), high) for low, high in room], share)
        y = _n(box.top + 16)
        parts.append(f'<text x="{_n(at)}" y="{y}" font-weight="bold">{escape(box.scope)}</text>')
        if work[box.scope] and beside is not None:
            parts.append(f'<text x="{_n(beside)}" y="{y}" font-size="10">{escape(work[box.scope])}</text>')
    return [*parts, "</g>"]


def _work(said: Mapping[str, Caption], layers: Layers) -> dict[str, str]:
    """What each box has to do, in words; empty for a box without products."""
    total = sum(caption.macs for caption in said.values())
    found: dict[str, str] = {}
    for column in (column for band in layers.bands for column in band.columns if column.cluster):
        macs = sum(said[item].macs for item in column.items if not is_waypoint(item))
        found[column.key] = f"{short(macs)} MACs, {_percent(macs, total)}" if macs else ""
    return found


def _percent(part: int, total: int) -> str:
    rounded = round(100 * part / total)
    if rounded == 0:
        return "<1%"
    return ">99%" if rounded == 100 and part < total else f"{rounded}%"


def _lines(graph: Graph, drawn: Mapping[str, Sequence[Curve]], live: Collection[str]) -> list[str]:
    """One path a value, and the arrow heads of all."""
    parts = [f'<g fill="none" stroke="{LINE}" stroke-linecap="round">']
    heads: list[str] = []
    for node in graph:
        lines = drawn[node.id]
        if lines:
            faint = "" if node.id in live else ' opacity="0.5"'
            parts.append(f'<path d="{" ".join(line.path for line in lines)}"{_stroke(node.type)}{faint}/>')
        ends = [f"M{_n(line.x1)} {_n(line.y1)}" for line in lines if line.arrow]
        heads += [f"{end}l{_n(-ARROW * 0.6)} {_n(-ARROW)}h{_n(ARROW * 1.2)}z" for end in ends]
    return [*parts, "</g>", f'<path d="{" ".join(heads)}" fill="{LINE}"/>']


def _stroke(type: TensorType) -> str:
    if type.dtype == "i64":
        return ' stroke-width="1.4" stroke-dasharray="4 4"'
    return f' stroke-width="{"2.4" if len(type.shape) == 2 else "1.2"}"'


def _card(caption: Caption, width: float, places: Places, layers: Layers, *, faint: bool) -> str:
    style = HOMES[caption.home]
    left, top = places.x[caption.id] - width / 2, places.y[layers.row[caption.id]]
    radius = NODE_HEIGHT / 2 if caption.home == "input" else 4
    right = f'x="{_n(width - 9)}" text-anchor="end" font-size="10" fill="{QUIET}"'
    macs = f'<text {right} y="14.5">{short(caption.macs)} MACs</text>' if caption.macs else ""
    opacity, dashes = (' opacity="0.5"', ' stroke-dasharray="3 2"') if faint else ("", "")
    return (
        f'<g data-node="{escape(caption.id)}" transform="translate({_n(left)} {_n(top)})"{opacity}>'
        f"<title>{escape(chr(10).join(caption.details))}</title>"
        f'<rect width="{_n(width)}" height="{_n(NODE_HEIGHT)}" rx="{_n(radius)}" fill="{style.fill}" '
        f'stroke="{style.stroke}"{dashes}/>'
        f'<text x="9" y="14.5" font-size="11.5" font-weight="bold">{escape(caption.id)}</text>{macs}'
        f'<text x="9" y="28.5" font-size="10.5">{escape(caption.op)}</text>'
        f'<text {right} y="28.5">{escape(caption.shape)}</text></g>'
    )


def _card_width(caption: Caption) -> float:
    first = text_width(caption.id, 11.5, bold=True)
    first += 12 + text_width(f"{short(caption.macs)} MACs", 10) if caption.macs else 0
    second = text_width(caption.op, 10.5) + 12 + text_width(caption.shape, 10)
    return math.ceil(max(first, second) + 18)


def _legend(graph: Graph, said: Mapping[str, Caption], room: float) -> tuple[list[str], float]:
    """Colours and lines that occur, in as many rows as the width asks for; its parts and its height."""
    homes = {caption.home for caption in said.values()}
    entries = [
        (f'<rect y="-9" width="14" height="11" rx="2" fill="{style.fill}" stroke="{style.stroke}"/>', style.meaning)
        for home, style in HOMES.items()
        if home in homes
    ]
    if len(graph.live_ids()) < len(graph):
        sample = f'<rect y="-9" width="14" height="11" rx="2" fill="none" stroke="{QUIET}" stroke-dasharray="3 2"/>'
        entries.append((sample, "does not reach the output"))
    strokes = {_stroke(node.type) for node in graph if graph.users[node.id]}
    for type, text in LINES:
        if _stroke(type) in strokes:
            entries.append((f'<path d="M0 -4H14" stroke="{LINE}" fill="none"{_stroke(type)}/>', text))
    parts: list[str] = []
    x, y = 0.0, 12.0
    for sample, text in entries:
        size = 20 + text_width(text, 10.5) + 18
        if x and x + size - 18 > room:
            x, y = 0.0, y + LEGEND_ROW
        parts.append(f'<g transform="translate({_n(x)} {_n(y)})">{sample}<text x="20">{escape(text)}</text></g>')
        x += size
    return parts, y + 4


LINES: Sequence[tuple[TensorType, str]] = (
    (TensorType((1,), "i64"), "category ids"),
    (TensorType((1,)), "dense units [B, n]"),
    (TensorType((1, 1)), "fields of embeddings [B, f, e]"),
)
