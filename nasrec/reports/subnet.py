"""The page of a subnet that was taken out of a supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec.draw import draw_architecture
from nasrec.genotype import Genotype
from nasrec.reports.page import Page
from nasrec.reports.train import add_model

__all__ = ["page"]


def page(run: Path, found: Mapping[str, Any]) -> Page:
    """Of a run's folder."""
    model, genotype, tuning = found["model"], Genotype.from_dict(found["genotype"]), found["finetune"]
    made = Page(f"{model['name']}, a subnet", f"Weights are a slice of those of {found['supernet']}.")
    tuned = f"last layer fine-tuned for {tuning['steps']:,} steps" if tuning else "weights as they were shared"
    tables = model["embedding_parameters"]
    made.tiles(
        [
            ("MACs", f"{model['macs']:,}", "one sample"),
            ("parameters", f"{model['parameters'] - tables:,}", f"and {tables:,} in embedding tables"),
            ("from the supernet", f"{found['largest_difference']:.1e}", "largest difference of logits, random rows"),
            ("weights", "fine-tuned" if tuning else "shared", tuned),
        ]
    )
    made.heading("Architecture")
    named = genotype if genotype.name else replace(genotype, name=model["name"])
    made.svg((draw_architecture(named), "Read from below; what is faint is dead."))
    made.facts({"Fine-tuning": tuning or {}})
    add_model(made, {**found, "data": found["data"] or {}})
    return made
