"""Whole searches: journal, resume after kills at random points, duplicates, limits and fronts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nasrec import Genotype, presets
from nasrec.errors import SearchError
from nasrec.search import (
    Goal,
    Journal,
    RandomSearch,
    RegularizedEvolution,
    Trial,
    parse_limit,
    parse_objective,
    read_journal,
    run_search,
    serial,
)
from nasrec.search.candidates import GENOTYPE
from tests.search.conftest import quality

GOAL = Goal((parse_objective("log_loss"),))
IDENTITY = {"algorithm": "evolution", "seed": 1}


def evolution(space) -> RegularizedEvolution:
    return RegularizedEvolution(space, 1, population=12, iterations=8, sample=4, children=3)


def lines(path: Path) -> list[dict]:
    """The journal's trials without the seconds."""
    return [
        {key: value for key, value in json.loads(line).items() if key != "seconds"}
        for line in path.read_text().splitlines()
    ]


def test_journal_and_result(space, tmp_path) -> None:
    with Journal(tmp_path / "journal.jsonl", IDENTITY) as journal:
        found = run_search(evolution(space), serial(quality), GOAL, journal)
    identity, trials = read_journal(tmp_path / "journal.jsonl")
    assert identity == IDENTITY and tuple(trials) == found.trials and len(trials) == 36
    assert [trial.number for trial in trials] == list(range(36))
    assert found.best is not None
    assert found.best.values["log_loss"] == min(quality(trial.candidate)["log_loss"] for trial in trials)
    assert found.front == (found.best,)


def test_interrupted_anywhere_it_ends_the_same(space, tmp_path) -> None:
    """Stopped after every single evaluation, and with half a line at the end of the journal."""
    with Journal(tmp_path / "whole.jsonl", IDENTITY) as journal:
        run_search(evolution(space), serial(quality), GOAL, journal)
    calls = 0

    def stops(genotype: Genotype) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise KeyboardInterrupt
        return dict(quality(genotype))

    broken = tmp_path / "broken.jsonl"
    for _ in range(40):
        try:
            with Journal(broken, IDENTITY) as journal:
                run_search(evolution(space), serial(stops), GOAL, journal)
            break
        except KeyboardInterrupt:
            with broken.open("a") as file:
                file.write('{"number":7,"geno')
    assert lines(broken) == lines(tmp_path / "whole.jsonl")


WORKER = """
import sys, time
from nasrec import SearchSpace
from nasrec.search import Journal, serial, run_search
from tests.search.conftest import quality
from tests.search.test_run import GOAL, IDENTITY, evolution

def slow(genotype):
    time.sleep(0.01)
    return quality(genotype)

space = SearchSpace.small(3, dense_dims=(16, 32, 64, 128), sparse_dims=(16, 32))
print("ready", flush=True)
with Journal(sys.argv[1], IDENTITY) as journal:
    run_search(evolution(space), serial(slow), GOAL, journal)
"""


@pytest.mark.slow
def test_killed_at_random_points_it_ends_with_the_same_journal(space, tmp_path) -> None:
    with Journal(tmp_path / "whole.jsonl", IDENTITY) as journal:
        run_search(evolution(space), serial(quality), GOAL, journal)
    path = tmp_path / "killed.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    delays = np.random.default_rng(0).uniform(0.0, 0.12, 10)
    for kill in (*delays, None):
        process = subprocess.Popen([sys.executable, "-c", WORKER, path], env=environment, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        try:
            process.wait(timeout=kill)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
    assert process.returncode == 0
    assert lines(path) == lines(tmp_path / "whole.jsonl")


def test_a_genotype_is_evaluated_once(space, tmp_path) -> None:
    class Repeating(RandomSearch):
        def ask(self) -> list[Genotype]:
            batch = super().ask()
            return [*batch, *batch[:2]]

    calls: list[Genotype] = []

    def counted(genotype: Genotype) -> dict[str, float]:
        calls.append(genotype)
        return dict(quality(genotype))

    with Journal(tmp_path / "journal.jsonl", IDENTITY) as journal:
        found = run_search(Repeating(space, 0, evaluations=16), serial(counted), GOAL, journal)
    assert len(calls) == len(set(calls)) == 16 and len(found.trials) == 20
    assert [trial.seconds == 0 for trial in found.trials] == ([False] * 8 + [True] * 2) * 2


def test_evaluations_may_end_in_any_order(space, tmp_path) -> None:
    def backwards(genotypes):
        for place in reversed(range(len(genotypes))):
            yield place, quality(genotypes[place]), 0.5

    results = []
    for name, evaluate in (("forward", serial(quality)), ("backward", backwards)):
        with Journal(tmp_path / name, IDENTITY) as journal:
            results.append(run_search(evolution(space), evaluate, GOAL, journal))
        results[-1] = [(trial.number, trial.candidate) for trial in read_journal(tmp_path / name)[1]]
    assert results[0] == results[1]


def test_limits_and_front(space, tmp_path) -> None:
    goal = Goal((parse_objective("log_loss"), parse_objective("macs")), (parse_limit("macs<=1400"),))
    with Journal(tmp_path / "journal.jsonl", IDENTITY) as journal:
        found = run_search(RandomSearch(space, 0, evaluations=60), serial(quality), goal, journal)
    kept = [trial.values for trial in found.trials if trial.values["macs"] <= 1400]
    assert 0 < len(kept) < 60
    assert found.best is not None and found.best.values["log_loss"] == min(v["log_loss"] for v in kept)
    front = [trial.values for trial in found.front]
    for values in kept:
        beaten = any(v["log_loss"] <= values["log_loss"] and v["macs"] <= values["macs"] for v in front)
        assert beaten
    for one in front:
        assert not any(v["log_loss"] <= one["log_loss"] and v["macs"] <= one["macs"] and v != one for v in kept)


def test_another_search_is_refused(space, tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {"seed": 1, "space": {"num_blocks": 3}}).close()
    with pytest.raises(SearchError, match=r"journal.jsonl: was begun with space.num_blocks 3, this has 4"):
        Journal(path, {"seed": 1, "space": {"num_blocks": 4}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it is no nasrec-search"),
        ("[]\n", "is no nasrec-search file"),
        ('{"format":"nasrec-search","version":1,"identity":{}}\n{"number":0}\n', "line 2: is no trial"),
        ('{"format":"nasrec-search","version":1,"identity":{}}\nnonsense\n{}\n', "line 2: is damaged"),
    ],
)
def test_damaged_journals(tmp_path, text, message) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    with pytest.raises(SearchError, match=message):
        read_journal(path)
    with pytest.raises(SearchError, match="cannot be read"):
        read_journal(tmp_path / "none")


def test_a_full_disk_loses_nothing_that_was_written(space, tmp_path) -> None:
    """A file size limit stands for it: the write that passes it fails halfway."""
    code = (
        "import resource, signal, sys\n"
        "from tests.search.test_run import *\n"
        "from nasrec import SearchSpace\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "space = SearchSpace.small(3, dense_dims=(16, 32, 64, 128), sparse_dims=(16, 32))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with Journal(sys.argv[1], IDENTITY) as journal:\n"
        "        run_search(evolution(space), serial(quality), GOAL, journal)\n"
        "except SearchError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "journal.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert "journal.jsonl: cannot be written: File too large" in result.stdout, result.stderr
    _, trials = read_journal(path)
    assert len(trials) > 2 and path.read_bytes().endswith(b"\n")


def test_values_that_json_lacks() -> None:
    genotype = presets.load("criteo-small")
    trial = Trial(3, genotype, {"auc": float("nan"), "loss": float("inf"), "macs": 5.0}, 0.25)
    back = Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False)), GENOTYPE)
    assert back.number == 3 and back.candidate == genotype and back.values["loss"] == float("inf")
    assert np.isnan(back.values["auc"]) and back.values["macs"] == 5.0


def test_directions_of_objectives() -> None:
    assert str(parse_objective("log_loss")) == "smallest log_loss" and str(parse_objective("auc")) == "largest auc"
    assert str(parse_objective("max:macs")) == "largest macs" and str(parse_objective("min:auc")) == "smallest auc"
    assert parse_objective("max:my.module:f").name == "my.module:f" and not parse_objective("my.module:f").maximize
    for text in ("", "max:"):
        with pytest.raises(SearchError, match="has no name"):
            parse_objective(text)
    with pytest.raises(SearchError, match="none twice"):
        Goal((parse_objective("auc"), parse_objective("min:auc")))
