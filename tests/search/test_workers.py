"""Evaluation in other processes gives what evaluation here gives, and fails with one clear error."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from nasrec import Genotype
from nasrec.errors import SearchError
from nasrec.search import Goal, Journal, RegularizedEvolution, parse_objective, read_journal, run_search, serial
from nasrec.search.workers import in_processes, on_ray
from tests.search.conftest import quality

GOAL = Goal((parse_objective("log_loss"),))


def make_quality() -> Callable[[Genotype], Mapping[str, float]]:
    return quality


def make_failing(error: str) -> Callable[[Genotype], Mapping[str, float]]:
    def fail(genotype: Genotype) -> Mapping[str, float]:
        if error == "dies":
            os._exit(3)
        raise SearchError("out of range")

    return fail


def search(space, evaluate, path) -> list[tuple[int, Genotype, Mapping[str, float]]]:
    algorithm = RegularizedEvolution(space, 0, population=8, iterations=4, sample=4, children=4)
    with Journal(path, {}) as journal:
        run_search(algorithm, evaluate, GOAL, journal)
    return [(trial.number, trial.candidate, trial.values) for trial in read_journal(path)[1]]


@pytest.mark.slow
def test_processes_change_nothing_but_the_time(space, tmp_path) -> None:
    with in_processes(make_quality, 2) as evaluate:
        several = search(space, evaluate, tmp_path / "several")
    assert several == search(space, serial(quality), tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "message"), [("dies", "a worker died"), ("raises", "out of range")])
def test_a_failing_worker_is_one_clear_error(space, kind, message) -> None:
    with pytest.raises(SearchError, match=message), in_processes(functools.partial(make_failing, kind), 1) as evaluate:
        list(evaluate([space.sample(np.random.default_rng(0))]))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the optional package ray is not installed")
def test_ray_changes_nothing_but_the_place(space, tmp_path) -> None:
    with on_ray(make_quality, 2) as evaluate:
        several = search(space, evaluate, tmp_path / "several")
    assert several == search(space, serial(quality), tmp_path / "one")


def test_bad_settings(monkeypatch) -> None:
    for engine in (in_processes, on_ray):
        with pytest.raises(SearchError, match="workers must be at least 1, got 0"), engine(make_quality, 0):
            pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(SearchError, match=r"need the package ray; run: pip install 'nasrec\[ray\]'"),
        on_ray(make_quality, 1),
    ):
        pass
