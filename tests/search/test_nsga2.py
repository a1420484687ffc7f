"""NSGA-II by pymoo: budget, membership, seeds, and a front that random search of equal budget does not reach."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nasrec import Genotype, SearchSpace
from nasrec.errors import SearchError
from nasrec.search import Algorithm, Goal, Journal, RandomSearch, parse_limit, parse_objective, run_search, serial
from nasrec.search.nsga2 import Nsga2
from tests.search.conftest import quality

GOAL = Goal((parse_objective("log_loss"), parse_objective("macs")))


def play(algorithm: Algorithm, goal: Goal = GOAL) -> list[Genotype]:
    asked = []
    while batch := algorithm.ask():
        algorithm.tell([goal.score(quality(genotype)) for genotype in batch])
        asked += batch
    return asked


def area(genotypes: list[Genotype]) -> float:
    """What the front dominates of the rectangle up to log loss 1 and 4,000 MACs."""
    values = [quality(genotype) for genotype in genotypes]
    front = sorted((values[i]["macs"], values[i]["log_loss"]) for i in GOAL.front(values))
    total, best = 0.0, 1.0
    for (macs, loss), (until, _) in zip(front, [*front[1:], (4000.0, 0.0)], strict=True):
        best = min(best, loss)
        total += (until - macs) * (1.0 - best)
    return total


def test_budget_membership_and_seed(space) -> None:
    asked = play(Nsga2(space, 0, 2, population=10, generations=4))
    assert len(asked) == 40 == Nsga2(space, 0, 2, population=10, generations=4).budget
    assert all(genotype in space for genotype in asked)
    assert asked == play(Nsga2(space, 0, 2, population=10, generations=4))
    assert asked != play(Nsga2(space, 1, 2, population=10, generations=4))


def test_front_is_ahead_of_random_searchs() -> None:
    space = SearchSpace.small(6)
    for seed in range(3):
        ours = area(play(Nsga2(space, seed, 2, population=20, generations=12)))
        assert ours > area(play(RandomSearch(space, seed, evaluations=240)))


def test_keeps_limits_and_survives_what_was_not_measured(space) -> None:
    goal = Goal(GOAL.objectives, (parse_limit("macs<=1100"),))
    last = play(Nsga2(space, 0, 2, population=12, generations=8), goal)[-12:]
    assert sum(quality(genotype)["macs"] <= 1100 for genotype in last) >= 9
    unknown = Nsga2(space, 0, 2, population=6, generations=3)
    while batch := unknown.ask():
        unknown.tell([goal.score({"macs": 5000.0}) for _ in batch])


def test_resumes_from_a_journal(space, tmp_path) -> None:
    def search() -> Nsga2:
        return Nsga2(space, 2, 2, population=8, generations=4)

    with Journal(tmp_path / "whole", {}) as journal:
        whole = run_search(search(), serial(quality), GOAL, journal)
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    (tmp_path / "part").write_text("".join(lines[:18]))
    with Journal(tmp_path / "part", {}) as journal:
        resumed = run_search(search(), serial(quality), GOAL, journal)
    assert [t.candidate for t in resumed.trials] == [t.candidate for t in whole.trials]
    assert [t.number for t in resumed.front] == [t.number for t in whole.front]


def test_bad_settings_and_missing_package(space) -> None:
    with pytest.raises(SearchError, match="population of at least 2"):
        Nsga2(space, 0, 2, population=1)
    code = "import sys; sys.modules['pymoo'] = None\ntry:\n import nasrec.search.nsga2\nexcept Exception as e: print(e)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "NSGA-II needs the package pymoo; run: pip install 'nasrec[pareto]'" in result.stdout, result.stderr
