"""The paper's claim for co-design, checked on trained designs: faster, with less energy, at equal log loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["EQUAL", "MEANINGS", "claim_of"]

EQUAL = (
    "Log losses count as equal where the design's mean over the seeds is above the handcrafted model's by no more than "
    "noise: the root of the mean of the two variances over the seeds."
)
"""The definition, for reports."""

MEANINGS = {
    "speed": "latency of one sample",
    "energy": "one sample alone, everything",
    "area": "tiles in use and digital units",
}
"""What speed, energy and area mean first of all; the other meanings stand in the table of ratios."""

Report = Mapping[str, Any]


def claim_of(
    trained: Sequence[Report], ratios: Sequence[Report], references: Sequence[Report], handcrafted: str
) -> dict[str, Any]:
    """Whether a trained design beats the handcrafted model on each reference design's chip at equal log loss, by what
    is claimed.

    Args:
        trained: reports of `retrain`: of designs, and of handcrafted models.
        ratios: rows of `compare_designs`.
        references: their reports, with models and claims.
        handcrafted: name of the handcrafted model in question.
    """
    reports = {report["name"]: report for report in trained}
    theirs = reports[handcrafted]["scores"]["test"]["log_loss"]
    designs = []
    own = [reference for reference in references if reference["model"] == handcrafted]
    for name, report in reports.items():
        if name not in {row["design"] for row in ratios}:
            continue
        ours = report["scores"]["test"]["log_loss"]
        noise = math.sqrt((ours["std"] ** 2 + theirs["std"] ** 2) / 2)
        difference = ours["mean"] - theirs["mean"]
        equal = difference <= noise
        found = {"name": name, "log_loss": ours, "difference": difference, "noise": noise, "equal": equal}
        designs.append(found | {"against": _against(name, ratios, own, handcrafted)})
    holds = {
        reference["name"]: [
            design["name"]
            for design in designs
            if design["equal"] and any(row["rival"] == reference["name"] and row["holds"] for row in design["against"])
        ]
        for reference in own
    }
    return {"handcrafted": handcrafted, "log_loss": theirs, "designs": designs, "holds": holds}


def _against(
    name: str, ratios: Sequence[Report], references: Sequence[Report], handcrafted: str
) -> list[dict[str, Any]]:
    """Ratios of a design over the handcrafted model on each reference design's chip, and whether those claimed hold."""
    found: dict[str, dict[str, Any]] = {}
    claims = {reference["name"]: reference["claims"] for reference in references}
    for row in ratios:
        meaning = MEANINGS.get(row["what"])
        if (row["design"], row["model"], row["assumption"]) == (name, handcrafted, meaning):
            found.setdefault(row["rival"], {"rival": row["rival"]})[row["what"]] = row["ratio"]
    return [
        row | {"holds": all(row[what] >= claim for what, claim in claims[row["rival"]].items())}
        for row in found.values()
    ]
