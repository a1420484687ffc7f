"""Knee and volume against what can be seen or counted by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nasrec import SearchSpace
from nasrec.codesign import knee, volume_of
from nasrec.codesign.front import hypervolume
from nasrec.search import Goal, Trial, parse_limit, parse_objective

GOAL = Goal((parse_objective("log_loss"), parse_objective("pim.energy_nJ")))


def trials(*pairs: tuple[float, float]) -> list[Trial]:
    genotype = SearchSpace.small(1).sample(np.random.default_rng(0))
    return [Trial(i, genotype, {"log_loss": a, "pim.energy_nJ": b}, 0.0) for i, (a, b) in enumerate(pairs)]


def test_the_knee_lies_farthest_from_the_line_between_the_ends() -> None:
    front = trials((0.50, 1.0), (0.45, 2.0), (0.44, 8.0), (0.40, 16.0))
    ends = np.array([[0.0, 1.0], [1.0, 0.0]])
    distances = []
    for trial in front:
        x = math.log(trial.values["pim.energy_nJ"]) / math.log(16)
        y = (trial.values["log_loss"] - 0.4) / 0.1
        along, to = ends[1] - ends[0], np.array([x, y]) - ends[0]
        distances.append(-(along[0] * to[1] - along[1] * to[0]) / math.hypot(*along))
    chosen = knee(front, GOAL)
    assert chosen is front[1] and int(np.argmax(distances)) == 1
    assert knee(front[:1], GOAL) is front[0] and knee([], GOAL) is None


def test_volumes() -> None:
    assert hypervolume(np.array([[0.25, 0.5]]), np.ones(2)) == 0.75 * 0.5
    stairs = np.array([[0.0, 0.5], [0.5, 0.0], [0.5, 0.5], [2.0, 0.0]])
    assert hypervolume(stairs, np.ones(2)) == 0.75
    rng = np.random.default_rng(0)
    points, probes = rng.random((12, 3)), rng.random((40_000, 3))
    share = (points[None] <= probes[:, None]).all(2).any(1).mean()
    assert hypervolume(points, np.ones(3)) == pytest.approx(share, abs=0.01)
    for order in itertools.islice(itertools.permutations(range(12)), 0, 2000, 500):
        assert hypervolume(points[list(order)], np.ones(3)) == pytest.approx(hypervolume(points, np.ones(3)))


def test_the_volume_of_a_front_is_a_share_of_what_was_tried() -> None:
    every = trials((0.50, 1.0), (0.40, 4.0), (0.45, 2.0), (0.50, 4.0), (0.1, 1e9))
    limited = Goal(GOAL.objectives, (parse_limit("pim.energy_nJ<=10"),))
    front = [every[i] for i in limited.front([trial.values for trial in every])]
    assert [trial.number for trial in front] == [0, 1, 2]
    assert volume_of(front, every, limited) == pytest.approx(0.25)  # the middle one alone: half by half
    assert volume_of([], every, limited) == 0.0
