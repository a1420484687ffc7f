"""Search algorithms compared on a table of trained architectures: hundreds of searches in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import SearchError
from nasrec.genotype import Genotype
from nasrec.rank.table import Table
from nasrec.search.algorithm import Algorithm, Score
from nasrec.space import SearchSpace

__all__ = ["AlgorithmComparison", "TabularSpace", "compare_algorithms"]

Floats = NDArray[np.float64]
Make = Callable[[SearchSpace, int], Algorithm[Genotype]]
"""An algorithm over a space, with a seed."""


class TabularSpace:
    """The architectures of a table as a space to draw from and to mutate in.

    A mutation goes to one of the architectures that differ from the parent in fewest genes (entries of the space's
    encoding), each as likely: in a table of a whole space these are its neighbours.
    """

    def __init__(self, table: Table) -> None:
        if len(table) < 2:
            raise SearchError(f"a table of {len(table)} architectures leaves nothing to search")
        self.genotypes = table.genotypes
        space = table.space
        self._codes = np.stack([space.encode(genotype) for genotype in self.genotypes])
        self._places = {genotype: place for place, genotype in enumerate(self.genotypes)}
        self._near: dict[int, NDArray[np.int64]] = {}

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A random architecture of the table, each with equal probability."""
        return self.genotypes[int(rng.integers(len(self.genotypes)))]

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """A random nearest neighbor. Raises `SearchError` if the table lacks the parent."""
        place = self._places.get(genotype)
        if place is None:
            raise SearchError("the table has no such architecture to mutate")
        if place not in self._near:
            distances = (self._codes != self._codes[place]).sum(axis=1)
            distances[place] = distances.max() + 1
            self._near[place] = np.flatnonzero(distances == distances.min())
        near = self._near[place]
        return self.genotypes[int(near[rng.integers(len(near))])]


@dataclass(frozen=True)
class AlgorithmComparison:
    """Algorithms compared at equal budget.

    Attributes:
        regret: for each algorithm [seeds, budget]: true loss of the best found so far less that of the table's best.
            What was found is chosen by its validation loss, as a search would; its test loss is what counts.
        budget: architectures that each search may ask for.
    """

    regret: Mapping[str, Floats]
    budget: int

    def final(self, name: str, level: float = 0.95) -> tuple[float, float, float]:
        """Mean regret at the end of the budget, and the interval of that mean by bootstrap over the seeds."""
        return _mean_and_interval(self.regret[name][:, -1], level)

    def curve(self, name: str) -> tuple[Floats, Floats, Floats]:
        """Mean regret after each architecture, and the ends of the 95 per cent interval of that mean by its standard
        error, [budget] each."""
        regret = self.regret[name]
        mean, error = regret.mean(axis=0), 1.96 * regret.std(axis=0, ddof=1) / np.sqrt(len(regret))
        return mean, mean - error, mean + error

    def advantage(self, name: str, over: str, level: float = 0.95) -> tuple[float, float, float]:
        """By how much the final regret of one algorithm is smaller than another's, seed by seed; with interval."""
        return _mean_and_interval(self.regret[over][:, -1] - self.regret[name][:, -1], level)


def compare_algorithms(
    table: Table, algorithms: Mapping[str, Make], *, budget: int, seeds: int = 100
) -> AlgorithmComparison:
    """Runs each algorithm on the table with each seed, all with the same budget of distinct architectures.

    An architecture that a search asks for again costs nothing, as in a search with a journal.

        algorithms = {
            "random": lambda space, seed: RandomSearch(space, seed, evaluations=500, batch=1),
            "evolution": lambda space, seed: RegularizedEvolution(space, seed, population=32, sample=16),
        }
        compare_algorithms(Table.load("truth.jsonl"), algorithms, budget=100).advantage("evolution", "random")

    Args:
        table: trained architectures of one space.
        algorithms: by name, a function of a space and a seed.
        budget: distinct architectures that each search may ask for.
        seeds: searches with each algorithm.

    Raises:
        SearchError: the budget is larger than the table, or there are too few seeds for an interval.
    """
    if not 1 <= budget <= len(table) or seeds < 2:
        raise SearchError(
            f"a comparison needs a budget from 1 to the table's {len(table)} architectures and at least 2 seeds, got "
            f"{budget} and {seeds}"
        )
    space = TabularSpace(table)
    valid = {genotype: table.mean(genotype, part="valid") for genotype in table}
    test = {genotype: table.mean(genotype) for genotype in table}
    floor = min(test.values())
    found = {}
    for name, make in algorithms.items():
        runs = [_search(make(cast(SearchSpace, space), seed), valid, test, budget) for seed in range(seeds)]
        found[name] = np.array(runs) - floor
    return AlgorithmComparison(found, budget)


def _search(
    algorithm: Algorithm[Genotype], valid: Mapping[Genotype, float], test: Mapping[Genotype, float], budget: int
) -> list[float]:
    """Test loss of the best so far by validation, after each new architecture."""
    best: Genotype | None = None
    seen: set[Genotype] = set()
    curve: list[float] = []
    while len(curve) < budget:
        asked = algorithm.ask()
        if not asked:
            break
        for genotype in asked:
            if genotype not in seen and len(curve) < budget:
                seen.add(genotype)
                if best is None or valid[genotype] < valid[best]:
                    best = genotype
                curve.append(test[best])
        algorithm.tell([Score((valid[genotype],)) for genotype in asked])
    return curve + [curve[-1]] * (budget - len(curve))


def _mean_and_interval(values: Floats, level: float) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)
