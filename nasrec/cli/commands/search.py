"""Search a trained supernet's space for better genotypes; every evaluation is journaled as it happens.

The same command on the same folder goes on with a search that was interrupted or killed. --retrain K trains the K best
from scratch, chooses among them on the validation rows, and scores the chosen one on the test rows with several seeds.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import reports
from nasrec.cli.options.search import EvaluatorSpec, add_options, algorithm_of, goal_of, settings_of
from nasrec.cli.usage import INTERRUPTED
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import folder as runs
from nasrec.runs import retrain, seeds
from nasrec.search.evaluation import ConsoleWatch, evaluation

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.features import FeatureSpec
    from nasrec.genotype import Genotype
    from nasrec.search import Goal, SearchResult, Trial
    from nasrec.supernet import Supernet

HELP = "search for better genotypes with a trained supernet"

_SHOWN = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_options(parser)
    retrain.add_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/search-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Searches, writes what was found, and trains the best where that is asked for."""

    goal = goal_of(args)
    recipe = retrain.recipe_of(args) if args.retrain else None
    data_options = {name: getattr(args, name) for name in ("data", "rows", "kind", "split", "min_count")}
    spec = EvaluatorSpec(
        args.supernet, data_options, args.seed, goal, args.hardware, args.finetune, args.finetune_rows, args.valid_rows
    )
    net, data = spec.load()
    target = ensure_directory(args.output or f"runs/search-{time.strftime('%Y%m%d-%H%M%S')}", TrainError)
    if not args.json:
        print(data.describe(), flush=True)
    runs.require_command(target, "search")
    with runs.held(target):
        try:
            found = _search(args, goal, spec, net, data, target)
        except KeyboardInterrupt:
            return _interrupted(target)
        said = _report(args, goal, spec, net, data, found)
        _save(target, goal, found, said)
        if not args.json:
            print(_table(goal, found, net.features))
        if recipe is not None:
            best = _best(goal, found, net.features, args.retrain)
            place = ensure_directory(target / "retrain", TrainError)
            trained = retrain.retrain(best, data, net.features.embedding_dim, recipe, args.seeds, place)
            said["retrain"] = trained.to_dict()
            runs.write_report(target, said)
            reports.write(target)
            if trained.interrupted:
                return _interrupted(target)
            if not args.json:
                print(f"\n{retrain.table(trained)}\n\n{seeds.score_table(trained.runs)}")
    print(json_text(said) if args.json else f"\nreport.html, report.json and best.json are in {target}")
    return 0


def _search(
    args: argparse.Namespace, goal: Goal, spec: EvaluatorSpec, net: Supernet, data: Rows, target: Path
) -> SearchResult[Genotype]:
    from nasrec.search import Journal, run_search

    space = net.search_space(args.operators)
    algorithm = algorithm_of(args, space, goal)
    identity = {**_settings(args, goal), **spec.identity(net, data)}
    make = functools.partial(EvaluatorSpec.make, spec)
    engine = evaluation(make, args.workers, args.ray, functools.partial(spec.measures, net, data))
    with Journal(target / "journal.jsonl", identity) as journal, engine as evaluate:
        return run_search(algorithm, evaluate, goal, journal, ConsoleWatch(goal, "genotypes"))


def _settings(args: argparse.Namespace, goal: Goal) -> dict[str, Any]:
    return {**settings_of(args, goal, args.hardware), "operators": args.operators}


def _report(
    args: argparse.Namespace, goal: Goal, spec: EvaluatorSpec, net: Supernet, data: Rows, found: SearchResult[Genotype]
) -> dict[str, Any]:
    from nasrec.environment import environment

    return {
        "command": "search",
        "settings": {**_settings(args, goal), "supernet": args.supernet},
        "identity": spec.identity(net, data),
        "data": data.summary(),
        "environment": environment(),
        "evaluations": len(found.trials),
        "evaluation_s": sum(trial.seconds for trial in found.trials),
        "best": found.best.to_dict() if found.best else None,
        "front": [trial.to_dict() for trial in found.front],
    }


def _save(target: Path, goal: Goal, found: SearchResult[Genotype], said: dict[str, Any]) -> None:
    from nasrec.reports import search_figures as pictures

    runs.write_report(target, said)
    if found.best is not None:
        found.best.candidate.save(target / "best.json")
    pictures.draw_history(found.trials, goal, target / "history.png")
    if len(goal.objectives) > 1:
        from nasrec.io.atomic import ensure_directory

        pictures.draw_front(found.trials, found.front, goal, target / "front.png")
        place = ensure_directory(target / "front", TrainError)
        for trial in found.front:
            trial.candidate.save(place / f"trial-{trial.number}.json")
    reports.write(target)


def _best(goal: Goal, found: SearchResult[Genotype], features: FeatureSpec, count: int) -> list[Trial[Genotype]]:
    """The best by the first objective among those that keep all limits, no model twice: genotypes that differ in dead
    blocks alone, or in inputs that no operator reads, would be trained to the same weights."""
    import nasrec_ir
    from nasrec.lowering.graphs import graph_of

    allowed = [trial for trial in found.trials if goal.score(trial.values).allowed]
    chosen: dict[str, Trial[Genotype]] = {}
    for trial in sorted(allowed, key=lambda trial: (goal.score(trial.values).objectives, trial.number)):
        if len(chosen) == count:
            break
        chosen.setdefault(nasrec_ir.dump(graph_of(trial.candidate, features)), trial)
    return list(chosen.values())


def _table(goal: Goal, found: SearchResult[Genotype], features: FeatureSpec) -> str:
    best = _best(goal, found, features, _SHOWN) if len(goal.objectives) == 1 else list(found.front)
    if not best:
        return "no genotype keeps all limits"
    names = list(dict.fromkeys([*goal.names, *best[0].values]))
    lines = [[str(trial.number), *(f"{trial.values[name]:.6g}" for name in names)] for trial in best]
    what = f"the best of {len(found.trials):,}" if len(goal.objectives) == 1 else f"the front of {len(found.trials):,}"
    return f"\n{what} evaluations\n{output.table(('trial', *names), lines)}"


def _interrupted(target: Path) -> int:
    print(runs.resume_hint(target))
    return INTERRUPTED
