"""A picture as a list of shapes, which gives SVG text and the same as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from nasrec_ir.draw.curves import number as _n
from nasrec_ir.draw.letters import FONT

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["Dot", "Group", "Line", "Rectangle", "Scene", "Shape", "Text"]

Point = tuple[float, float]
Marks = Mapping[str, str]
"""What a shape stands for, by name; SVG keeps it as data attributes."""

PIXELS_PER_INCH = 96
ARROW = 6.5


@dataclass(frozen=True)
class Rectangle:
    """With its upper left corner, in pixels; y grows downwards."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    radius: float = 4.0
    dashed: bool = False
    stroke_width: float = 1.0


@dataclass(frozen=True)
class Line:
    """Along points; with an arrowhead at the end, or a white edge that sets it off from what it crosses."""

    points: tuple[Point, ...]
    color: str
    width: float
    arrow: bool = False
    edged: bool = False


@dataclass(frozen=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    color: str
    marks: Marks = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """At its baseline; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    size: float
    color: str
    bold: bool = False
    anchor: str = "start"


Shape = Rectangle | Line | Dot | Text


@dataclass(frozen=True)
class Group:
    """Shapes that stand for one thing; viewers show its title on hovering."""

    shapes: Sequence[Shape]
    marks: Marks = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True)
class Scene:
    """Groups in the order of drawing, on white.

    Attributes:
        width, height: in pixels.
        title: of the picture.
        description: for those who do not see it.
    """

    width: float
    height: float
    groups: Sequence[Group]
    title: str
    description: str

    def svg(self) -> str:
        """Self-contained SVG text; equal scenes give equal text. It has no ids, so that a page may hold several."""
        size = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}" width="{_n(self.width)}" height="{_n(self.height)}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{escape(FONT)}">',
            f"<title>{escape(self.title)}</title>",
            f"<desc>{escape(self.description)}</desc>",
            f'<rect width="{_n(self.width)}" height="{_n(self.height)}" fill="#ffffff"/>',
        ]
        for group in self.groups:
            title = f"<title>{escape(group.title)}</title>" if group.title else ""
            parts += [f"<g{_data(group.marks)}>{title}", *map(_svg, group.shapes), "</g>"]
        return "\n".join([*parts, "</svg>", ""])

    def png(self, scale: float = 2.0) -> bytes:
        """The same as a PNG file, `scale` pixels for each of the scene's."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width / PIXELS_PER_INCH, self.height / PIXELS_PER_INCH))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for order, shape in enumerate(shape for group in self.groups for shape in group.shapes):
            for artist in _artists(shape):
                artist.set_zorder(order)
                axes.add_artist(artist)
        file = io.BytesIO()
        figure.savefig(file, dpi=PIXELS_PER_INCH * scale, format="png", metadata={"Software": None})
        return file.getvalue()


def _svg(shape: Shape) -> str:
    match shape:
        case Rectangle():
            dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
            return (
                f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}" '
                f'rx="{_n(shape.radius)}" fill="{shape.fill}" stroke="{shape.stroke}" '
                f'stroke-width="{_n(shape.stroke_width)}"{dashes}/>'
            )
        case Line():
            path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in _shaft(shape))
            line = f'<path d="{path}" fill="none" stroke="{shape.color}" stroke-width="{_n(shape.width)}"/>'
            if shape.edged:
                line = f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="{_n(shape.width + 3)}"/>{line}'
            if shape.arrow:
                head = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in _head(shape))
                line += f'<path d="{head}z" fill="{shape.color}"/>'
            return line
        case Dot():
            place = f'cx="{_n(shape.x)}" cy="{_n(shape.y)}" r="{_n(shape.radius)}"'
            return f'<circle {place} fill="{shape.color}"{_data(shape.marks)}/>'
        case Text():
            bold = ' font-weight="bold"' if shape.bold else ""
            anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
            return (
                f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}" fill="{shape.color}"'
                f"{bold}{anchor}>{escape(shape.text)}</text>"
            )


def _data(marks: Marks) -> str:
    return "".join(f' data-{name}="{escape(value)}"' for name, value in marks.items())


def _shaft(line: Line) -> tuple[Point, ...]:
    """The line up to its arrowhead, whose tip must stay sharp."""
    if not line.arrow:
        return line.points
    (x0, y0), (x1, y1) = line.points[-2:]
    length = max(1e-9, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    back = (ARROW - 1) / length
    return (*line.points[:-1], (x1 - (x1 - x0) * back, y1 - (y1 - y0) * back))


def _head(line: Line) -> tuple[Point, Point, Point]:
    (x0, y0), (x1, y1) = line.points[-2:]
    length = max(1e-9, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    along, half = ((x1 - x0) / length, (y1 - y0) / length), 0.42 * ARROW
    x, y = x1 - along[0] * ARROW, y1 - along[1] * ARROW
    return (x1, y1), (x - along[1] * half, y + along[0] * half), (x + along[1] * half, y - along[0] * half)


_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def _artists(shape: Shape) -> Sequence[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle, FancyBboxPatch, Polygon
    from matplotlib.text import Text as Words

    def points(pixels: float) -> float:
        return pixels * 72 / PIXELS_PER_INCH

    match shape:
        case Rectangle():
            radius = min(shape.radius, shape.height / 2, shape.width / 2)
            style = "square,pad=0" if radius == 0 else f"round,pad=0,rounding_size={radius}"
            return [
                FancyBboxPatch(
                    (shape.x, shape.y), shape.width, shape.height, boxstyle=style, facecolor=shape.fill,
                    edgecolor=shape.stroke, linewidth=points(shape.stroke_width),
                    linestyle=(0, (4, 3)) if shape.dashed else "solid",
                )
            ]  # fmt: skip
        case Line():
            xs, ys = zip(*_shaft(shape), strict=True)
            found: list[Artist] = []
            if shape.edged:
                found.append(Line2D(xs, ys, color="#ffffff", linewidth=points(shape.width + 3)))
            found.append(Line2D(xs, ys, color=shape.color, linewidth=points(shape.width)))
            if shape.arrow:
                found.append(Polygon(_head(shape), closed=True, facecolor=shape.color, edgecolor="none"))
            return found
        case Dot():
            return [Circle((shape.x, shape.y), shape.radius, facecolor=shape.color, edgecolor="none")]
        case Text():
            weight = "bold" if shape.bold else "normal"
            return [
                Words(
                    shape.x, shape.y, shape.text.replace("$", r"\$"), color=shape.color, fontsize=points(shape.size),
                    fontweight=weight, ha=_ANCHORS[shape.anchor], va="baseline",
                )
            ]  # fmt: skip
