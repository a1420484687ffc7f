"""Random search and regularised evolution: budgets, laws of each step, and that evolution finds better ones."""

from __future__ import annotations

import pytest

from nasrec import Genotype, SearchSpace
from nasrec.errors import SearchError
from nasrec.search import Algorithm, RandomSearch, RegularizedEvolution, Score
from tests.search.conftest import quality


def play(algorithm: Algorithm) -> list[list[Genotype]]:
    """Runs an algorithm on `quality`; what it asked for, batch by batch."""
    batches = []
    while batch := algorithm.ask():
        algorithm.tell([Score((quality(genotype)["log_loss"],)) for genotype in batch])
        batches.append(batch)
    return batches


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution])
def test_budget_membership_and_seed(space, kind) -> None:
    options = (
        {"evaluations": 50, "batch": 8}
        if kind is RandomSearch
        else {"population": 20, "iterations": 10, "sample": 5, "children": 3}
    )
    batches = play(kind(space, 3, **options))
    asked = [genotype for batch in batches for genotype in batch]
    assert len(asked) == 50 == kind(space, 3, **options).budget
    assert all(genotype in space for genotype in asked)
    assert len(set(asked)) == 50
    assert batches == play(kind(space, 3, **options)) != play(kind(space, 4, **options))


def test_defaults_are_the_papers(space) -> None:
    assert RegularizedEvolution(space, 0).budget == 128 + 240 * 8


def test_children_are_mutations_of_the_best_of_a_sample_of_the_living(space) -> None:
    """With the whole population as the sample, the parent is its best member; the oldest leave first."""
    algorithm = RegularizedEvolution(space, 0, population=6, iterations=8, sample=6, children=2)
    living = list(algorithm.ask())
    algorithm.tell([Score((quality(genotype)["log_loss"],)) for genotype in living])
    while children := algorithm.ask():
        parent = min(living, key=lambda genotype: quality(genotype)["log_loss"])
        for child in children:
            differing = [a != b for a, b in zip(child.blocks, parent.blocks, strict=True)]
            assert sum(differing) == 1
        algorithm.tell([Score((quality(genotype)["log_loss"],)) for genotype in children])
        living = (living + children)[-6:]


def test_mutations_decrease_to_one(space) -> None:
    algorithm = RegularizedEvolution(
        space, 0, population=1, iterations=5, sample=1, children=1, mutations=3, decreasing=True
    )
    counts = []
    algorithm.ask()
    for _ in range(5):
        algorithm._iteration += 1
        counts.append(algorithm._mutation_count())
    assert counts == [3, 3, 2, 1, 1]


def test_evolution_beats_random_search_at_equal_budget() -> None:
    """On a quality that neighbours share, over several seeds."""
    space = SearchSpace.small(6)

    def best(algorithm: Algorithm) -> float:
        return min(quality(genotype)["log_loss"] for batch in play(algorithm) for genotype in batch)

    wins = [
        best(RegularizedEvolution(space, seed, population=20, iterations=60, sample=8, children=2))
        < best(RandomSearch(space, seed, evaluations=140))
        for seed in range(5)
    ]
    assert all(wins)


def test_limits_come_before_objectives() -> None:
    kept, broken, unknown = Score((0.9,)), Score((0.1,), 0.5), Score((float("nan"),))
    assert sorted([broken, unknown, kept], key=lambda score: score.key) == [kept, unknown, broken]
    assert kept.allowed and not broken.allowed and not unknown.allowed


def test_a_space_of_one_is_searched_all_the_same() -> None:
    tiny = SearchSpace.small(
        1,
        dense_dims=(16,),
        sparse_dims=(16,),
        dense_operators=("fc",),
        dense_to_sparse=(False,),
        fm=(False,),
    )
    assert tiny.cardinality() == 1
    assert len({genotype for batch in play(RandomSearch(tiny, 0, evaluations=3)) for genotype in batch}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population must be at least 1, got 0"),
        ({"sample": 200}, "sample 200 is larger than the population 128"),
        ({"iterations": -1}, "iterations must be at least 0"),
    ],
)
def test_bad_settings(space, options, message) -> None:
    with pytest.raises(SearchError, match=message):
        RegularizedEvolution(space, 0, **options)


def test_seeds_of_algorithms_are_apart(space) -> None:
    """The same seed does not give random search and evolution the same first genotypes."""
    one = RandomSearch(space, 0, evaluations=8).ask()
    other = RegularizedEvolution(space, 0, population=8, sample=2).ask()
    assert one != other
