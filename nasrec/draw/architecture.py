"""The picture of a genotype: blocks from bottom to top, what reaches the logit bold, what is dead faint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nasrec.draw.lanes import Lane, Reading, lanes_of
from nasrec.draw.plan import (
    ARROW_ROOM,
    INPUTS,
    LOGIT,
    MIDDLE,
    NAMES,
    PAD,
    PLAIN,
    ROOT,
    SMALL,
    Plan,
    sources,
    width_text,
)
from nasrec.draw.scene import Dot, Group, Line, Rectangle, Scene, Shape, Text
from nasrec.errors import GenotypeError
from nasrec.genotype import DENSE_OPERATORS, READS, Genotype
from nasrec.lowering.layout import MERGER_FIELDS
from nasrec_ir.draw.caption import precision_text
from nasrec_ir.draw.letters import text_width

__all__ = ["draw_architecture", "scene_of"]

INK, QUIET, PALE, FRAME, PAPER = "#1c2329", "#5f6b76", "#a0a9b1", "#b9c2ca", "#f5f7f8"

MARGIN, HEADER, FOOTER = 22.0, 40.0, 34.0
LANE, STUB = 11.0, 16.0


@dataclass(frozen=True)
class Hue:
    """Colours of one branch, live and dead."""

    line: str
    pale_line: str
    fill: str

    def of(self, live: bool) -> str:
        return self.line if live else self.pale_line


DENSE, SPARSE = Hue("#2c62a8", "#b3c5db", "#e4eef9"), Hue("#2b7d48", "#b2d1bc", "#e2f2e6")
HUES = {"dense": DENSE, "sparse": SPARSE}


def draw_architecture(genotype: Genotype) -> str:
    """A genotype as self-contained SVG text; `scene_of(genotype).png()` gives the same as PNG.

    A box a block, the first one at the bottom: operators and width of its dense branch on the left, of its sparse
    branch on the right, mergers between the two. An output runs up in a lane of its own, dense ones on the left and
    sparse ones on the right, to a dot for each operator that reads it; the operators name what they read and as what.
    What no live operator reads is faint, as in `Genotype.live_outputs`. Equal genotypes of one name give equal text.

    Raises:
        GenotypeError: the genotype is none.
    """
    return scene_of(genotype).svg()


def scene_of(genotype: Genotype) -> Scene:
    """The picture before it is SVG or PNG. Raises `GenotypeError` if the genotype is none."""
    if not isinstance(genotype, Genotype):
        raise GenotypeError(f"expected a Genotype, not {type(genotype).__name__}; Genotype.load reads a file")
    plan = Plan(genotype)
    lanes = {side: lanes_of(plan.outputs(side), plan.readings(side)) for side in HUES}
    room = {side: STUB + LANE * max((lane.column + 1 for lane in lanes[side]), default=1) for side in HUES}
    shift = MARGIN + room["dense"]
    width = shift + plan.width + room["sparse"] + MARGIN
    top = MARGIN + HEADER
    place = _Place(shift, top, plan)
    live, count = len(genotype.live_blocks()), len(genotype.blocks)
    summary = f"{live} of {count} block{'' if count == 1 else 's'} reach{'es' if live == 1 else ''} the logit"
    name = genotype.name or "genotype"
    groups = [
        _header(name, _about(genotype, summary), width),
        *(place.block(index) for index in range(count)),
        place.ends(),
        *(group for side in HUES for group in place.wires(side, lanes[side])),
        _legend(MARGIN, top + plan.height + MARGIN + 12),
    ]
    return Scene(
        width,
        top + plan.height + FOOTER + MARGIN,
        groups,
        name,
        f"Architecture {name}: {_described(genotype, summary)}",
    )


@dataclass(frozen=True)
class _Place:
    """Draws a plan at its place on the page."""

    x: float
    y: float
    plan: Plan

    def block(self, index: int) -> Group:
        """A block's box, branches, operators and mergers."""
        plan = self.plan
        block, shape = plan.genotype.blocks[index], plan.shapes[index]
        live = {side: (side, index + 1) in plan.live for side in HUES}
        alive = any(live.values())
        top, middle = self.y + plan.tops[index], self.x + PAD + plan.region + MIDDLE / 2
        frame = Rectangle(
            self.x, top, plan.width, shape.height, PAPER if alive else "#ffffff", FRAME if alive else "#d9dee2", 8,
            dashed=not alive,
        )  # fmt: skip
        shapes: list[Shape] = [frame, *self._side(index, "dense"), *self._side(index, "sparse")]
        shapes.append(Text(middle, top + PAD + 15, f"b{index}", 13, INK if alive else PALE, True, "middle"))
        left, right = middle - MIDDLE / 2, middle + MIDDLE / 2
        if block.fm:
            y = top + PAD + 36
            shapes += _merger(right, left, y, "FM", SPARSE.of(live["dense"]), live["dense"])
        if block.dense_to_sparse:
            y = top + PAD + (57 if block.fm else 36)
            words = f"+{MERGER_FIELDS} fields"
            shapes += _merger(left, right, y, words, DENSE.of(live["sparse"]), live["sparse"])
        if shape.note:
            y = top + shape.height - 6
            shapes.append(Text(self.x + PAD + 2, y, f"read by no operator: {shape.note}", 9, PALE))
        title = f"block {index}: {', '.join(NAMES[name] for name in block.operators)}"
        mergers = [name for name, there in (("fm", block.fm), ("dense_to_sparse", block.dense_to_sparse)) if there]
        marks = {"block": f"b{index}", "live": _yes(alive), "mergers": " ".join(mergers)}
        return Group(shapes, marks, title + ("" if alive else "; dead"))

    def _side(self, index: int, side: str) -> Iterator[Shape]:
        plan, hue = self.plan, HUES[side]
        block, shape = plan.genotype.blocks[index], plan.shapes[index]
        live = (side, index + 1) in plan.live
        left, top = self._left(side), self.y + plan.tops[index] + PAD
        cards = shape.dense if side == "dense" else shape.sparse
        bottom = shape.bottoms[side] - PAD
        yield Rectangle(left, top, plan.region, bottom, hue.fill if live else "#fafbfc", hue.of(live), 5)
        anchor, at = ("start", left + 8) if side == "dense" else ("end", left + plan.region - 8)
        color = hue.line if live else PALE
        yield Text(at, top + 15, width_text(block, side), PLAIN, color, True, anchor)
        bits = block.precisions
        for card in cards:
            y = top - PAD + card.top
            ink, quiet = (INK, QUIET) if live else (PALE, PALE)
            edge = hue.of(live)
            yield Rectangle(left + ARROW_ROOM, y, plan.region - 2 * ARROW_ROOM, card.height, "#ffffff", edge, 3)
            yield Text(left + ARROW_ROOM + 8, y + 13.5, NAMES[card.operator], PLAIN, ink, live)
            if text := precision_text(*bits[card.operator]):
                yield Text(left + plan.region - ARROW_ROOM - 8, y + 13.5, text, SMALL, quiet, False, "end")
            for name, port in card.ports.items():
                on_left = name != "sparse_inputs"
                words = f"{INPUTS[name]}: {sources(getattr(block, name))}"
                x = left + ARROW_ROOM + 8 if on_left else left + plan.region - ARROW_ROOM - 8
                yield Text(x, top - PAD + port + 3.5, words, SMALL, quiet, False, "start" if on_left else "end")

    def ends(self) -> Group:
        """The two inputs below, the logit above."""
        plan = self.plan
        shapes: list[Shape] = []
        words = {"dense": ("dense inputs", "numbers"), "sparse": ("sparse inputs", "embeddings of categories")}
        y = self.y + plan.root
        for side, hue in HUES.items():
            live = (side, 0) in plan.live
            left = self._left(side)
            shapes.append(
                Rectangle(left, y, plan.region, ROOT, hue.fill if live else "#fafbfc", hue.of(live), ROOT / 2, not live)
            )
            middle = left + plan.region / 2
            shapes.append(Text(middle, y + 15, words[side][0], PLAIN, hue.line if live else PALE, True, "middle"))
            shapes.append(Text(middle, y + 27, words[side][1], SMALL, QUIET if live else PALE, False, "middle"))
        left, width = self._logit()
        shapes.append(Text(self.x + plan.width / 2, y + 21, "raw", 13, INK, True, "middle"))
        shapes.append(Rectangle(left, self.y, width, LOGIT, "#ffffff", INK, LOGIT / 2, stroke_width=1.6))
        shapes.append(Text(self.x + plan.width / 2, self.y + 17, "logit", PLAIN, INK, True, "middle"))
        return Group(shapes, {"inputs": "dense sparse"})

    def wires(self, side: str, lanes: list[Lane]) -> Iterator[Group]:
        """Lines from an output to all that read it, dead ones first, so that live ones lie above them."""
        hue, plan = HUES[side], self.plan
        readings = plan.readings(side)
        x_of = {lane.source: self._lane(side, lane.column) for lane in lanes}
        taps: list[Shape] = []
        for reading in sorted(readings, key=lambda reading: reading.live):
            y = self.y + reading.y
            far = (min if side == "dense" else max)(x_of[source] for source in reading.sources)
            taps.append(
                Line(((far, y), (self._edge(side, reading), y)), hue.of(reading.live), _thick(reading.live), True)
            )
        yield Group(taps, {"side": side})
        for lane in sorted(lanes, key=lambda lane: lane.live_top is not None):
            x, start = x_of[lane.source], self.y + lane.bottom
            out = self._out(side, lane.source)
            shapes: list[Shape] = []
            stub = ((out, start), (x, start))
            if lane.live_top is None or lane.top < lane.live_top:
                shapes.append(Line((*stub, (x, self.y + lane.top)), hue.of(False), _thick(False), edged=True))
            if lane.live_top is not None:
                shapes.append(Line((*stub, (x, self.y + lane.live_top)), hue.of(True), _thick(True), edged=True))
            word = "raw" if lane.source == 0 else f"b{lane.source - 1}"
            yield Group(shapes, {"lane": f"{word}.{side}", "live": _yes(lane.live_top is not None)}, f"{word}, {side}")
        dots: list[Shape] = []
        for reading in readings:
            for source in reading.sources:
                word = "raw" if source == 0 else f"b{source - 1}"
                marks = {"connection": f"{word}.{side}>{reading.port}", "live": _yes(reading.live)}
                size = 2.8 if reading.live else 2.0
                dots.append(Dot(x_of[source], self.y + reading.y, size, hue.of(reading.live), marks))
        yield Group(dots)

    def _left(self, side: str) -> float:
        return self.x + PAD + (0 if side == "dense" else self.plan.region + MIDDLE)

    def _lane(self, side: str, column: int) -> float:
        away = STUB + LANE * column
        return self.x - away if side == "dense" else self.x + self.plan.width + away

    def _out(self, side: str, source: int) -> float:
        return self._left(side) + (0 if side == "dense" else self.plan.region)

    def _edge(self, side: str, reading: Reading) -> float:
        """Where an arrow ends: at the card, or at the logit."""
        if reading.port.startswith("logit"):
            left, width = self._logit()
            return left if side == "dense" else left + width
        owner = "dense" if reading.port.split(".")[1] in DENSE_OPERATORS else "sparse"
        left = self._left(owner)
        return left + ARROW_ROOM if side == "dense" else left + self.plan.region - ARROW_ROOM

    def _logit(self) -> tuple[float, float]:
        return self.x + self.plan.width / 2 - 44, 88.0


def _merger(start: float, end: float, y: float, words: str, color: str, live: bool) -> list[Shape]:
    line = Line(((start, y), (end, y)), color, _thick(live), True)
    return [line, Text((start + end) / 2, y - 4, words, SMALL, color if live else PALE, live, "middle")]


def _header(name: str, about: str, width: float) -> Group:
    room = width - 2 * MARGIN
    size = max(7.0, min(15.0, 15.0 * room / max(1.0, text_width(name, 15, bold=True))))
    return Group([Text(MARGIN, MARGIN + 10, name, size, INK, True), Text(MARGIN, MARGIN + 26, about, SMALL, QUIET)])


def _legend(x: float, y: float) -> Group:
    shapes: list[Shape] = []
    entries = (
        (DENSE.line, 2.4, "dense: units"),
        (SPARSE.line, 2.4, "sparse: fields of embeddings"),
        (PALE, 1.2, "no live operator reads it"),
    )
    here = x
    for color, thick, words in entries:
        shapes.append(Line(((here, y), (here + 18, y)), color, thick))
        shapes.append(Text(here + 24, y + 3.5, words, SMALL, QUIET))
        here += 24 + text_width(words, SMALL) + 14
    return Group(shapes)


def _about(genotype: Genotype, summary: str) -> str:
    space = {"small": "NASRec-Small", "full": "NASRec-Full"}.get(genotype.space)
    norms = "" if genotype.layer_norm else "no layer norm"
    dots = "" if genotype.balanced_dot else "dot-products of all fields"
    return "; ".join(part for part in (space, norms, dots, summary) if part)


def _described(genotype: Genotype, summary: str) -> str:
    """All of it in words, from the first block on."""
    parts = [summary]
    live = genotype.live_blocks()
    for index, block in enumerate(genotype.blocks):
        reads = {name: None for operator in block.operators for name in READS[operator]}
        inputs = ", ".join(f"{INPUTS[name]} from {sources(getattr(block, name))}" for name in reads)
        mergers = " with FM" * block.fm + " with dense-to-sparse merger" * block.dense_to_sparse
        parts.append(
            f"b{index}{'' if index in live else ' (dead)'}: {' + '.join(NAMES[name] for name in block.operators)}, "
            f"{block.dense_width} units, {block.sparse_width} fields{mergers}; reads {inputs}"
        )
    return ". ".join(parts) + "."


def _thick(live: bool) -> float:
    return 2.0 if live else 1.0


def _yes(value: bool) -> str:
    return "true" if value else "false"
