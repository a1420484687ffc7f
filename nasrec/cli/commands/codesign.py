"""Search models, their precisions and in-memory hardware together, with a trained supernet for log loss.

Every evaluation is journaled; the same command on the same folder goes on with a search that was interrupted or killed.
The Pareto front is held against handcrafted designs. --retrain K trains designs of the front and the handcrafted model
from scratch, runs them on simulated crossbars, and fine-tunes them for the noise of cells.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import reports
from nasrec.cli.options.codesign import DesignEvaluatorSpec, add_options
from nasrec.cli.options.search import algorithm_of
from nasrec.cli.usage import INTERRUPTED
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import folder as runs
from nasrec.runs import retrain as training
from nasrec.runs import verify_designs as retrain
from nasrec.search.evaluation import ConsoleWatch, evaluation

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.cli.options.model import Architecture
    from nasrec.codesign import CodesignSpace, Design
    from nasrec.codesign.selection import SelectedDesign
    from nasrec.search import SearchResult
    from nasrec.supernet import Supernet

HELP = "search models, precisions and in-memory hardware together"

CHOSEN = 3
"""Designs of the front that are shown and held against rivals, at least."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_options(parser)
    training.add_options(parser, "designs of the front", count=3, rate_trials=1, remark="the knee first")
    retrain.add_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/codesign-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Searches, holds what was found against rivals, and trains the chosen where that is asked for."""
    from nasrec.codesign import CodesignSpace

    spec = DesignEvaluatorSpec.of(args)
    recipe = training.recipe_of(args) if args.retrain else None
    handcrafted = retrain.handcrafted_of(args)
    hardware = spec.hardware()
    net, data = spec.search.load()
    # One operator a branch, as in the paths that supernets are trained on.
    space = CodesignSpace(net.search_space(), hardware)
    target = ensure_directory(args.output or f"runs/codesign-{time.strftime('%Y%m%d-%H%M%S')}", TrainError)
    if not args.json:
        print(data.describe(), flush=True)
    runs.require_command(target, "codesign")
    with runs.held(target):
        try:
            found = _search(args, spec, net, data, space, target)
        except KeyboardInterrupt:
            return _interrupted(target)
        said, chosen = _report(args, spec, net, data, space, found, handcrafted)
        _save(target, spec, space, found, chosen, said)
        if not args.json:
            print(_table(found, said))
        if recipe is not None and chosen:
            models = _models(chosen[: args.retrain], handcrafted, net)
            trained, interrupted = retrain.retrain(
                models, data, net.features.embedding_dim, recipe, args.seeds,
                retrain.Verification.of(args), ensure_directory(target / "retrain", TrainError),
            )  # fmt: skip
            said["retrain"] = _trained(trained, interrupted, said, list(handcrafted))
            _save(target, spec, space, found, chosen, said)
            if interrupted:
                return _interrupted(target)
            if not args.json:
                print(f"\n{_trained_table(said)}")
    print(json_text(said) if args.json else f"\nreport.html, report.json and front/ are in {target}")
    return 0


def _search(
    args: argparse.Namespace, spec: DesignEvaluatorSpec, net: Supernet, data: Rows, space: CodesignSpace, target: Path
) -> SearchResult[Design]:
    from nasrec.codesign import DESIGN
    from nasrec.search import Journal, run_search

    algorithm = algorithm_of(args, space, spec.goal)
    identity = {**spec.settings(args), **spec.identity(net, data, space)}
    here = functools.partial(spec.measures, net, data, space.hardware)
    engine = evaluation(functools.partial(DesignEvaluatorSpec.make, spec), args.workers, args.ray, here)
    with Journal(target / "journal.jsonl", identity, DESIGN) as journal, engine as evaluate:
        return run_search(algorithm, evaluate, spec.goal, journal, ConsoleWatch(spec.goal, "designs"))


def _report(
    args: argparse.Namespace,
    spec: DesignEvaluatorSpec,
    net: Supernet,
    data: Rows,
    space: CodesignSpace,
    found: SearchResult[Design],
    handcrafted: dict[str, Architecture],
) -> tuple[dict[str, Any], list[SelectedDesign]]:
    from nasrec.codesign import KNEE, volume_of
    from nasrec.codesign.references import reference_designs
    from nasrec.codesign.selection import choose, compare_designs, figures
    from nasrec.environment import environment

    chosen = choose(found, spec.goal, space, net.features, max(args.retrain, CHOSEN))
    graphs = {name: one.graph(net.features) for name, one in handcrafted.items()}
    others = reference_designs(space.hardware.base)
    said = {
        "command": "codesign",
        "settings": {**spec.settings(args), "supernet": args.supernet, "hardware_space": args.hardware_space},
        "identity": spec.identity(net, data, space),
        "data": data.summary(),
        "environment": environment(),
        "designs": f"{space.cardinality():.4g}",
        "genes": {gene.name: {"choices": list(gene.choices), "source": gene.source} for gene in space.hardware.genes},
        "evaluations": len(found.trials),
        "evaluation_s": sum(trial.seconds for trial in found.trials),
        "best": found.best.to_dict() if found.best else None,
        "front": [trial.to_dict() for trial in found.front],
        "knee": KNEE,
        "volume": volume_of(found.front, found.trials, spec.goal),
        "chosen": [one.to_dict() for one in chosen],
        "rivals": [
            {
                "name": rival.name,
                "assumption": rival.assumption,
                "claims": dict(rival.claims),
                "model": name,
                "figures": figures(rival.report(graph)),
            }
            for name, graph in graphs.items()
            for rival in others
        ],
        "ratios": compare_designs(chosen, others, graphs),
    }
    return said, chosen


def _models(chosen: list[SelectedDesign], handcrafted: dict[str, Architecture], net: Supernet) -> list[retrain.Model]:
    """The chosen designs, and the handcrafted models on the handcrafted chip."""
    from nasrec.cli.options.model import Architecture
    from nasrec_pim import Hardware

    designs = [
        retrain.Model(one.name, Architecture(one.name, one.design.genotype), one.graph, one.hardware) for one in chosen
    ]
    chip = Hardware.preset("isaac-like")
    by_hand = [retrain.Model(name, one, one.graph(net.features), chip) for name, one in handcrafted.items()]
    return [*designs, *by_hand]


def _trained(
    reports: list[dict[str, Any]], interrupted: bool, said: dict[str, Any], handcrafted: list[str]
) -> dict[str, Any]:
    from nasrec.codesign.claim import EQUAL, claim_of

    found: dict[str, Any] = {"models": reports, "interrupted": interrupted}
    if not interrupted:
        claims = [claim_of(reports, said["ratios"], said["rivals"], name) for name in handcrafted]
        found |= {"claims": claims, "equal": EQUAL}
    return found


def _save(
    target: Path,
    spec: DesignEvaluatorSpec,
    space: CodesignSpace,
    found: SearchResult[Design],
    chosen: list[SelectedDesign],
    said: dict[str, Any],
) -> None:
    from nasrec.codesign.selection import save_front
    from nasrec.reports import codesign_figures as pictures
    from nasrec_pim import floorplan

    runs.write_report(target, said)
    save_front(found.front, space, target)
    pictures.draw(found.trials, spec.goal, said, target / "front.png")
    if chosen:
        write_text(target / "floorplan.svg", floorplan(chosen[0].report.mapping), TrainError)
    reports.write(target)


def _table(found: SearchResult[Design], said: dict[str, Any]) -> str:
    if not said["chosen"]:
        return "no design keeps all limits"
    lines = [
        [
            f"{one['name']} ({', '.join(one['roles'])})" if "roles" in one else f"{one['model']}: {one['name']}",
            one.get("chip", ""),
            f"{one['figures']['latency_ns'] / 1e3:.3f}",
            f"{one['figures']['energy_nJ'] / 1e3:.3f}",
            f"{one['figures']['area_mm2']:.3f}",
        ]
        for one in (*said["chosen"], *said["rivals"])
    ]
    head = f"\nfront of {len(found.front):,} designs out of {len(found.trials):,}, {said['volume']:.3f} of the volume"
    return f"{head}\n{output.table(('design', 'chip', 'latency us', 'energy uJ', 'area mm2'), lines, left=2)}"


def _trained_table(said: dict[str, Any]) -> str:
    from nasrec.codesign.claim import table_of

    tables = []
    for claim in said["retrain"]["claims"]:
        head, rows = table_of(claim)
        tables.append(output.table(head, [[cell.replace("\n", ", ") for cell in row] for row in rows]))
    return "\n\n".join((*tables, said["retrain"]["equal"]))


def _interrupted(target: Path) -> int:
    print(runs.resume_hint(target))
    return INTERRUPTED
