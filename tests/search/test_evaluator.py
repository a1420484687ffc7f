"""What is measured of a genotype: the supernet's metrics as they are, cost, and nothing after a broken limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nasrec
from nasrec import Genotype, SearchSpace, Supernet
from nasrec.data import synthesize
from nasrec.errors import SearchError, SpaceError
from nasrec.metrics import Metrics
from nasrec.search import Evaluator, Goal, parse_limit, parse_objective
from nasrec.supernet import Scorer


@pytest.fixture(scope="module")
def splits() -> Any:
    return synthesize("frappe", 600, seed=0).log.split()


@pytest.fixture(scope="module")
def net(splits: Any) -> Supernet:
    space = SearchSpace.full(2, dense_dims=(16, 32), sparse_dims=(16,))
    return Supernet(space, splits.train.features(8), masking="sliced", seed=0)


def goal(*names: str, limits: tuple[str, ...] = ()) -> Goal:
    return Goal(tuple(map(parse_objective, names)), tuple(map(parse_limit, limits)))


def test_a_supernets_scorer_is_taken_as_it_is(net: Supernet, splits: Any) -> None:
    scorer = Scorer(net, splits.valid)
    genotype = net.search_space().sample(np.random.default_rng(0))
    metrics = scorer(genotype)
    assert Evaluator(goal("log_loss"), net.features, scorer=scorer)(genotype) == {
        "log_loss": metrics.log_loss,
        "auc": metrics.auc,
        "normalised_entropy": metrics.normalised_entropy,
        "calibration": metrics.calibration,
    }


def test_cost_comes_first_and_what_breaks_a_limit_is_not_scored(net: Supernet) -> None:
    asked: list[Genotype] = []

    def scorer(genotype: Genotype) -> Metrics:
        asked.append(genotype)
        return Metrics(0.5, 0.7, 0.9, 1.0, 0.25, 1000)

    genotype = net.search_space().sample(np.random.default_rng(0))
    cost = nasrec.cost(genotype, net.features)
    tight, wide = (goal("log_loss", limits=(f"macs<={cost.macs + more}",)) for more in (-1, 0))
    values = Evaluator(tight, net.features, scorer=scorer)(genotype)
    assert values == {
        "macs": cost.macs,
        "parameters": cost.parameters - cost.embedding_parameters,
        "live_blocks": len(cost.live_blocks),
    }
    assert not asked
    assert Evaluator(wide, net.features, scorer=scorer)(genotype)["log_loss"] == 0.5 and asked == [genotype]


def test_values_that_cannot_be_measured(net: Supernet) -> None:
    for name, words in (
        ("speed", "'speed' is no value that is measured; known are macs"),
        ("auc", "need a trained supernet"),
        ("pim.energy_nJ", "need the hardware"),
        ("no_module_of_this_name:f", "cannot be imported"),
    ):
        with pytest.raises(SearchError, match=words):
            Evaluator(goal(name), net.features)


def test_the_search_space_of_a_supernet_has_one_operator_a_branch(net: Supernet) -> None:
    rng = np.random.default_rng(0)
    single, every = net.search_space(), net.search_space("any")
    assert every == net.space and single != every
    sampled = [single.sample(rng) for _ in range(50)]
    assert all(len(block.operators) == 2 for genotype in sampled for block in genotype.blocks)
    assert all(genotype in net.space for genotype in sampled)
    assert any(len(block.operators) > 2 for _ in range(50) for block in every.sample(rng).blocks)
    with pytest.raises(SpaceError, match="operators must be 'single' or 'any', not 'both'"):
        net.search_space("both")  # type: ignore[arg-type]
