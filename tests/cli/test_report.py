"""`nasrec report`: pages of every kind of run, of runs that are hard to draw, and what it says of bad folders."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec import Genotype, SearchSpace, draw_architecture
from nasrec import reports as pages
from nasrec.io.json import json_text
from nasrec.metrics import score
from nasrec.reports.registry import COMMANDS
from nasrec.runs.seeds import statistics_of
from nasrec.search import Journal, Trial
from nasrec.search.objectives import Goal
from nasrec.train.calibration import reliability


def run_of(seed: int, clicks: bool = True, points: int = 3) -> dict[str, Any]:
    """A report as it is read from its file."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1, 400)
    labels = (rng.random(400) < 1 / (1 + np.exp(-logits))).astype(float) * clicks
    found = score(logits, labels).to_dict()
    looks = [{"step": 10 * i, "epoch": 1, "metrics": found | {"log_loss": 3.0 - i}} for i in (1, 2)]
    history = [
        {"step": step, "epoch": 1, "rows": 100 * step, "loss": 3.0, "lr": 0.1, "rows_per_s": 9.0}
        for step in range(1, points + 1)
    ]
    values = {
        "command": "train",
        "config": {"seed": seed, "batch_size": 100, "lr": 0.1, "optimizer": "adam"},
        "interrupted": False, "train_s": 2.0, "steps": points, "rows": 2000,
        "history": history, "evaluations": looks, "best_valid": looks[1],
        "scores": {"valid": found, "test": found}, "reliability": reliability(logits, labels).to_dict(),
        "data": {"source": "<log> & more", "rows": {"train": 2000}}, "model": {"name": "dlrm", "features": {}},
        "environment": {"nasrec": "0"},
    }  # fmt: skip
    found_again: dict[str, Any] = json.loads(json_text(values))
    return found_again


def put(folder: Path, *reports: dict[str, Any]) -> None:
    """A run's folder, or one of several seeds."""
    common = reports[0]
    if len(reports) > 1:
        shared = ("command", "data", "model", "environment", "interrupted")
        common = {name: common[name] for name in shared}
        common["runs"] = [{"folder": f"seed-{one['config']['seed']}"} for one in reports]
        common["scores"] = {}
        for one in reports:
            put(folder / f"seed-{one['config']['seed']}", one)
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "report.json").write_text(json.dumps(common), encoding="utf-8")


def read(path: Path) -> tuple[str, list[str]]:
    """A page that needs no other file and is well nested: its text, and the alternative texts of its pictures."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)|<script|@import|url\(', text)
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert all(reader.alts)
    return text, reader.alts


class Reader(HTMLParser):
    """Knows what is open, and what pictures are called."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")
        elif tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "reports",
    [[run_of(0, points=1)], [run_of(0, clicks=False)], [run_of(seed) for seed in range(6)]],
    ids=["one point", "no clicks", "six seeds"],
)
def test_a_training_is_drawn_and_written(tmp_path: Path, reports: list[dict[str, Any]]) -> None:
    put(tmp_path, *reports)
    pages.write(tmp_path)
    picture = (tmp_path / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    page, alts = read(tmp_path / "report.html")
    assert "&lt;log&gt; &amp; more" in page and "<log>" not in page and len(alts) == 1
    for one in reports:
        row = f'<th scope="row">{one["config"]["seed"]}</th><td>test</td><td>{one["scores"]["test"]["log_loss"]:.5f}'
        assert row in page
    assert ('<th scope="row">std</th>' in page) == (len(reports) > 1)


def test_an_interrupted_training(cli: Any, tmp_path: Path) -> None:
    run = run_of(0) | {"interrupted": True, "best_valid": None, "evaluations": []}
    del run["scores"], run["reliability"]
    put(tmp_path / "run", run)
    assert cli("report", tmp_path / "run", "-o", tmp_path / "page.html").status == 0
    assert "Interrupted: the same command" in read(tmp_path / "page.html")[0]
    assert os.listdir(tmp_path / "run") == ["report.json"]  # pictures stay in the page that was asked for elsewhere


def test_a_genotype_is_drawn(cli: Any, tmp_path: Path, genotype: Genotype) -> None:
    put(tmp_path, run_of(0))
    genotype.save(tmp_path / "genotype.json")
    assert cli("report", tmp_path).status == 0
    assert draw_architecture(genotype) in read(tmp_path / "report.html")[0]


def test_a_supernets_training(cli: Any, tmp_path: Path) -> None:
    run = run_of(0) | {"command": "supernet train", "device": "cpu", "processes": 1, "stopped_early": False}
    run |= {"supernet": {"space": {"num_blocks": 3}, "parameters": 1234567}, "sampling": {"counts": "binomial"}}
    put(tmp_path, run | {"rows_per_s": 1000.0})
    assert cli("report", tmp_path).status == 0
    page, alts = read(tmp_path / "report.html")
    assert "Supernet of 3 blocks" in page and "1,234,567" in page and len(alts) == 1


def trials(count: int) -> list[Trial]:
    rng = np.random.default_rng(0)
    space = SearchSpace.small(2, dense_dims=(16, 32), sparse_dims=(16,))
    losses = [math.nan, *rng.random(count - 1)]
    return [Trial(i, space.sample(rng), {"log_loss": x, "macs": 1e4 * i}, 0.5) for i, x in enumerate(losses)]


def put_search(folder: Path, objectives: list[str], limits: list[str], **more: Any) -> list[Trial]:
    """A search's folder, as the command leaves it; its report."""
    found = trials(8)
    goal = Goal.from_settings({"objectives": objectives, "limits": limits})
    values = [trial.values for trial in found]
    best, front = goal.best(values), [found[i].to_dict() for i in goal.front(values)]
    folder.mkdir()
    with Journal(folder / "journal.jsonl", {"seed": 0}) as journal:
        for trial in found:
            journal.add(trial)
    settings = {"algorithm": "evolution", "objectives": objectives, "limits": limits, "seed": 0}
    summary = {
        "command": "search", "settings": settings, "identity": {"space": {"num_blocks": 2}},
        "data": {"source": "rows <of mine>"}, "environment": {}, "evaluations": 8, "evaluation_s": 4.0,
        "best": found[best].to_dict() if best is not None else None, "front": front, **more,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(summary), encoding="utf-8")
    return found


def test_a_search(cli: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = put_search(run, ["smallest log_loss"], [])
    assert cli("report", run).status == 0
    page, _ = read(run / "report.html")
    best = min(found[1:], key=lambda trial: trial.values["log_loss"])
    assert draw_architecture(replace(best.candidate, name=f"trial {best.number}")) in page
    ordered = sorted(found[1:], key=lambda trial: trial.values["log_loss"])
    places = [
        page.index(f'<th scope="row">{trial.number}</th><td>{trial.values["log_loss"]:,.6g}') for trial in ordered
    ]
    assert places == sorted(places)
    assert "rows &lt;of mine&gt;" in page and (run / "history.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_of_several_objectives_and_limits(cli: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = put_search(run, ["smallest log_loss", "largest macs"], ["macs<=50000"])
    assert cli("report", run).status == 0
    page, _ = read(run / "report.html")
    assert "<h2>Front</h2>" in page and "Largest MACs of the front" in page
    assert f'<th scope="row">{found[7].number}</th>' not in page  # breaks the limit
    put_search(tmp_path / "none", ["smallest log_loss"], ["macs<=-1"])
    assert cli("report", tmp_path / "none").status == 0
    assert "No genotype kept all limits" in read(tmp_path / "none" / "report.html")[0]


def test_a_search_with_training_from_scratch(cli: Any, tmp_path: Path) -> None:
    run, runs = tmp_path / "run", [run_of(seed) for seed in range(2)]
    tried = [{"trial": n, "lr": 0.1, "valid": {"log_loss": 0.6 - n / 100, "auc": 0.7}} for n in (2, 3)]
    summary = [
        {"folder": f"seed-{i}", "seed": i, "train_s": 3.0, "scores": one["scores"]} for i, one in enumerate(runs)
    ]
    said = {"interrupted": False, "candidates": tried, "chosen": {"trial": 3, "lr": 0.1}, "runs": summary}
    found = put_search(run, ["smallest log_loss"], [], retrain=said | {"scores": statistics_of(runs)})
    assert cli("report", run).status == 0  # the runs' own folders may be gone
    page, alts = read(run / "report.html")
    assert draw_architecture(replace(found[3].candidate, name="trial 3")) in page and len(alts) == 1
    mean = statistics.fmean(one["scores"]["test"]["auc"] for one in runs)
    assert page.count(f"{mean:.5f}") >= 2 and '<tr class=marked><th scope="row">3</th><td>0.1</td>' in page
    put_search(tmp_path / "early", ["smallest log_loss"], [], retrain={"interrupted": True, "candidates": tried[:1]})
    assert cli("report", tmp_path / "early").status == 0
    assert "Interrupted: the same command" in read(tmp_path / "early" / "report.html")[0]
    put(run / "retrain" / "chosen", *runs)
    assert cli("report", run).status == 0
    assert len(read(run / "report.html")[1]) == 2


def test_a_ranking_and_a_contest(cli: Any, tmp_path: Path) -> None:
    values = {"value": 0.5, "low": 0.25, "high": 0.75}
    one = {"name": "s-o", "finetune": 0, "truth": [0.5, 0.4, 0.3], "predicted": [3, 2, 1]}
    ranked = [one | {"statistics": {"kendall": values | {"value": tau}}} for tau in (0.125, 0.875, None)]
    said = {"command": "rank", "data": {"source": "x"}, "environment": {}, "architectures": 3, "ranked": ranked}
    put(tmp_path, said)
    assert cli("report", tmp_path).status == 0
    page, alts = read(tmp_path / "report.html")
    assert "0.875<small>0.250 to 0.750</small>" in page and len(alts) == 2
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("scatter.png", "cdf.png"))
    regret = {"mean": 0.25, "low": 0.125, "high": 0.5}
    said = {"command": "rank --contest", "architectures": 9, "budget": 2, "seeds": 5, "regret": {"random": regret}}
    for low, words in ((-0.5, "holds zero: these seeds do not tell"), (0.125, "leaves out zero.")):
        put(tmp_path, said | {"advantage_of_evolution": regret | {"low": low}})
        assert cli("report", tmp_path).status == 0
        assert words in read(tmp_path / "report.html")[0]


def test_help_names_every_kind_of_run(cli: Any) -> None:
    text = " ".join(cli("report", "--help").out.split())
    assert all(f"nasrec {command}" in text for command in COMMANDS) and len(COMMANDS) > 10


def test_bad_folders(cli: Any, tmp_path: Path) -> None:
    cli("report", tmp_path / "none").fails_with("none: is no folder")
    cli("report", tmp_path).fails_with("holds no report.json")
    path = tmp_path / "report.json"
    for text, words in (
        ("{", "report.json: is not JSON"),
        ("[]", "is of command"),
        ('{"command": "dance"}', "is of command 'dance'; pages are made of reports of train"),
        ('{"command": ["x"]}', "is of command"),
        ('{"command": "train"}', "is no whole report of 'nasrec train': KeyError"),
        ('{"command": "search", "settings": 3}', "is no whole report of 'nasrec search': TypeError"),
        ('{"command": "rank", "ranked": []}', "is no whole report of 'nasrec rank'"),
    ):
        path.write_text(text, encoding="utf-8")
        cli("report", tmp_path).fails_with("report.json", words)
    put(tmp_path, run_of(0), run_of(1))
    (tmp_path / "seed-1" / "report.json").unlink()
    cli("report", tmp_path).fails_with("seed-1/report.json: cannot be read")
    put_search(tmp_path / "search", ["smallest log_loss"], [])
    (tmp_path / "search" / "journal.jsonl").write_text("{}\n")
    cli("report", tmp_path / "search").fails_with("journal.jsonl: is no nasrec-search file")
    put(tmp_path, run_of(0))
    cli("report", tmp_path, "-o", tmp_path / "no" / "page.html").fails_with("page.html: cannot be written")


def test_curves_that_stay_above_the_entropy_are_seen(tmp_path: Path) -> None:
    from nasrec.reports import figures as curves

    figure = curves.figure_of(2, 2)
    axes = figure.subplots()
    curves.zoom(axes, [run_of(0)], 0.5, None)  # its best validation loss is 1
    assert axes.get_ylim()[0] < 0.5 and axes.get_ylim()[1] > 1.0
