"""What runs give: typed views of the reports in their folders."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path, format_value
from nasrec.errors import RunError
from nasrec.io.json import read_json
from nasrec.runs.inherit import ModelRun, open_run

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel

__all__ = ["RunResult", "SeedRun", "TrainRun", "load"]


@dataclass(frozen=True)
class RunResult:
    """The folder of a run, and its report.

    Attributes:
        folder: where everything is.
        report: what report.json holds, as plain values.
    """

    folder: Path
    report: Mapping[str, Any]

    @property
    def command(self) -> str:
        """The command line's word for what was done."""
        return str(self.report["command"])

    @property
    def interrupted(self) -> bool:
        """Did Ctrl-C end it? The same call on the same folder goes on."""
        return bool(self.report.get("interrupted", False))


@dataclass(frozen=True)
class SeedRun:
    """One of several runs of a model: its seed, its folder, and scores by part of the rows and name."""

    seed: int
    folder: Path
    scores: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class TrainRun(RunResult):
    """A model trained with one seed or several."""

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """Mean over the seeds of each score, by part of the rows: `scores["test"]["log_loss"]`, in nats a row."""
        return self._statistic("mean")

    @property
    def stds(self) -> dict[str, dict[str, float | None]]:
        """Standard deviation over the seeds (of a sample) of each score; None for a single seed, which has none."""
        if len(self.seeds) < 2:
            return {part: dict.fromkeys(scores) for part, scores in self.scores.items()}
        return self._statistic("std")

    @cached_property
    def seeds(self) -> tuple[SeedRun, ...]:
        """The runs, in the order of their seeds."""
        runs = self.report.get("runs")
        if runs is None:
            own = self.report.get("config") or {}
            seed = own.get("seed", self.report.get("seed", 0))
            return (SeedRun(seed, self.folder, self.report.get("scores", {})),)
        below = self.folder / "trials" if self.report.get("trials") else self.folder
        return tuple(SeedRun(run["seed"], below / run["folder"], run["scores"] or {}) for run in runs)

    @property
    def lr(self) -> float | None:
        """The peak learning rate, chosen where it was tuned."""
        config = self.report.get("config")
        return config["lr"] if config else None

    @cached_property
    def run(self) -> ModelRun:
        """The run of the first seed: graph, columns, weights, rows. Raises `RunError` where nothing was trained."""
        return open_run(self.folder)

    def model(self) -> CompiledModel:
        """The trained model of the first seed, in evaluation mode. Raises `RunError` where nothing was trained."""
        return self.run.model()

    def _statistic(self, which: str) -> dict[str, dict[str, float | None]]:
        found = {part: scores for part, scores in self.report.get("scores", {}).items() if part in ("valid", "test")}
        if "runs" not in self.report:
            return {part: dict(scores) for part, scores in found.items()}
        return {part: {name: value[which] for name, value in scores.items()} for part, scores in found.items()}


def load(folder: str | os.PathLike[str]) -> RunResult:
    """The result that a run's folder holds, of the class that made it.

    Raises:
        RunError: there is no report, or it is damaged or of no run that is known.

    Example:
        >>> nasrec.runs.load("runs/dlrm").scores["test"]["auc"]  # doctest: +SKIP
    """
    place = Path(folder)
    path = place / "report.json"
    shown = format_path(os.fspath(folder))
    if not place.is_dir():
        raise RunError(f"{shown}: is no folder; give the folder of a run, with its report.json")
    if not path.exists():
        raise RunError(f"{shown}: holds no report.json; give the folder of a run that has come to its end")
    report = read_json(path, RunError)
    command = report.get("command") if isinstance(report, Mapping) else None
    if not isinstance(command, str) or command not in KINDS:
        raise RunError(
            f"{format_path(str(path))}: is of command {format_value(command)}; runs are of {', '.join(KINDS)}"
        )
    module, name = KINDS[command]
    kind: type[RunResult] = getattr(importlib.import_module(module), name)
    return kind(place, report)


KINDS = {
    "train": ("nasrec.runs.results", "TrainRun"),
    "quantize": ("nasrec.runs.quantize_results", "QuantizeRun"),
    "prune": ("nasrec.runs.prune_results", "PruneRun"),
    "search": ("nasrec.runs.search", "SearchRun"),
    "retrain": ("nasrec.runs.retrain", "RetrainRun"),
    "supernet train": ("nasrec.runs.supernet", "SupernetRun"),
    "supernet extract": ("nasrec.runs.subnet", "SubnetRun"),
    "rank": ("nasrec.runs.rank_results", "RankRun"),
    "rank --contest": ("nasrec.runs.rank_results", "AlgorithmComparisonRun"),
    "demo": ("nasrec.runs.demo", "DemoRun"),
    "pim simulate": ("nasrec.runs.simulate", "SimulateResult"),
    "codesign": ("nasrec.runs.codesign", "CodesignRun"),
}
"""Homes and names of result classes, by the command that a report names; imported late, as they import this module."""
