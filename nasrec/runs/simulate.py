"""A trained model on simulated crossbars: its scores under variation, faults and noise, beside what a sample costs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_value
from nasrec.errors import RunError, TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.runs import describe, folder
from nasrec.runs.columns import Columns
from nasrec.runs.data import DataLike, RunData
from nasrec.runs.hardware import load_hardware
from nasrec.runs.model import ModelLike
from nasrec.runs.opened import OpenedModel, WeightsLike, named_model, open_model, rows_of
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult
from nasrec_pim import Hardware, Nonideal, estimate

if TYPE_CHECKING:
    from nasrec.codesign.onchip import ChipRows
    from nasrec.metrics import Metrics

__all__ = ["COMMAND", "SimulateOptions", "SimulateResult", "simulate"]

COMMAND = "pim simulate"

PARTS = ("valid", "test")

FULL_PRECISION, QUANTISED = "full precision", "quantised"


@dataclass(frozen=True)
class SimulateOptions:
    """What is simulated, and which rows are scored.

    Attributes:
        part: of the rows, "valid" or "test".
        limit: score only the first so many of them; None: all.
        chips: simulated, each with cells of its own.
        variation: see `nasrec_pim.Nonideal`, as the following.
        stuck: cells stuck at an end.
        read_noise: noise of every read.
        drift_s: seconds since programming.
        ir_drop: voltage lost along wires.
        adc_range: "calibrated", "clip" or "full".
        weights: a state dict, or a file or run with one; None: those of a run, else initial ones.
        embedding_dim: channels of an embedding; None: those of a run, graph or file of weights, else 16.
        model_options: of a baseline, such as `{"hidden": (400, 400)}`.
        seed: of the first chip's cells (each further one has the next), of initial weights, and of a synthetic log's
            rows where these are not a run's own.

    Raises:
        RunError, MappingError: a value is out of range; the message names the field.
    """

    part: str = "valid"
    limit: int | None = None
    chips: int = 1
    variation: bool = True
    stuck: bool = True
    read_noise: bool = True
    drift_s: float = 0.0
    ir_drop: bool = False
    adc_range: str = "calibrated"
    weights: WeightsLike | None = None
    embedding_dim: int | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise RunError(f"part must be {' or '.join(PARTS)}, not {format_value(self.part)}")
        for name, least in (("limit", 1), ("chips", 1), ("embedding_dim", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise RunError(f"{name} must be a whole number of at least {least}, not {format_value(value)}")
        _ = self.nonideal

    @property
    def nonideal(self) -> Nonideal:
        """The effects. Raises `MappingError` where one is out of range."""
        names = ("variation", "stuck", "read_noise", "drift_s", "ir_drop", "adc_range")
        return Nonideal(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class SimulateResult(RunResult):
    """Scores on simulated chips; `folder` is None where nothing was to be kept."""

    folder: Path | None  # type: ignore[assignment]  # other runs always have one

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """By name: "full precision" of the floats, "quantised" with exact sums, then "chip 1", "chip 2", ..."""
        return {name: dict(scores) for name, scores in self.report["scores"].items()}

    @property
    def name(self) -> str:
        """Of the model."""
        return str(self.report["model"]["name"])

    @property
    def hardware(self) -> str:
        """Name of the chip."""
        return str(self.report["hardware"])

    @property
    def source(self) -> str:
        """Where the rows come from, in words."""
        return str(self.report["data"]["source"])

    @property
    def rows(self) -> int:
        """That were scored."""
        return int(self.report["scores"][QUANTISED]["rows"])

    @property
    def weights(self) -> str | None:
        """Where the weights come from; None: initial ones."""
        return None if self.report["weights"] is None else str(self.report["weights"])

    @property
    def seed(self) -> int:
        """See `SimulateOptions`."""
        return int(self.report["settings"]["seed"])

    @property
    def seconds(self) -> float:
        """That simulating and scoring took."""
        return float(self.report["simulate_s"])

    @property
    def energy_nJ(self) -> float:
        """Of one sample."""
        return float(self.report["energy_nJ"])

    @property
    def latency_ns(self) -> float:
        """Of one sample."""
        return float(self.report["latency_ns"])

    @property
    def area_mm2(self) -> float:
        """Of the chip."""
        return float(self.report["area_mm2"])


def simulate(
    model: ModelLike,
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    hardware: str | Hardware = "default",
    options: SimulateOptions | None = None,
    progress: ProgressLike = True,
) -> SimulateResult:
    """Maps a model onto a chip, simulates its crossbars, and scores rows there.

    Args:
        model: see `nasrec.runs.open_model`; a run's folder brings its weights, columns and rows.
        data: see `nasrec.runs.source_of`; None: the rows of the run that `model` is the folder of.
        out: a folder for the report; None: nothing is written.
        hardware: a preset, a TOML file, or the description itself.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        NasrecError: model, rows, weights and chip do not fit each other, or one of them cannot be read.

    Example:
        >>> found = nasrec.runs.simulate("runs/dlrm", options=nasrec.runs.SimulateOptions(chips=3))  # doctest: +SKIP
        >>> found.scores["chip 1"]["log_loss"], found.energy_nJ  # doctest: +SKIP
    """
    options, reporter = options or SimulateOptions(), reporter_of(progress)
    chip = load_hardware(hardware) if isinstance(hardware, str) else hardware
    _, run = named_model(model, options.model_options)
    rows = rows_of(run, data, options.seed)
    opened = open_model(
        model, Columns(embedding_dim=options.embedding_dim), rows, options.weights, options.model_options
    )
    if out is None:
        return SimulateResult(None, folder.plain(_simulate(opened, rows, chip, options, reporter)))
    target = ensure_directory(out, TrainError)
    with folder.locked(target):
        folder.require_command(target, COMMAND)
        report = _simulate(opened, rows, chip, options, reporter)
        folder.write_report(target, report)
    return SimulateResult(target, folder.plain(report))


def _simulate(
    opened: OpenedModel, data: RunData, hardware: Hardware, options: SimulateOptions, reporter: Reporter
) -> dict[str, Any]:
    from nasrec.codesign.onchip import ChipRows

    model = opened.model(options.seed)
    start = time.perf_counter()
    part = data.splits.valid if options.part == "valid" else data.splits.test
    rows = ChipRows(model, hardware, data.splits.train, part.take(slice(options.limit)))
    scores: dict[str, Metrics] = {FULL_PRECISION: rows.in_full_precision()}
    meter = reporter.meter()
    meter.begin(f"simulating {opened.name}", options.chips, "chips")
    try:
        for number in range(options.chips):
            chip = rows.chip(options.nonideal, options.seed + number)
            if number == 0:
                scores[QUANTISED] = rows.score(chip.quantized(rows.inputs))
            found = scores[f"chip {number + 1}"] = rows.score(chip.predict(rows.inputs))
            meter.advance(number + 1, f"log loss {found.log_loss:.5f}")
    finally:
        meter.end()
    return _report(opened, data, hardware, options, rows, scores) | {"simulate_s": time.perf_counter() - start}


def _report(
    opened: OpenedModel,
    data: RunData,
    hardware: Hardware,
    options: SimulateOptions,
    rows: ChipRows,
    scores: Mapping[str, Metrics],
) -> dict[str, Any]:
    from nasrec.environment import environment

    cost = estimate(rows.mapping)
    settings = {one.name: getattr(options, one.name) for one in fields(options) if one.name != "weights"}
    return {
        "command": COMMAND,
        "model": describe.summary(opened.architecture, opened.features, opened.graph),
        "weights": opened.weights.name if opened.weights is not None else None,
        "settings": settings,
        "data": data.summary(),
        "hardware": hardware.name,
        "energy_nJ": cost.energy_nJ,
        "latency_ns": cost.latency_ns,
        "area_mm2": cost.area_mm2,
        "scores": {name: found.to_dict() for name, found in scores.items()},
        "environment": environment(),
    }
