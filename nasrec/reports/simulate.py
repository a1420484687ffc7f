"""The page of a model on simulated crossbars: scores of each chip beside the floats', and what a sample costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.reports import train as training
from nasrec.reports.page import MISSING, Page, figure
from nasrec.runs.simulate import FULL_PRECISION, QUANTISED

__all__ = ["page"]

_SCORES = (("log_loss", "log loss"), ("auc", "AUC"), ("normalised_entropy", "normalised entropy"),
           ("calibration", "calibration"))  # fmt: skip


def page(run: Path, found: Mapping[str, Any]) -> Page:
    """Of a run's folder."""
    scores, part = found["scores"], found["settings"]["part"]
    rows = f"{scores[QUANTISED]['rows']:,} {part} rows of {found['data']['source']}"
    weights = f"weights of {found['weights']}" if found["weights"] else "initial weights"
    drawn = Page(f"{found['model']['name']} on {found['hardware']}", f"{rows}, {weights}")
    drawn.tiles([*_tiles(scores), *_cost(found)])
    drawn.heading("Scores")
    lines = [[name, *(figure(each[score]) for score, _ in _SCORES)] for name, each in scores.items()]
    caption = (
        "The same rows by the model's floats, in its precisions with exact sums, and on chips whose cells are drawn "
        "one after the other."
    )
    drawn.table(("", *(words for _, words in _SCORES)), lines, caption=caption)
    drawn.facts({"Simulation": found["settings"]})
    training.add_model(drawn, found)
    return drawn


def _tiles(scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Means over the chips, against the floats."""
    floats = scores[FULL_PRECISION]
    chips = [each for name, each in scores.items() if name not in (FULL_PRECISION, QUANTISED)]
    tiles = []
    for score, words in _SCORES[:2]:
        known = [each[score] for each in chips]
        if None in known or floats[score] is None:
            tiles.append((f"{words} on the chip", MISSING, ""))
            continue
        mean = statistics.fmean(known)
        of = f", mean of {len(known)} chips" if len(known) > 1 else ""
        tiles.append((f"{words} on the chip", figure(mean), f"{mean - floats[score]:+.5f} against floats{of}"))
    return tiles


def _cost(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        ("energy", f"{found['energy_nJ'] / 1e3:,.2f} uJ", "one sample"),
        ("latency", f"{found['latency_ns'] / 1e3:,.2f} us", "one sample"),
        ("area", f"{found['area_mm2']:,.2f} mm2", ""),
    ]
