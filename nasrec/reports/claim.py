"""A claim of a co-design as a table, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasrec.codesign.claim import MEANINGS

__all__ = ["HOLDS", "table_of"]

HOLDS = "holds"
"""In the last column of `table_of`, where the claim does."""

Report = Mapping[str, Any]


def table_of(claim: Report) -> tuple[tuple[str, ...], list[list[str]]]:
    """A claim as a table, each design against each rival: its header, and rows with cells of one line or two."""
    head = ("design", f"test log loss, against {claim['handcrafted']}'s", "equal", "faster", "less energy", "less area",
            "claim")  # fmt: skip
    rows = [
        [
            f"{design['name']}\nagainst {row['rival']}",
            f"{design['log_loss']['mean']:.5f}\n{design['difference']:+.5f}, noise {design['noise']:.5f}",
            "yes" if design["equal"] else "no",
            *(f"{row[what]:.2f}x" for what in MEANINGS),
            HOLDS if design["equal"] and row["holds"] else "no",
        ]
        for design in claim["designs"]
        for row in design["against"]
    ]
    return head, rows
