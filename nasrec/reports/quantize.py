"""The page of a quantisation: scores and bytes before and after, bits of every product, curves where it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.genotype import Genotype
from nasrec.reports import train as training
from nasrec.reports.page import MISSING, Page, figure

__all__ = ["page"]

Report = Mapping[str, Any]

_STAGES = (
    ("float", "in floats"),
    ("calibrated", "quantised, scales calibrated"),
    ("trained", "trained further in these bits"),
)


def page(run: Path, found: Report) -> Page:
    """Of a run's folder."""
    made, bits = found["quantisation"], _bits(found["quantisation"]["scheme"])
    title = f"{found['model']['name']} in {bits} on {found['data']['source']}"
    drawn = Page(title, _about(found))
    _tiles(drawn, found)
    drawn.heading("Scores")
    last = list(made["scores"])[-1] if made["scores"] else None
    rows = [
        [words, *(figure(made["scores"][stage][part][name]) for part in ("valid", "test") for name in _NAMES)]
        for stage, words in _STAGES
        if stage in made["scores"]
    ]
    header = ("", "valid log loss", "valid AUC", "test log loss", "test AUC")
    marked = [len(rows) - 1] if last else []
    drawn.table(header, rows, caption="Test rows had no say in any choice.", marked=marked)
    if "history" in found:
        picture = training.draw([found], title)
        drawn.heading("Training in these bits")
        drawn.png(picture, "log loss, AUC and learning rate over the rows", "Dots are looks at the validation rows.")
        drawn.beside["report.png"] = picture
    drawn.heading("Precision of every stored product")
    _products(drawn, made)
    _architecture(drawn, run, found)
    training.add_model(drawn, found)
    return drawn


_NAMES = ("log_loss", "auc")


def _about(found: Report) -> str:
    how, source = found["quantisation"]["calibration"], found["quantisation"]["weights"]
    start = f"Weights of {source}" if source else "Initial weights"
    return (
        f"{start}; ranges of activations by {how['method']} over {how['rows']:,} training rows. Matrices and what they "
        "multiply are integers times a scale; products between activations, norms and embedding tables stay float."
    )


def _tiles(drawn: Page, found: Report) -> None:
    made = found["quantisation"]
    size, scores = made["bytes"], made["scores"]
    tiles = []
    for name, words in (("log_loss", "test log loss"), ("auc", "test AUC")):
        value = found["scores"]["test"][name]
        if value is not None:
            before = scores.get("float", {}).get("test", {}).get(name)
            tiles.append((words, figure(value), f"{value - before:+.5f} against floats" if before is not None else ""))
    share = size["quantised"] / max(1, size["float"])
    tiles.append(("matrices, norms, biases", f"{size['quantised'] / 1024:,.1f} KiB", f"{share:.0%} of floats"))
    tiles.append(("embedding tables", f"{size['tables'] / 2**20:,.2f} MiB", "floats"))
    drawn.tiles(tiles)


def _products(drawn: Page, made: Report) -> None:
    scales = made.get("scales", {})
    rows = [
        [
            each["node"],
            each["kind"],
            _word(each["weight_bits"]),
            _word(each["act_bits"]),
            figure(scales.get(each["node"]), "{:.4g}"),
            f"{each['bytes']:,}",
            f"{each['macs']:,}",
        ]
        for each in made["products"]
    ]
    drawn.table(("node", "kind", "weight bits", "activation bits", "scale", "bytes", "MACs"), rows)


def _architecture(drawn: Page, run: Path, found: Report) -> None:
    if not (run / "genotype.json").exists():
        return
    from dataclasses import replace

    from nasrec.draw import draw_architecture

    genotype = Genotype.load(run / "genotype.json")
    named = genotype if genotype.name else replace(genotype, name=found["model"]["name"])
    drawn.heading("Architecture")
    drawn.svg((draw_architecture(named), "Read from below; W and A are the bits of weights and activations."))


def _bits(scheme: Report) -> str:
    named = (("W", scheme["weight_bits"]), ("A", scheme["act_bits"]))
    words = " ".join(f"{letter}{bits}" for letter, bits in named if bits is not None) or "floats"
    return words + (" (some otherwise)" if scheme["kinds"] else "")


def _word(bits: int | None) -> str:
    return MISSING if bits is None else str(bits)
