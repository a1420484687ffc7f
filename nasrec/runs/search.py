"""A search of a supernet's space, journaled as it happens; the best trained from scratch where that is asked for."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec.checks import format_value
from nasrec.errors import SearchError, TrainError
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory
from nasrec.lowering.graphs import graph_of
from nasrec.runs import folder
from nasrec.runs.data import DataLike, DataSource, RunData, source_of
from nasrec.runs.evaluation import EvaluatorSpec
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.results import RunResult, TrainRun
from nasrec.runs.retrain import RetrainOptions, chosen_run, train_candidates
from nasrec.runs.supernet import data_of, supernet_file
from nasrec.search.journal import Trial, read_journal
from nasrec.search.objectives import Goal, parse_goal
from nasrec.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec
    from nasrec.search import Algorithm, SearchResult
    from nasrec.search.candidates import C, CrossingSpace
    from nasrec.supernet import Supernet

__all__ = ["ALGORITHMS", "SearchOptions", "SearchRun", "algorithm_of", "best_trials", "search", "settings_of"]

ALGORITHMS = ("evolution", "random", "nsga2")

_SIZES = {
    "evolution": ("population", "iterations", "sample", "children", "mutations", "decreasing"),
    "random": ("evaluations",),
    "nsga2": ("population", "generations"),
}


@dataclass(frozen=True)
class SearchOptions:
    """What to search for, and how. Sizes are the paper's (section 5.1) where it names one.

    Attributes:
        objectives: what to make best, the most important first: log_loss, auc, macs, parameters, latency_ms,
            pim.latency_ns, pim.energy_nJ, pim.area_mm2, or package.module:function of a genotype; smaller is better,
            but for auc; "max:NAME" or "min:NAME" says otherwise.
        limits: hard ones, such as "macs<=2e6".
        hardware: for pim values: a preset or a TOML file.
        finetune: steps of the last layer before a score is taken (the paper takes 500).
        finetune_rows: that these steps read over and over: the fewer, the faster.
        valid_rows: validation rows to score on.
        algorithm: "evolution" (regularized), "random" or "nsga2".
        population: members of evolution, or of a generation of nsga2.
        iterations: of evolution, after the first population.
        sample: members that compete to be the parent.
        children: genotypes of an iteration of evolution.
        mutations: of the parent, to make a child.
        decreasing: fewer mutations from iteration to iteration, down to 1.
        generations: of nsga2, the first of random genotypes.
        evaluations: of random search.
        operators: in each branch of a block: "single", as in the paths that supernets are trained on, or "any" set.
        seed: of all draws.
        workers: processes that evaluate.
        ray: address of a Ray cluster on which `workers` actors evaluate, or "auto".
        retrain: so many of the best are trained from scratch (the paper trains 15), and the best of these is chosen.
        recipe: of that training; None: the defaults.
        rates: see `RetrainOptions`.
        rate_trials: see `RetrainOptions`.
        seeds: runs of what is chosen, scored on the test rows.

    Raises:
        SearchError: a value is out of range; the message names the field.
    """

    objectives: tuple[str, ...] = ("log_loss",)
    limits: tuple[str, ...] = ()
    hardware: str = "default"
    finetune: int = 500
    finetune_rows: int = 32_768
    valid_rows: int = 20_000
    algorithm: str = "evolution"
    population: int = 128
    iterations: int = 240
    sample: int = 64
    children: int = 8
    mutations: int = 1
    decreasing: bool = False
    generations: int = 16
    evaluations: int = 2048
    operators: str = "single"
    seed: int = 0
    workers: int = 1
    ray: str | None = None
    retrain: int = 0
    recipe: TrainingRecipe | None = None
    rates: tuple[float, float] | None = None
    rate_trials: int = 3
    seeds: int = 5

    def __post_init__(self) -> None:
        for name, allowed in (("algorithm", ALGORITHMS), ("operators", ("single", "any"))):
            if getattr(self, name) not in allowed:
                raise SearchError(f"{name} must be {' or '.join(allowed)}, not {format_value(getattr(self, name))}")
        for name, least in _LEAST.items():
            value = getattr(self, name, least)
            if type(value) is not int or value < least:
                raise SearchError(f"{name} must be a whole number of at least {least}, not {format_value(value)}")

    @property
    def goal(self) -> Goal:
        """Objectives and limits. Raises `SearchError` on malformed ones."""
        return parse_goal(self.objectives, self.limits)

    def retraining(self, embedding_dim: int) -> RetrainOptions:
        """How the best are trained. Raises `TrainError` where rates are none."""
        return RetrainOptions(self.recipe, self.rates, self.rate_trials, self.seeds, embedding_dim)


_LEAST = {
    "finetune": 0, "finetune_rows": 1, "valid_rows": 1, "population": 1, "iterations": 0, "sample": 1, "children": 1,
    "mutations": 1, "generations": 1, "evaluations": 1, "seed": 0, "workers": 1, "retrain": 0, "rate_trials": 1,
    "seeds": 1,
}  # fmt: skip
"""Of each number, the smallest that makes sense."""


@dataclass(frozen=True)
class SearchRun(RunResult):
    """What a search found."""

    @cached_property
    def goal(self) -> Goal:
        """Objectives and limits."""
        return Goal.from_settings(self.report["settings"])

    @cached_property
    def trials(self) -> tuple[Trial[Genotype], ...]:
        """Every evaluation, from the journal; `trial.candidate` is the genotype, `trial.values` what was measured."""
        return tuple(read_journal(self.folder / "journal.jsonl")[1])

    @property
    def best(self) -> Trial[Genotype] | None:
        """The best by the first objective that keeps all limits; None where none does."""
        found = self.report.get("best")
        return None if found is None else next(t for t in self.trials if t.number == found["number"])

    @property
    def front(self) -> tuple[Trial[Genotype], ...]:
        """Those that no other one beats in all objectives."""
        numbers = [trial["number"] for trial in self.report.get("front", [])]
        known = {trial.number: trial for trial in self.trials}
        return tuple(known[number] for number in numbers)

    @property
    def chosen(self) -> TrainRun | None:
        """The model that was trained from scratch and chosen: a run like any other; None where none was trained."""
        return chosen_run(self.folder)


def search(
    supernet: str | os.PathLike[str],
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: SearchOptions | None = None,
    progress: ProgressLike = True,
) -> SearchRun:
    """Searches a trained supernet's space, or goes on where the folder's journal ends.

    Args:
        supernet: its file, or the folder of its run.
        data: the rows that it was trained on, see `nasrec.runs.source_of`; None: those that its run names.
        out: the folder; default: one below runs/.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        SearchError: options do not fit each other, or supernet and rows do not belong together.
        NasrecError: a file cannot be read, or the folder holds something else.

    Example:
        >>> found = nasrec.runs.search("runs/supernet", out="runs/search",
        ...     options=nasrec.runs.SearchOptions(algorithm="random", evaluations=64, retrain=3))  # doctest: +SKIP
        >>> found.best.candidate, found.chosen.scores["test"]["log_loss"]  # doctest: +SKIP
    """
    options, reporter = options or SearchOptions(), reporter_of(progress)
    goal = options.goal
    if options.retrain:
        options.retraining(1)  # what is wrong with it shows before the search
    spec = evaluator_of(supernet, data, out, options)
    net, rows = spec.load()
    target = ensure_directory(out if out is not None else folder.default_folder("search"), TrainError)
    reporter.begun(rows, None, None, None)
    folder.require_command(target, "search")
    with folder.locked(target):
        try:
            found = _search(options, spec, net, rows, target, reporter)
        except KeyboardInterrupt:
            return SearchRun(target, {"command": "search", "interrupted": True, "settings": _settings(options, spec)})
        report = _report(options, spec, net, rows, found)
        _save(target, goal, found, report)
        if options.retrain:
            best = best_trials(goal, found.trials, net.features, options.retrain)
            if not best:
                raise SearchError(_none_left(goal, found.trials))
            place = ensure_directory(target / "retrain", TrainError)
            trained = train_candidates(
                [(trial.number, trial.candidate) for trial in best], rows,
                spec.data if isinstance(spec.data, DataSource) else None,
                options.retraining(net.features.embedding_dim), place, target, reporter,
            )  # fmt: skip
            report |= {"retrain": trained.to_dict(), "interrupted": trained.interrupted}
            folder.write_report(target, report)
    return SearchRun(target, folder.plain(report))


def evaluator_of(
    supernet: str | os.PathLike[str], data: DataLike | None, out: str | os.PathLike[str] | None, options: SearchOptions
) -> EvaluatorSpec:
    """What measures. Raises `SearchError` where nothing says which rows to score on."""
    named: DataLike | None = data if data is not None else data_of(supernet)
    if named is None:
        raise SearchError(f"{os.fspath(supernet)}: does not say which rows it was trained on; give the data")
    source: DataSource | RunData = source_of(named, Path(out) if out is not None else None)
    return EvaluatorSpec(
        supernet_file(supernet), source, options.seed, options.goal, options.hardware, options.finetune,
        options.finetune_rows, options.valid_rows,
    )  # fmt: skip


def algorithm_of(options: SearchOptions, space: CrossingSpace[C], goal: Goal) -> Algorithm[C]:
    """As new. Raises `SearchError` on settings that do not fit each other."""
    from nasrec.search import RandomSearch, RegularizedEvolution

    if options.algorithm == "random":
        return RandomSearch(space, options.seed, evaluations=options.evaluations, batch=max(8, options.workers))
    if options.algorithm == "nsga2":
        from nasrec.search.nsga2 import Nsga2

        if len(goal.objectives) < 2:
            raise SearchError("nsga2 weighs objectives against each other; name at least two, or use evolution")
        sizes = {"population": options.population, "generations": options.generations}
        return Nsga2(space, options.seed, len(goal.objectives), **sizes)
    names = ("population", "iterations", "sample", "children", "mutations")
    sizes = {name: getattr(options, name) for name in names}
    return RegularizedEvolution(space, options.seed, **sizes, decreasing=options.decreasing)


def settings_of(options: SearchOptions, goal: Goal, hardware: str | None) -> dict[str, Any]:
    """What the journal of a search says of it, besides supernet and data; `hardware` names that of in-memory values."""
    own = {name: getattr(options, name) for name in _SIZES[options.algorithm]}
    if options.algorithm == "random":
        own["batch"] = max(8, options.workers)  # which follows the order of asking
    return {
        "algorithm": options.algorithm,
        **own,
        "seed": options.seed,
        **goal.settings(),
        "finetune": options.finetune,
        "finetune_rows": options.finetune_rows if options.finetune else None,
        "valid_rows": options.valid_rows,
        "hardware": hardware if any(name.startswith("pim.") for name in goal.names) else None,
    }


def best_trials(
    goal: Goal, trials: Sequence[Trial[Genotype]], features: FeatureSpec, count: int
) -> list[Trial[Genotype]]:
    """The best by the first objective among those that keep all limits, no model twice: genotypes that differ in dead
    blocks alone, or in inputs that no operator reads, would be trained to the same weights."""
    allowed = [trial for trial in trials if goal.score(trial.values).allowed]
    chosen: dict[str, Trial[Genotype]] = {}
    for trial in sorted(allowed, key=lambda trial: (goal.score(trial.values).objectives, trial.number)):
        if len(chosen) == count:
            break
        chosen.setdefault(nasrec_ir.dump(graph_of(trial.candidate, features)), trial)
    return list(chosen.values())


def _search(
    options: SearchOptions, spec: EvaluatorSpec, net: Supernet, data: RunData, target: Path, reporter: Reporter
) -> SearchResult[Genotype]:
    from nasrec.search import Journal, run_search
    from nasrec.search.evaluation import ConsoleWatch, evaluation

    space = net.search_space("any" if options.operators == "any" else "single")
    algorithm = algorithm_of(options, space, spec.goal)
    identity = {**settings_of(options, spec.goal, spec.hardware), "operators": options.operators}
    identity |= spec.identity(net, data)
    make = functools.partial(EvaluatorSpec.make, spec)
    here = functools.partial(spec.evaluator, net, data)
    watch: ConsoleWatch[Genotype] = ConsoleWatch(spec.goal, "genotypes", reporter.meter())
    with (
        Journal(target / "journal.jsonl", identity) as journal,
        evaluation(make, options.workers, options.ray, here) as evaluate,
    ):
        return run_search(algorithm, evaluate, spec.goal, journal, watch)


def _settings(options: SearchOptions, spec: EvaluatorSpec) -> dict[str, Any]:
    own = {**settings_of(options, spec.goal, spec.hardware), "operators": options.operators}
    rows = spec.data.settings() if isinstance(spec.data, DataSource) else {}
    return {**own, "supernet": spec.supernet, **rows}


def _report(
    options: SearchOptions, spec: EvaluatorSpec, net: Supernet, data: RunData, found: SearchResult[Genotype]
) -> dict[str, Any]:
    from nasrec.environment import environment

    return {
        "command": "search",
        "settings": _settings(options, spec),
        "identity": spec.identity(net, data),
        "features": net.features.to_dict(),
        "data": data.summary(),
        "environment": environment(),
        "interrupted": False,
        "evaluations": len(found.trials),
        "evaluation_s": sum(trial.seconds for trial in found.trials),
        "best": found.best.to_dict() if found.best else None,
        "front": [trial.to_dict() for trial in found.front],
    }


def _save(target: Path, goal: Goal, found: SearchResult[Genotype], report: dict[str, Any]) -> None:
    folder.write_report(target, report)
    if found.best is not None:
        found.best.candidate.save(target / "best.json")
    if len(goal.objectives) > 1:
        place = ensure_directory(target / "front", TrainError)
        for trial in found.front:
            trial.candidate.save(place / f"trial-{trial.number}.json")


def _none_left(goal: Goal, trials: Sequence[Trial[Genotype]]) -> str:
    """Why there is nothing to train: for each limit the nearest value that was met."""
    met = []
    for limit in goal.limits:
        values = [trial.values[limit.name] for trial in trials if limit.name in trial.values]
        if values:
            nearest = max(values) if limit.least else min(values)
            met.append(f"{limit} (the {'largest' if limit.least else 'smallest'} seen is {nearest:,.6g})")
    return f"no genotype keeps all limits, so none can be trained: {', '.join(met)}; loosen them, or search longer"
