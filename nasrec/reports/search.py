"""The page of a search: what was found, how, and what came of training it from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec.draw import draw_architecture
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.io.json import read_json
from nasrec.reports import search_figures as figures
from nasrec.reports import train as training
from nasrec.reports.page import MISSING, Page, figure, seconds
from nasrec.runs.retrain import CHOSEN
from nasrec.search.candidates import GENOTYPE
from nasrec.search.journal import Trial, read_journal
from nasrec.search.objectives import Goal

__all__ = ["add_retrained", "config_of", "page"]

Report = Mapping[str, Any]

SHOWN = 15
"""Rows of the table of the best trials: as many as the paper trains from scratch."""


def page(run: Path, found: Report) -> Page:
    """Of the report and the journal in the run's folder."""
    settings = found["settings"]
    goal = Goal.from_settings(settings)
    trials = read_journal(run / "journal.jsonl")[1] if (run / "journal.jsonl").exists() else []
    wanted = ", ".join(map(str, goal.objectives)) + "".join(f"; {limit}" for limit in goal.limits)
    made = Page(
        f"Search on {found['data']['source']}",
        f"{_ALGORITHMS.get(settings['algorithm'], settings['algorithm'])}: {wanted}",
    )
    if trials:
        made.beside["history.png"] = figures.draw_history(trials, goal)
    made.tiles(_tiles(found, goal))
    if found["best"] is None:
        made.words("No genotype kept all limits. Loosen one of them, or search longer.")
    else:
        _add_found(made, run, found, goal, trials)
    retrained = found.get("retrain")
    if retrained:
        made.heading("Trained from scratch")
        if retrained.get("chosen"):
            made.words(f"The chosen model is in {CHOSEN}/, a run like any other.")
        add_retrained(made, run, retrained)
    made.facts(
        {
            "Search": settings,
            "Cost": _cost(run, found),
            "Training from scratch": config_of(run),
            "Space": found["identity"]["space"],
            "Data": found["data"],
            "Environment": found["environment"],
        }
    )
    return made


def _tiles(found: Report, goal: Goal) -> list[tuple[str, str, str]]:
    tiles = []
    retrained = found.get("retrain", {})
    for part, score, words in _SCORES:
        value = retrained.get("scores", {}).get(part, {}).get(score)
        if value is not None:
            remark = f"± {figure(value['std'])} over {len(retrained['runs'])} seeds, from scratch"
            tiles.append((words, figure(value["mean"]), remark))
    if found["best"] is not None:
        name = goal.objectives[0].name
        trial = f"by shared weights, trial {found['best']['number']}"
        tiles.append((f"best {_words(name)}", figure(_value(found["best"], name), "{:.6g}"), trial))
    if len(goal.objectives) > 1:
        tiles.append(("on the front", str(len(found["front"])), "beaten by none in all objectives"))
    rate = found["evaluations"] / max(1e-9, found["evaluation_s"]) * 3600
    tiles.append(("evaluated", f"{found['evaluations']:,}", f"{rate:,.0f} an hour and worker"))
    return tiles


def _add_found(made: Page, run: Path, found: Report, goal: Goal, trials: Sequence[Trial[Genotype]]) -> None:
    made.heading("What was found")
    made.svg(*_drawings(found, goal, trials))
    if "history.png" in made.beside:
        made.png(made.beside["history.png"], "values of all evaluations in their order, and the best so far", _HISTORY)
    if len(goal.objectives) > 1:
        made.heading("Front")
        front = [Trial.from_dict(trial, GENOTYPE) for trial in found["front"]]
        if trials:
            made.beside["front.png"] = figures.draw_front(trials, front, goal)
            made.png(made.beside["front.png"], "all evaluations in the plane of two objectives, and the front", _FRONT)
        _add_trials(made, front, goal, "Genotypes that no other one beats in all objectives.", found)
    known = [trial for trial in trials if trial.values]
    if known:
        made.heading("Best trials")
        _add_trials(made, _best(known, goal), goal, _BEST.format(objective=_words(goal.objectives[0].name)), found)


def _drawings(found: Report, goal: Goal, trials: Sequence[Trial[Genotype]]) -> list[tuple[str, str]]:
    """The genotype that was chosen, the best by shared weights, and with several objectives the ends of the front."""
    known = {trial.number: trial for trial in trials}
    known |= {trial["number"]: Trial.from_dict(trial, GENOTYPE) for trial in (found["best"], *found["front"])}
    roles: dict[int, list[str]] = {}
    chosen = found.get("retrain", {}).get("chosen", {}).get("trial")
    if chosen in known:
        roles.setdefault(chosen, []).append("chosen among those that were trained from scratch")
    roles.setdefault(found["best"]["number"], []).append(f"best {_words(goal.objectives[0].name)} by shared weights")
    for objective in goal.objectives[1:]:
        end = min((trial["number"] for trial in found["front"]), key=lambda n: objective.of(known[n].values))
        way = "largest" if objective.maximize else "smallest"
        roles.setdefault(end, []).append(f"{way} {_words(objective.name)} of the front")
    pictures = []
    for number, words in roles.items():
        values = ", ".join(f"{_words(name)} {figure(known[number].values.get(name), '{:.5g}')}" for name in goal.names)
        text = draw_architecture(replace(known[number].candidate, name=f"trial {number}"))
        role = "; ".join(words)
        pictures.append((text, f"{role[:1].upper()}{role[1:]}. When scored: {values}."))
    return pictures


def _best(trials: Sequence[Trial[Genotype]], goal: Goal) -> list[Trial[Genotype]]:
    """By the first objective, among those that keep all limits, no genotype twice."""
    scores = {trial.number: goal.score(trial.values) for trial in trials}
    allowed = [trial for trial in trials if scores[trial.number].allowed]
    distinct: dict[Any, Trial[Genotype]] = {}
    for trial in sorted(allowed, key=lambda trial: (scores[trial.number].objectives, trial.number)):
        distinct.setdefault(trial.candidate, trial)
    return list(distinct.values())[:SHOWN]


def _add_trials(made: Page, trials: Sequence[Trial[Genotype]], goal: Goal, caption: str, found: Report) -> None:
    measured = {name for trial in trials for name in trial.values}
    names = list(dict.fromkeys([*goal.names, *(name for name in _ALSO if name in measured)]))
    scratch: dict[int, float] = {}
    for one in found.get("retrain", {}).get("candidates", []):
        scratch[one["trial"]] = min(one["valid"]["log_loss"], scratch.get(one["trial"], float("inf")))
    chosen = found.get("retrain", {}).get("chosen", {}).get("trial")
    last = ["live blocks", *(["from scratch: valid log loss"] if scratch else [])]
    rows = []
    for trial in trials:
        live = f"{len(trial.candidate.live_blocks())} of {len(trial.candidate.blocks)}"
        more = [figure(scratch.get(trial.number))] if scratch else []
        values = [figure(trial.values.get(name), "{:,.6g}" if name != "macs" else "{:,.0f}") for name in names]
        rows.append([str(trial.number), *values, live, *more])
    marked = [place for place, trial in enumerate(trials) if trial.number == chosen]
    made.table(("trial", *map(_words, names), *last), rows, caption=caption, marked=marked)


def add_retrained(made: Page, run: Path, retrained: Report) -> None:
    """What was trained from scratch in a run's folder, and what was chosen."""
    if retrained["interrupted"]:
        made.words("Interrupted: the same command on the folder goes on.")
    by = retrained.get("by", "log_loss")
    ordered = sorted(retrained["candidates"], key=lambda one: one["valid"][by], reverse=by == "auc")
    chosen = retrained.get("chosen")
    made.table(
        ("trial", "learning rate", "valid log loss", "valid AUC"),
        [
            [str(one["trial"]), f"{one['lr']:g}", figure(one["valid"]["log_loss"]), figure(one["valid"]["auc"])]
            for one in ordered
        ],
        caption="Validation rows choose; test rows are looked at once, for the chosen one.",
        marked=[i for i, one in enumerate(ordered) if chosen == {"trial": one["trial"], "lr": one["lr"]}],
    )
    if "runs" not in retrained:
        return
    place = _chosen(run)
    if all((place / one["folder"] / "report.json").exists() for one in retrained["runs"]):
        reports = training.runs_of(place, retrained)
        title = f"trial {chosen['trial']} from scratch, learning rate {chosen['lr']:g}" if chosen else ""
        made.png(training.draw(reports, title), "curves and calibration of the chosen model's runs", _CHOSEN)
        training.add_scores(made, reports)
        return
    names = ("log_loss", "auc")
    made.table(
        ("seed", "test log loss", "test AUC"),
        [[str(one["seed"]), *(figure(one["scores"]["test"][name]) for name in names)] for one in retrained["runs"]],
        totals=[
            [what, *(figure(retrained["scores"]["test"][name][what]) for name in names)] for what in ("mean", "std")
        ],
    )


def _chosen(run: Path) -> Path:
    """Where the chosen model's runs are; version 0.1 had them beside the candidates."""
    before = run / "retrain" / CHOSEN
    return before if before.is_dir() else run / CHOSEN


def _cost(run: Path, found: Report) -> dict[str, Any]:
    """Seconds of work, those of all workers together."""
    cost = {"search": seconds(found["evaluation_s"])}
    retrained = found.get("retrain")
    if retrained:
        reports = [_read(path) for path in sorted((run / "retrain").glob("trial-*/report.json"))]
        cost["candidates from scratch"] = seconds(sum(float(report["train_s"]) for report in reports))
        if "runs" in retrained:
            cost["chosen model, all seeds"] = seconds(sum(float(one["train_s"]) for one in retrained["runs"]))
    return cost


def config_of(run: Path) -> dict[str, Any]:
    """Settings of the chosen model's runs, where there are any."""
    first = next(iter(sorted(_chosen(run).glob("*/report.json"))), None)
    return {name: value for name, value in _read(first)["config"].items() if name != "seed"} if first else {}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path, TrainError)
    return found


def _value(trial: Report, name: str) -> float:
    """A measured value; those that JSON has no word for are text in the report."""
    return float(trial["values"].get(name, "nan"))


def _words(name: str) -> str:
    return {"auc": "AUC", "macs": "MACs"}.get(name, name.replace("_", " ")) or MISSING


_ALGORITHMS = {"evolution": "Regularized evolution", "random": "Random search", "nsga2": "NSGA-II"}
_ALSO = ("log_loss", "auc", "calibration", "macs", "parameters")
"""Values that a table shows beside those of the goal."""
_SCORES = (
    ("test", "log_loss", "test log loss"),
    ("test", "auc", "test AUC"),
    ("valid", "log_loss", "valid log loss"),
)
_HISTORY = (
    "A dot is one genotype, scored by the supernet's weights; the line is the best so far. Evolution works where dots "
    "sink from left to right; where they do not, the supernet may rank no better than chance."
)
_FRONT = "Dots on the line are the choice that is left: better in one objective only at the price of another."
_BEST = "By {objective}, none twice; scores are those of shared weights. The chosen one, if any, is marked."
_CHOSEN = "The chosen genotype, trained from scratch with each seed."
