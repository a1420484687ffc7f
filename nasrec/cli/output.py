"""How results are printed: tables and figures for people, JSON for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["json_text", "listed", "plural", "table"]

FIGURES = re.compile(r"\[\n\s*([-+.,0-9eE\s]+?)\s*\]")


def json_text(value: Any) -> str:
    """Strict JSON, two spaces an indent: figures that JSON has no word for (NaN, infinities) become null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    # Lists of figures on one line each; line breaks stand only between values, those in strings are escaped.
    return FIGURES.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table in plain text; the first `left` columns are aligned left, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def listed(numbers: Sequence[int]) -> str:
    """Numbers in words: `0, 1, 2 and 6`."""
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def plural(count: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
