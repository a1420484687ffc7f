"""Search algorithms with an ask-and-tell interface: `ask` gives candidates to evaluate, `tell` takes their scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from nasrec.errors import SearchError
from nasrec.search.candidates import C, Space

__all__ = ["Algorithm", "RandomSearch", "RegularizedEvolution", "Score"]

_TRIES = 50
"""Draws for a candidate that was not asked for before; a space may have no other."""


@dataclass(frozen=True)
class Score:
    """The score of a candidate: objectives, all to be minimized, and by how much it violates hard limits."""

    objectives: tuple[float, ...]
    violation: float = 0.0

    @property
    def allowed(self) -> bool:
        """Whether all limits are kept and all objectives known."""
        return not self.violation and not any(map(math.isnan, self.objectives))

    @property
    def key(self) -> tuple[float, ...]:
        """Sort key: candidates that keep the limits first, then by the objectives in order; NaN is worst."""
        return (self.violation, *(math.inf if math.isnan(value) else value for value in self.objectives))


class Algorithm(ABC, Generic[C]):
    """Base of search algorithms. What `ask` gives depends on the seed and on the scores told so far alone, so that an
    interrupted search resumes by telling it the same scores again."""

    @abstractmethod
    def ask(self) -> list[C]:
        """Candidates to evaluate next, in any order; none when the search is over."""

    @abstractmethod
    def tell(self, scores: Sequence[Score]) -> None:
        """Takes the scores of the candidates that `ask` gave last, in that order."""

    @property
    @abstractmethod
    def budget(self) -> int:
        """Number of candidates that it asks for in all."""


class RandomSearch(Algorithm[C]):
    """Candidates drawn independently, none twice while the space has others.

    Args:
        space: what to draw from, such as `Supernet.search_space()`.
        seed: of the draws.
        evaluations: how many.
        batch: how many are asked for at a time.
    """

    def __init__(self, space: Space[C], seed: int, *, evaluations: int = 2048, batch: int = 8) -> None:
        _require_positive(evaluations=evaluations, batch=batch)
        self._draw = _Draw(space, np.random.default_rng([seed, 0]))
        self._batch, self._left, self._budget = batch, evaluations, evaluations

    def ask(self) -> list[C]:
        count = min(self._batch, self._left)
        self._left -= count
        return [self._draw.fresh() for _ in range(count)]

    def tell(self, scores: Sequence[Score]) -> None:
        pass

    @property
    def budget(self) -> int:
        return self._budget


class RegularizedEvolution(Algorithm[C]):
    """Regularized evolution, which removes the oldest members (Real et al., AAAI 2019), with the settings of the
    paper's section 5.1.

    A population of random candidates; then in each iteration the best of a random sample of it is the parent of
    `children`, which take the places of as many oldest members.

    Args:
        space: what to draw from and to mutate in, such as `Supernet.search_space()`.
        seed: of all draws.
        population: members at any time.
        iterations: generations after the first population.
        sample: members that compete to be the parent.
        children: candidates of an iteration.
        mutations: applied to the parent one after the other to make a child. With `decreasing`, this many in the
            first iteration and fewer by equal steps until one in the last, an option of the release.
        decreasing: see there.

    Raises:
        SearchError: a count below 1, or a sample larger than the population.
    """

    def __init__(
        self,
        space: Space[C],
        seed: int,
        *,
        population: int = 128,
        iterations: int = 240,
        sample: int = 64,
        children: int = 8,
        mutations: int = 1,
        decreasing: bool = False,
    ) -> None:
        _require_positive(population=population, sample=sample, children=children, mutations=mutations)
        if iterations < 0:
            raise SearchError(f"iterations must be at least 0, got {iterations}")
        if sample > population:
            raise SearchError(f"sample {sample} is larger than the population {population}; it is drawn from that")
        self._space, self._rng = space, np.random.default_rng([seed, 1])
        self._draw = _Draw(space, self._rng)
        self._size, self._iterations = population, iterations
        self._sample, self._children = sample, children
        self._mutations, self._decreasing = mutations, decreasing
        self._population: deque[tuple[C, Score]] = deque(maxlen=population)
        self._asked: list[C] = []
        self._iteration = -1

    def ask(self) -> list[C]:
        self._iteration += 1
        if self._iteration > self._iterations:
            self._asked = []
        elif self._iteration == 0:
            self._asked = [self._draw.fresh() for _ in range(self._size)]
        else:
            parent = self._parent()
            self._asked = [self._child(parent) for _ in range(self._children)]
        return list(self._asked)

    def tell(self, scores: Sequence[Score]) -> None:
        self._population.extend(zip(self._asked, scores, strict=True))

    @property
    def budget(self) -> int:
        return self._size + self._iterations * self._children

    def _parent(self) -> C:
        chosen = self._rng.choice(len(self._population), size=self._sample, replace=False)
        return min((self._population[int(i)] for i in chosen), key=lambda member: member[1].key)[0]

    def _child(self, parent: C) -> C:
        def mutate() -> C:
            child = parent
            for _ in range(self._mutation_count()):
                child = self._space.mutate(child, self._rng)
            return child

        return self._draw.first_new(mutate)

    def _mutation_count(self) -> int:
        if not self._decreasing or self._iterations <= 1:
            return self._mutations
        left = (self._iterations - self._iteration) / (self._iterations - 1)
        return 1 + round((self._mutations - 1) * left)


class _Draw(Generic[C]):
    """Candidates that were not drawn before, as far as the space has any."""

    def __init__(self, space: Space[C], rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._known: set[C] = set()

    def fresh(self) -> C:
        return self.first_new(lambda: self._space.sample(self._rng))

    def first_new(self, make: Callable[[], C]) -> C:
        for _ in range(_TRIES):
            candidate = make()
            if candidate not in self._known:
                break
        self._known.add(candidate)
        return candidate


def _require_positive(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise SearchError(f"{name} must be at least 1, got {value}")
