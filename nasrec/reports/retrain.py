"""The page of genotypes trained from scratch: each with its learning rates, and the chosen one with its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.reports.page import Page
from nasrec.reports.search import add_retrained, config_of
from nasrec.reports.train import add_model

__all__ = ["page"]


def page(run: Path, found: Mapping[str, Any]) -> Page:
    """Of a run's folder."""
    retrained = found["retrain"]
    count = len({one["trial"] for one in retrained["candidates"]})
    made = Page(f"{count} genotype{'' if count == 1 else 's'} from scratch on {found['data']['source']}")
    add_retrained(made, run, retrained)
    add_model(made, {**found, "config": config_of(run)})
    return made
