"""A page of a report: HTML that needs no other file, no network and no script."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["MISSING", "Page", "figure", "flat", "interval", "seconds"]

MISSING = "–"
"""Stands in a table for a value that is not defined or not there."""


class Page:
    """A page that is put together from above downwards.

    Args:
        title: heading, and name of the window.
        about: a line below it.

    Attributes:
        beside: pictures by file name, for the run's own folder.
    """

    def __init__(self, title: str, about: str = "") -> None:
        self.title = title
        self.beside: dict[str, bytes] = {}
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if about:
            self._parts.append(f'<p class="about">{html.escape(about)}</p>')

    def heading(self, words: str) -> None:
        """Begins a section."""
        self._parts.append(f"<h2>{html.escape(words)}</h2>")

    def words(self, words: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{html.escape(words)}</p>")

    def tiles(self, figures: Sequence[tuple[str, str, str]]) -> None:
        """The figures that matter most: what, value, remark."""
        cells = "".join(
            f"<div><dt>{html.escape(what)}</dt><dd>{html.escape(value)}<small>{html.escape(remark)}</small></dd></div>"
            for what, value, remark in figures
        )
        self._parts.append(f'<dl class="tiles">{cells}</dl>')

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        caption: str = "",
        totals: Iterable[Sequence[str]] = (),
        marked: Iterable[int] = (),
    ) -> None:
        """A table; the first cell of a row names it, and what follows a line break in a cell is small.

        Args:
            header: a cell for each column.
            rows: cells of each row.
            caption: what one should know to read it.
            totals: rows that close it.
            marked: places of rows that stand out.
        """
        chosen = set(marked)
        body = "".join(_row(row, index in chosen) for index, row in enumerate(rows))
        foot = "".join(_row(row) for row in totals)
        head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
        # Not a caption element: that would be as wide as the table, and be cut with it on narrow screens.
        note = f'<p class="note">{html.escape(caption)}</p>' if caption else ""
        label = f' aria-label="{html.escape(caption)}"' if caption else ""
        self._parts.append(
            f'{note}<div class="scroll"><table{label}><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
            f"{f'<tfoot>{foot}</tfoot>' if foot else ''}</table></div>"
        )

    def facts(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Tables of names and values, beside each other where there is room; empty groups are left out."""
        tables = "".join(
            f'<section><h2>{html.escape(name)}</h2><div class="scroll"><table class="facts"><tbody>'
            + "".join(_row([key, _plain(value)]) for key, value in flat(values))
            + "</tbody></table></div></section>"
            for name, values in groups.items()
            if values
        )
        self._parts.append(f'<div class="columns">{tables}</div>')

    def png(self, picture: bytes, alt: str, caption: str = "") -> None:
        """A picture as it is in a PNG file."""
        data = base64.b64encode(picture).decode()
        image = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
        self._parts.append(_figure([(image, caption)]))

    def svg(self, *pictures: tuple[str, str]) -> None:
        """Drawings as SVG text, which bear their own titles and descriptions, each with its caption, side by side."""
        self._parts.append(_figure(pictures))

    def html(self) -> str:
        """The whole page."""
        return _PAGE.format(title=html.escape(self.title), style=_STYLE, body="\n".join(self._parts))


def figure(value: Any, form: str = "{:.5f}") -> str:
    """A number in a form, or the sign for a missing one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return MISSING
    return form.format(value)


def interval(found: Mapping[str, Any], form: str = "{:.3f}") -> str:
    """A value, and below it the ends of its interval: `0.412`, `0.310 to 0.498`."""
    if figure(found["low"], form) == MISSING:
        return figure(found["value"], form)
    return f"{figure(found['value'], form)}\n{figure(found['low'], form)} to {figure(found['high'], form)}"


def seconds(value: float) -> str:
    """A time in words: `8.2 s`, `12 min`, `3.4 h`."""
    if value < 90:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested objects as pairs; names of inner ones follow the outer's: `rows.train`."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        pairs += flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return pairs


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _row(cells: Sequence[str], marked: bool = False) -> str:
    first, *others = map(_cell, cells)
    data = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<tr{" class=marked" if marked else ""}><th scope="row">{first}</th>{data}</tr>'


def _cell(text: str) -> str:
    """What comes after a line break stands below, in small type."""
    first, _, below = text.partition("\n")
    return html.escape(first) + (f"<small>{html.escape(below)}</small>" if below else "")


def _figure(pictures: Sequence[tuple[str, str]]) -> str:
    figures = []
    for picture, caption in pictures:
        words = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        figures.append(f'<figure><div class="paper">{picture}</div>{words}</figure>')
    return f'<div class="figures">{"".join(figures)}</div>' if len(figures) > 1 else figures[0]


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2329; --quiet: #5f6b76; --line: #d9dfe4; --page: #ffffff; --tile: #f3f6f8;
  --mark: #e4eef9 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8eb; --quiet: #9aa6b0; --line: #343c44; --page: #15191d;
  --tile: #1e242a; --mark: #1d3046 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; max-width: 70rem; margin: 0 auto;
  padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--page) }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
p { max-width: 46rem } .about { color: var(--quiet); margin: 0 0 1.2rem }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1.2rem 0 }
.tiles div { background: var(--tile); border-radius: 8px; padding: .6rem .8rem }
dt { color: var(--quiet); font-size: .82rem } dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums }
dd small { display: block; font-size: .78rem; color: var(--quiet); overflow-wrap: anywhere }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
.note { color: var(--quiet); font-size: .85rem; margin: .8rem 0 .3rem }
th, td { padding: .28rem .8rem .28rem .3rem; border-bottom: 1px solid var(--line); text-align: right }
td { white-space: nowrap } th { font-weight: 600 } thead th { color: var(--quiet); vertical-align: bottom }
th small, td small { display: block; color: var(--quiet); font-size: .92em }
th:first-child { text-align: left; min-width: 4rem } tbody th { font-weight: 400 }
tfoot th, tfoot td { font-weight: 600 }
tr.marked th, tr.marked td { background: var(--mark) }
.facts { width: 100% } .facts th { color: var(--quiet); vertical-align: top; width: 45%; overflow-wrap: anywhere }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere }
.columns { columns: 2 24rem; column-gap: 2.5rem; margin-top: 2.2rem }
.columns section { break-inside: avoid; padding-bottom: 1.6rem } .columns h2 { margin-top: 0 }
figure { margin: .8rem 0 } figcaption { color: var(--quiet); font-size: .85rem; margin-top: .35rem; max-width: 46rem }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem }
.paper { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .5rem; text-align: center }
.paper img, .paper svg { max-width: 100%; height: auto; display: block; margin: 0 auto }
@media print { body { max-width: none } h2 { break-after: avoid } figure { break-inside: avoid } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head><body><main>
{body}
</main></body></html>
"""
