"""Elements of SVG, colours, and time on an axis."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable
from html import escape

__all__ = ["color", "document", "format_ns", "rectangle", "text", "ticks"]

FONT = "Helvetica, Arial, sans-serif"


def document(width: float, height: float, title: str, elements: Iterable[str]) -> str:
    """A picture with a white ground."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}" font-size="11">'
    )
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *elements, "</svg>", ""])


def rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    stroke: str = "none",
    weight: float = 1,
    tip: str = "",
) -> str:
    """A rectangle; `tip` is shown under the pointer."""
    line = f' stroke="{stroke}" stroke-width="{weight:g}"' if stroke != "none" else ""
    shape = f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"{line}'
    return f"{shape}><title>{escape(tip)}</title></rect>" if tip else f"{shape}/>"


def text(x: float, y: float, content: str, *, anchor: str = "start", size: float = 11, fill: str = "#1c2329") -> str:
    """A line of text; y is its base line."""
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(content)}</text>"
    )


def color(number: int) -> str:
    """The colour of the n-th thing: hues a golden angle apart, so that neighbours differ.

    In hexadecimal, which every viewer reads; several leave hsl() black.
    """
    hue = (number * 137.508) % 360 / 360
    lightness = (0.62, 0.48, 0.74)[number // 24 % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.52))
    return f"#{red:02x}{green:02x}{blue:02x}"


def format_ns(time_ns: float) -> str:
    """A time with a fitting unit."""
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if time_ns >= size:
            return f"{time_ns / size:.3g} {unit}"
    return f"{time_ns:.3g} ns"


def ticks(largest: float, about: int = 8) -> list[float]:
    """Round numbers from 0 to the largest value."""
    if largest <= 0:
        return [0.0]
    raw = largest / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= raw)
    return [step * i for i in range(int(largest / step) + 1)]
