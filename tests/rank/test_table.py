"""The table of trained architectures: round trip, queries, growth; and searches on it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nasrec import Genotype, SearchSpace
from nasrec.errors import SearchError
from nasrec.metrics import Metrics
from nasrec.rank import Entry, Table, TableFile, TabularSpace, compare_algorithms
from nasrec.search import RandomSearch, RegularizedEvolution

SPACE = SearchSpace.small(
    2, dense_dims=(16, 32, 64), sparse_dims=(16,), sparse_operators=("efc",), dense_to_sparse=(False,), max_inputs=1
)


def metrics(loss: float) -> Metrics:
    return Metrics(loss, 0.7, 0.9, 1.0, 0.25, 1000)


def entry(genotype: Genotype, seed: int = 0) -> Entry:
    """A loss that neighbours share: wide blocks and dot-products are good."""
    loss = 0.6 - sum(0.0005 * b.dense_width + 0.02 * ("dot_product" in b.operators) for b in genotype.blocks)
    loss += 0.01 * len(genotype.blocks[1].operators)
    return Entry(
        genotype, seed, metrics(loss + 1e-4 * seed), metrics(loss), ((512, 0.6, 0.6), (1024, loss, 0.7)),
        {"macs": 10, "parameters": 20, "live_blocks": 2}, 1.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def table() -> Table:
    genotypes = dict.fromkeys(SPACE.enumerate())
    return Table({"space": SPACE.to_dict()}, tuple(entry(genotype) for genotype in genotypes))


def test_file_and_queries(tmp_path) -> None:
    genotypes = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]
    identity = {"space": SPACE.to_dict(), "epochs": 1}
    path = tmp_path / "table.jsonl"
    with TableFile(path, identity) as file:
        for genotype in genotypes[:2]:
            file.add(entry(genotype))
    with TableFile(path, identity) as file:
        assert file.get(genotypes[0], 0) == entry(genotypes[0]) and file.get(genotypes[2], 0) is None
        file.add(entry(genotypes[0], seed=1))
    table = Table.load(path)
    assert table.genotypes == tuple(genotypes[:2]) and len(table) == 2 and table.space == SPACE
    assert table.query(genotypes[0]).seed == 0 and table.query(genotypes[0], 1) == entry(genotypes[0], 1)
    assert table.mean(genotypes[0], part="valid") == pytest.approx(entry(genotypes[0]).valid.log_loss + 5e-5)
    assert genotypes[1] in table and genotypes[2] not in table
    for question in (lambda: table.query(genotypes[2]), lambda: table.query(genotypes[0], 7)):
        with pytest.raises(SearchError, match="no such architecture"):
            question()
    with pytest.raises(SearchError, match="begun with epochs 1, this has 2"):
        TableFile(path, identity | {"epochs": 2})


def test_scores_that_are_not_defined_come_back(tmp_path) -> None:
    genotype = SPACE.sample(np.random.default_rng(0))
    one = replace(entry(genotype), test=replace(metrics(0.5), auc=math.nan))
    with TableFile(tmp_path / "table", {"space": {}}) as file:
        file.add(one)
    back = Table.load(tmp_path / "table").query(genotype)
    assert math.isnan(back.test.auc) and back.valid == one.valid


def test_mutations_go_to_nearest_entries(table) -> None:
    space = TabularSpace(table)
    rng = np.random.default_rng(0)
    parent = space.sample(rng)
    code = SPACE.encode(parent)
    distances = {g: int((SPACE.encode(g) != code).sum()) for g in table if g != parent}
    nearest = {g for g, distance in distances.items() if distance == min(distances.values())}
    assert {space.mutate(parent, rng) for _ in range(300)} == nearest
    with pytest.raises(SearchError, match="no such architecture to mutate"):
        space.mutate(SearchSpace.small(2).sample(rng), rng)


def test_evolution_wins_where_neighbours_are_alike(table) -> None:
    result = compare_algorithms(
        table,
        {
            "random": lambda space, seed: RandomSearch(space, seed, evaluations=len(table) * 5, batch=4),
            "evolution": lambda space, seed: RegularizedEvolution(
                space, seed, population=10, iterations=200, sample=5, children=2
            ),
        },
        budget=40,
        seeds=30,
    )
    assert result.regret["random"].shape == result.regret["evolution"].shape == (30, 40)
    for regret in result.regret.values():
        assert (regret >= 0).all() and (np.diff(regret, axis=1) <= 1e-12).all()
    mean, low, high = result.advantage("evolution", "random")
    assert low <= mean <= high and mean > 0
    assert result.final("random")[0] == pytest.approx(result.regret["random"][:, -1].mean())


@pytest.mark.parametrize(("budget", "seeds"), [(0, 5), (10**6, 5), (5, 1)])
def test_comparisons_that_make_no_sense(table, budget, seeds) -> None:
    with pytest.raises(SearchError, match="a comparison needs"):
        compare_algorithms(table, {}, budget=budget, seeds=seeds)
