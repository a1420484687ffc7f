"""Models, their precisions and in-memory hardware searched together; what was found trained and run on its chips."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import SearchError, TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.runs import folder
from nasrec.runs.data import DataLike, DataSource, RunData
from nasrec.runs.evaluation import EvaluatorSpec
from nasrec.runs.model import Architecture, ModelLike, architecture_of
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult
from nasrec.runs.search import SearchOptions, algorithm_of, evaluator_of, settings_of
from nasrec.runs.verify_designs import DesignModel, Verification, verify_designs
from nasrec.search.journal import Trial, read_journal
from nasrec.search.objectives import Goal

if TYPE_CHECKING:
    from nasrec.codesign import CodesignSpace, Design, DesignEvaluator, HardwareSpace
    from nasrec.codesign.selection import SelectedDesign
    from nasrec.search import SearchResult
    from nasrec.supernet import Supernet

__all__ = ["OBJECTIVES", "CodesignOptions", "CodesignRun", "DesignEvaluatorSpec", "codesign", "designs_of"]

OBJECTIVES = ("chip.log_loss", "pim.latency_ns", "pim.energy_nJ")

SELECTED = 3
"""Designs of the front that are shown and held against reference designs, at least."""


@dataclass(frozen=True)
class CodesignOptions(SearchOptions):
    """As `SearchOptions`, with other defaults; one operator a branch, and the chip is part of a design.

    Attributes:
        objectives: also chip.log_loss and chip.auc, of the shared weights on the design's own crossbars, and
            pim.interval_ns.
        hardware_space: a TOML file with the chip to start from and the choices for its fields; None: the preset
            "default" with crossbar size, bits of cells and converters, and copies.
        chip_rows: validation rows to simulate on crossbars for chip.log_loss.
        retrain: designs of the front to train from scratch, the knee first.
        against: handcrafted models, trained alike and mapped onto the handcrafted chip.
        simulate_rows: test rows on simulated crossbars, the first ones.
        chips: simulated chips with faults of their own.
        noise_steps: of fine-tuning for the noise of cells, every other one with it; 0 for none.
    """

    objectives: tuple[str, ...] = OBJECTIVES
    finetune: int = 0
    algorithm: str = "nsga2"
    rate_trials: int = 1
    seeds: int = 3
    hardware_space: str | None = None
    chip_rows: int = 512
    against: tuple[ModelLike, ...] = ("dlrm",)
    simulate_rows: int = 2048
    chips: int = 3
    noise_steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("chip_rows", 1), ("simulate_rows", 1), ("chips", 1), ("noise_steps", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise SearchError(f"{name} must be a whole number of at least {least}, not {value!r:.60}")
        if self.operators != "single":
            raise SearchError("operators must be single in a co-design")

    def handcrafted(self) -> dict[str, Architecture]:
        """The handcrafted models by name, in which a baseline's options stand.

        Raises:
            NasrecError: one of them is malformed.
        """
        found = {}
        for model in self.against:
            architecture = architecture_of(model)
            options = (f"{key} {value}" for key, value in architecture.options.items())
            name = re.sub(r"[^\w.]+", "-", " ".join((architecture.name, *options))).strip("-.")
            found[name] = architecture
        return found


@dataclass(frozen=True)
class DesignEvaluatorSpec:
    """Everything that measuring a design needs, by name, so that another process can make it too.

    Attributes:
        search: supernet, rows, goal and how to score.
        hardware_space: a file; None for the default space.
        chip_rows: rows to simulate.
    """

    search: EvaluatorSpec
    hardware_space: str | None
    chip_rows: int

    @property
    def goal(self) -> Goal:
        """Objectives and limits."""
        return self.search.goal

    def hardware(self) -> HardwareSpace:
        """The space of chips. Raises `HardwareError` where the file is malformed or holds what no chip can have."""
        from nasrec.codesign import HardwareSpace

        return HardwareSpace() if self.hardware_space is None else HardwareSpace.load(self.hardware_space)

    def make(self) -> Callable[[Design], Mapping[str, float]]:
        """What measures, in this process."""
        net, data = self.search.load()
        return self.evaluator(net, data, self.hardware())

    def evaluator(self, net: Supernet, data: RunData, hardware: HardwareSpace) -> DesignEvaluator:
        """The same from what is there already."""
        from nasrec.codesign import ON_CHIP, DesignEvaluator
        from nasrec.codesign.evaluator import kept
        from nasrec.codesign.scoring import ChipScorer

        score = kept(self.search.scorer(net, data))
        on_chip = None
        if any(name in ON_CHIP for name in self.goal.names):
            on_chip = ChipScorer(net, score, data.splits.train, data.splits.valid, rows=self.chip_rows)
        return DesignEvaluator(self.goal, net.features, hardware, scorer=score, on_chip=on_chip)

    def settings(self, options: CodesignOptions) -> dict[str, Any]:
        """What the journal says of the search, besides supernet, data and space."""
        from nasrec.codesign import ON_CHIP

        simulated = any(name in ON_CHIP for name in self.goal.names)
        found = settings_of(options, self.goal, None)
        del found["hardware"]
        return {**found, "chip_rows": self.chip_rows if simulated else None}

    def identity(self, net: Supernet, data: RunData, space: CodesignSpace) -> dict[str, Any]:
        """What the measured values follow from, as plain values."""
        return {**self.search.identity(net, data), "space": space.to_dict()}


@dataclass(frozen=True)
class CodesignRun(RunResult):
    """What a co-design found."""

    @cached_property
    def goal(self) -> Goal:
        """Objectives and limits."""
        return Goal.from_settings(self.report["settings"])

    @cached_property
    def trials(self) -> tuple[Trial[Design], ...]:
        """Every evaluation, from the journal; `trial.candidate` is the design, `trial.values` what was measured."""
        from nasrec.codesign import DESIGN

        return tuple(read_journal(self.folder / "journal.jsonl", DESIGN)[1])

    @property
    def front(self) -> tuple[Trial[Design], ...]:
        """Those that no other one beats in all objectives."""
        known = {trial.number: trial for trial in self.trials}
        return tuple(known[trial["number"]] for trial in self.report.get("front", []))

    @property
    def claims(self) -> list[Mapping[str, Any]]:
        """What trained designs come to against each handcrafted model; empty where none was trained."""
        found: list[Mapping[str, Any]] = self.report.get("retrain", {}).get("claims", [])
        return found


def codesign(
    supernet: str | os.PathLike[str],
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: CodesignOptions | None = None,
    progress: ProgressLike = True,
) -> CodesignRun:
    """Searches models, their precisions and chips together, or goes on where the folder's journal ends.

    Args:
        supernet: its file, or the folder of its run.
        data: the rows that it was trained on; None: those that its run names.
        out: the folder; default: one below runs/.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        SearchError: options do not fit each other, or supernet and rows do not belong together.
        NasrecError: a file cannot be read, hardware cannot be, or the folder holds something else.
    """
    from nasrec.codesign import CodesignSpace

    options, reporter = options or CodesignOptions(), reporter_of(progress)
    handcrafted = options.handcrafted()
    if options.retrain:
        options.retraining(1)  # what is wrong with it shows before the search
    spec = designs_of(supernet, data, out, options)
    hardware = spec.hardware()
    net, rows = spec.search.load()
    space = CodesignSpace(net.search_space(), hardware)
    target = ensure_directory(out if out is not None else folder.default_folder("codesign"), TrainError)
    reporter.begun(rows, None, None, None)
    folder.require_command(target, "codesign")
    with folder.locked(target):
        try:
            found = _search(options, spec, net, rows, space, target, reporter)
        except KeyboardInterrupt:
            return CodesignRun(target, {"command": "codesign", "interrupted": True})
        report, selected = _report(options, spec, net, rows, space, found, handcrafted)
        _save(target, space, found, selected, report)
        if options.retrain and selected:
            source = spec.search.data if isinstance(spec.search.data, DataSource) else None
            trained, interrupted = verify_designs(
                _models(selected[: options.retrain], handcrafted, net), rows, source,
                options.retraining(net.features.embedding_dim),
                Verification(options.simulate_rows, options.chips, options.noise_steps),
                ensure_directory(target / "retrain", TrainError), reporter,
            )  # fmt: skip
            report["retrain"] = _trained(trained, interrupted, report, list(handcrafted))
            report["interrupted"] = interrupted
            folder.write_report(target, report)
    return CodesignRun(target, folder.plain(report))


def designs_of(
    supernet: str | os.PathLike[str],
    data: DataLike | None,
    out: str | os.PathLike[str] | None,
    options: CodesignOptions,
) -> DesignEvaluatorSpec:
    """What measures designs. Raises `SearchError` on malformed objectives or limits, or where rows are not named."""
    search = replace(evaluator_of(supernet, data, out, options), hardware="")
    return DesignEvaluatorSpec(search, options.hardware_space, options.chip_rows)


def _search(
    options: CodesignOptions,
    spec: DesignEvaluatorSpec,
    net: Supernet,
    data: RunData,
    space: CodesignSpace,
    target: Path,
    reporter: Reporter,
) -> SearchResult[Design]:
    from nasrec.codesign import DESIGN
    from nasrec.search import Journal, run_search
    from nasrec.search.evaluation import ConsoleWatch, evaluation

    algorithm = algorithm_of(options, space, spec.goal)
    identity = {**spec.settings(options), **spec.identity(net, data, space)}
    here = functools.partial(spec.evaluator, net, data, space.hardware)
    watch: ConsoleWatch[Design] = ConsoleWatch(spec.goal, "designs", reporter.meter())
    make = functools.partial(DesignEvaluatorSpec.make, spec)
    with (
        Journal(target / "journal.jsonl", identity, DESIGN) as journal,
        evaluation(make, options.workers, options.ray, here) as evaluate,
    ):
        return run_search(algorithm, evaluate, spec.goal, journal, watch)


def _report(
    options: CodesignOptions,
    spec: DesignEvaluatorSpec,
    net: Supernet,
    data: RunData,
    space: CodesignSpace,
    found: SearchResult[Design],
    handcrafted: Mapping[str, Architecture],
) -> tuple[dict[str, Any], list[SelectedDesign]]:
    from nasrec.codesign import KNEE, volume_of
    from nasrec.codesign.references import reference_designs
    from nasrec.codesign.selection import choose, compare_designs, figures
    from nasrec.environment import environment

    selected = choose(found, spec.goal, space, net.features, max(options.retrain, SELECTED))
    graphs = {name: one.graph(net.features) for name, one in handcrafted.items()}
    others = reference_designs(space.hardware.base)
    rows = spec.search.data.settings() if isinstance(spec.search.data, DataSource) else {}
    named = {"supernet": spec.search.supernet, "hardware_space": options.hardware_space, **rows}
    report = {
        "command": "codesign",
        "settings": {**spec.settings(options), **named},
        "identity": spec.identity(net, data, space),
        "features": net.features.to_dict(),
        "data": data.summary(),
        "environment": environment(),
        "interrupted": False,
        "designs": f"{space.cardinality():.4g}",
        "genes": {gene.name: {"choices": list(gene.choices), "source": gene.source} for gene in space.hardware.genes},
        "evaluations": len(found.trials),
        "evaluation_s": sum(trial.seconds for trial in found.trials),
        "best": found.best.to_dict() if found.best else None,
        "front": [trial.to_dict() for trial in found.front],
        "knee": KNEE,
        "volume": volume_of(found.front, found.trials, spec.goal),
        "chosen": [one.to_dict() for one in selected],
        "rivals": [
            {
                "name": other.name,
                "assumption": other.assumption,
                "claims": dict(other.claims),
                "model": name,
                "figures": figures(other.report(graph)),
            }
            for name, graph in graphs.items()
            for other in others
        ],
        "ratios": compare_designs(selected, others, graphs),
    }
    return report, selected


def _models(
    selected: Sequence[SelectedDesign], handcrafted: Mapping[str, Architecture], net: Supernet
) -> list[DesignModel]:
    """The selected designs, and the handcrafted models on the handcrafted chip."""
    from nasrec_pim import Hardware

    designs = [
        DesignModel(one.name, Architecture(one.name, one.design.genotype), one.graph, one.hardware) for one in selected
    ]
    chip = Hardware.preset("isaac-like")
    by_hand = [DesignModel(name, one, one.graph(net.features), chip) for name, one in handcrafted.items()]
    return [*designs, *by_hand]


def _trained(
    reports: list[dict[str, Any]], interrupted: bool, report: Mapping[str, Any], handcrafted: Sequence[str]
) -> dict[str, Any]:
    from nasrec.codesign.claim import EQUAL, claim_of

    found: dict[str, Any] = {"models": reports, "interrupted": interrupted}
    if not interrupted:
        claims = [claim_of(reports, report["ratios"], report["rivals"], name) for name in handcrafted]
        found |= {"claims": claims, "equal": EQUAL}
    return found


def _save(
    target: Path,
    space: CodesignSpace,
    found: SearchResult[Design],
    selected: Sequence[SelectedDesign],
    report: Mapping[str, Any],
) -> None:
    from nasrec.codesign.selection import save_front
    from nasrec_pim import floorplan

    folder.write_report(target, report)
    save_front(found.front, space, target)
    if selected:
        write_text(target / "floorplan.svg", floorplan(selected[0].report.mapping), TrainError)
