"""What a training run leaves behind: generated source, weights, and a report that says how they came about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import jsonfile
from nasrec.cli import output, weights
from nasrec.cli.architectures import Architecture
from nasrec.errors import TrainError

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.train import TrainResult

__all__ = ["outcome", "save", "write_report"]


def outcome(result: TrainResult) -> dict[str, Any]:
    """A training result as plain values: how far it got, how fast, its history and its looks at the validation rows."""
    return {
        "steps": result.steps,
        "rows": result.rows,
        "train_s": result.train_s,
        "rows_per_s": result.rows_per_s,
        "interrupted": result.interrupted,
        "stopped_early": result.stopped_early,
        "best_valid": asdict(result.best) if result.best else None,
        "history": [asdict(point) for point in result.history],
        "evaluations": [asdict(look) for look in result.evaluations],
    }


def save(
    folder: str | os.PathLike[str], architecture: Architecture, model: CompiledModel, report: Mapping[str, Any]
) -> None:
    """Writes model.py, weights.pt and report.json, and genotype.json where there is a genotype.

    Raises:
        NasrecError: one of them cannot be written.
    """
    target = Path(folder)
    jsonfile.write_text(target / "model.py", model.source, TrainError)
    if architecture.genotype is not None:
        architecture.genotype.save(target / "genotype.json")
    weights.save(model, target / "weights.pt")
    write_report(target, report)


def write_report(folder: str | os.PathLike[str], report: Mapping[str, Any]) -> Path:
    """Writes report.json; a reader sees the old one or the new one, never a part.

    Raises:
        TrainError: it cannot be written.
    """
    path = Path(folder) / "report.json"
    jsonfile.write_text(path, output.json_text(dict(report)) + "\n", TrainError)
    return path
