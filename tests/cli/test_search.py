"""`nasrec search`: from a supernet to a chosen model, going on after breaks, and what it says of bad input."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasrec import Genotype, SearchSpace, Supernet, draw_architecture
from nasrec.data import synthesize
from nasrec.runs.search import best_trials
from nasrec.search import Goal, Journal, Objective, SearchResult, Trial, read_journal
from nasrec.supernet import load, save
from nasrec.train.learner import ModelLearner

DATA = ("--data", "synth:criteo", "--rows", 2000)
SMALL = ("--population", 6, "--iterations", 3, "--sample", 3, "--children", 2, "--valid-rows", 100, "--finetune", 0)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, which ranks as well as any here."""
    features = synthesize("criteo", 2000, 0).log.features(8)
    space = SearchSpace.small(2, dense_dims=(16, 32), sparse_dims=(16,))
    path = tmp_path_factory.mktemp("supernet") / "supernet.pt"
    save(Supernet(space, features, masking="sliced", seed=0), path)
    return path


def test_search_and_what_it_leaves(cli: Any, supernet: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    report = cli("search", "--supernet", supernet, *DATA, *SMALL, "-o", target, "--json").json
    assert report["evaluations"] == 12 and report["settings"]["population"] == 6
    _, trials = read_journal(target / "journal.jsonl")
    assert report["best"]["values"]["log_loss"] == min(trial.values["log_loss"] for trial in trials)
    assert all(len(block.operators) == 2 for trial in trials for block in trial.candidate.blocks)  # a single each
    best = Genotype.load(target / "best.json")
    assert best == Genotype.from_dict(report["best"]["genotype"])
    assert (target / "history.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((target / "report.json").read_text())["evaluations"] == 12
    page = (target / "report.html").read_text(encoding="utf-8")
    assert draw_architecture(replace(best, name=f"trial {report['best']['number']}")) in page


def test_interrupted_it_goes_on(cli: Any, supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("search", "--supernet", supernet, *DATA, *SMALL, "-o")
    cli(*command, tmp_path / "whole")
    real = Journal.add

    def stopping(self: Journal, trial: Any) -> None:
        real(self, trial)
        if trial.number == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", stopping)
    stopped = cli(*command, tmp_path / "broken")
    assert stopped.status == 130 and "the same command with -o" in stopped.out
    monkeypatch.undo()
    assert cli(*command, tmp_path / "broken").status == 0
    runs = [read_journal(tmp_path / name / "journal.jsonl")[1] for name in ("whole", "broken")]
    assert [(t.candidate, t.values) for t in runs[0]] == [(t.candidate, t.values) for t in runs[1]]


def test_several_objectives_and_limits(cli: Any, supernet: Path, tmp_path: Path) -> None:
    outcome = cli(
        "search", "--supernet", supernet, *DATA, "--valid-rows", 100, "--algorithm", "nsga2", "--population", 6,
        "--operators", "any",
        "--generations", 2, "--objective", "auc", "--objective", "pim.energy_nJ", "--limit", "macs<=13000",
        "-o", tmp_path, "--json",
    )  # fmt: skip
    front = outcome.json["front"]
    assert front and all(trial["values"]["macs"] <= 13000 for trial in front)
    blocks = [block for trial in read_journal(tmp_path / "journal.jsonl")[1] for block in trial.candidate.blocks]
    assert any(len(block.operators) > 2 for block in blocks)
    assert len(list((tmp_path / "front").glob("trial-*.json"))) == len(front)
    assert (tmp_path / "front.png").exists()
    _, trials = read_journal(tmp_path / "journal.jsonl")
    broken = [trial for trial in trials if trial.values["macs"] > 13000]
    assert broken and all("auc" not in trial.values for trial in broken)  # nothing is scored in vain


def test_a_users_own_objective(cli: Any, supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_search.py").write_text(
        "def widest(genotype):\n    return max(b.dense_width for b in genotype.blocks)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    command = ("search", "--supernet", supernet, *DATA, *SMALL, "--objective", "max:mine_for_search:widest")
    report = cli(*command, "-o", tmp_path / "run", "--json").json
    assert report["best"]["values"] == {"mine_for_search:widest": 32.0}


def test_the_best_are_trained_from_scratch(
    cli: Any, supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "train.toml"
    config.write_text('batch_size = 256\nmax_steps = 3\nmonitor = "auc"\nembedding_std = 1e-6\ndropout = 0.25\n')
    command = (
        "search", "--supernet", supernet, *DATA, *SMALL, "-o", tmp_path / "run", "--json", "--retrain", 2,
        "--rate-trials", 2, "--seeds", 2, "--train-config", config,
    )  # fmt: skip
    steps, step = [], ModelLearner.step
    monkeypatch.setattr(ModelLearner, "step", lambda *given: steps.append(1) or step(*given))
    report = cli(*command).json["retrain"]
    assert len(steps) == 3 * (4 + 1)  # the chosen one's first seed is that of the candidate
    assert len(report["candidates"]) == 4 and {entry["lr"] for entry in report["candidates"]} == {0.1, 0.2}
    best = max(report["candidates"], key=lambda entry: entry["valid"]["auc"])
    assert report["chosen"] == {"trial": best["trial"], "lr": best["lr"]}
    assert [entry["seed"] for entry in report["runs"]] == [0, 1]
    assert set(report["scores"]) == {"valid", "test"}
    first = tmp_path / "run" / "chosen" / "seed-0"
    assert "dropout" in (first / "model.py").read_text() and "dropout = 0.25" in (first / "config.toml").read_text()
    weights = torch.load(first / "weights.pt", weights_only=True)
    (table,) = [value for name, value in weights.items() if name.endswith("tables.0")]
    assert table.abs().median() < 1e-5  # most ids are not met in three steps
    for folder in (tmp_path / "run" / "retrain").glob("trial-*"):
        assert "test" not in json.loads((folder / "report.json").read_text())["scores"]
    again = cli(*command)
    assert again.json["retrain"]["scores"] == report["scores"] and "finished before" in again.err


def test_no_model_is_trained_twice(supernet: Path) -> None:
    """Inputs that no operator reads make another genotype, but the same model."""
    net = load(supernet)
    genotype = net.space.sample(np.random.default_rng(0))
    last = genotype.blocks[-1]
    assert "sum" not in last.operators and "sigmoid_gating" not in last.operators
    twins = [
        replace(genotype, blocks=(*genotype.blocks[:-1], replace(last, left_inputs=inputs))) for inputs in ((0,), (1,))
    ]
    other = replace(genotype, blocks=(*genotype.blocks[:-1], replace(last, fm=not last.fm)))
    trials = tuple(Trial(i, g, {"log_loss": 0.5 + i / 100}, 0.0) for i, g in enumerate((*twins, other)))
    found, goal = SearchResult(trials, trials[0], trials[:1]), Goal((Objective("log_loss"),))
    assert [trial.number for trial in best_trials(goal, found.trials, net.features, 3)] == [0, 2]
    assert [trial.number for trial in best_trials(goal, found.trials, net.features, 1)] == [0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--objective", "speed"), ("'speed' is no value that is measured", "macs")),
        (("--limit", "macs<2"), ("limit 'macs<2'", "macs<=2e6")),
        (("--algorithm", "nsga2"), ("at least two",)),
        (("--sample", 7), ("sample 7 is larger than the population 6",)),
        (("--objective", "no.such:thing"), ("'no.such:thing' cannot be imported",)),
        (("--hardware", "nosuch", "--objective", "pim.area_mm2"), ("'nosuch' is no preset",)),
        (("--rates", 0.2, 0.1, "--retrain", 1), ("0.2", "0.1")),
    ],
    ids=str,
)
def test_bad_settings(cli: Any, supernet: Path, tmp_path: Path, options: Any, words: Any) -> None:
    outcome = cli("search", "--supernet", supernet, *DATA, *SMALL, "-o", tmp_path / "run", *options, "--json")
    outcome.fails_with(*words)


def test_files_that_do_not_belong_together(cli: Any, supernet: Path, tmp_path: Path) -> None:
    run = ("-o", tmp_path / "run", "--json")
    cli("search", "--supernet", tmp_path / "no.pt", *DATA, *run).fails_with("no.pt: no such file")
    cli("search", "--supernet", tmp_path / "mistyped", *run).fails_with("mistyped: no such file or folder")
    other = ("--data", "synth:avazu", "--rows", 500)
    cli("search", "--supernet", supernet, *other, *run).fails_with("give the data that it was trained on")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    cli("search", "--supernet", tmp_path / "other.pt", *DATA, *run).fails_with("other.pt")
    assert cli("search", "--supernet", supernet, *DATA, *SMALL, *run).status == 0
    changed = cli("search", "--supernet", supernet, *DATA, *SMALL, "--seed", 1, *run)
    changed.fails_with("was begun with seed 0", "this has 1")
