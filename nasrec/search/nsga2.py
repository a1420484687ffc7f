"""Several objectives at once: NSGA-II (Deb et al., IEEE TEC 2002) by pymoo, with whole candidates for variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import SearchError
from nasrec.extras import install_command
from nasrec.search.algorithm import Algorithm, Score
from nasrec.search.candidates import C, CrossingSpace

try:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.crossover import Crossover
    from pymoo.core.duplicate import ElementwiseDuplicateElimination
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem
    from pymoo.core.sampling import Sampling
except ImportError:
    raise SearchError(f"NSGA-II needs the package pymoo; run: {install_command('pymoo')}") from None

__all__ = ["Nsga2"]


class Nsga2(Algorithm[C]):
    """Population, non-dominated sorting and crowding by pymoo; children come in pairs of two parents, as the space
    crosses them, and are then mutated once (for genotypes: section 4.4).

    Args:
        space: what to draw from, to mutate in and to cross in, such as `Supernet.search_space()`.
        seed: of all draws.
        objectives: how many a score has.
        population: candidates of a generation.
        generations: how many, the first of random candidates.

    Raises:
        SearchError: a count below 1, or a single candidate a generation.
    """

    def __init__(
        self, space: CrossingSpace[C], seed: int, objectives: int, *, population: int = 128, generations: int = 16
    ) -> None:
        if population < 2 or generations < 1 or objectives < 1:
            raise SearchError(
                f"NSGA-II needs a population of at least 2 and 1 generation, got {population} and {generations}"
            )
        self._left, self._budget = generations, population * generations
        self._problem = Problem(n_var=1, n_obj=objectives, n_ieq_constr=1, vtype=object)
        self._inner = NSGA2(
            pop_size=population,
            sampling=_Random(space),
            crossover=_Crossing(space),
            mutation=_Mutation(space),
            eliminate_duplicates=_Equal(),
        )
        self._inner.setup(self._problem, termination=("n_gen", generations + 1), seed=seed, verbose=False)
        self._asked: Any = None

    def ask(self) -> list[C]:
        if self._left == 0:
            return []
        self._left -= 1
        self._asked = self._inner.ask()
        return [row[0] for row in self._asked.get("X")] if self._asked is not None else []

    def tell(self, scores: Sequence[Score]) -> None:
        for member, score in zip(self._asked, scores, strict=True):
            violation, *objectives = score.key
            # Unknown objectives are as bad as can be; infinities would upset the crowding distance.
            member.set("F", np.nan_to_num(np.array(objectives), posinf=1e30, neginf=-1e30))
            member.set("G", np.array([min(violation, 1e30)]))
            member.evaluated.update(("F", "G"))
        self._inner.tell(infills=self._asked)

    @property
    def budget(self) -> int:
        return self._budget


Objects = NDArray[np.object_]


class _Random(Sampling):  # type: ignore[misc,unused-ignore]
    def __init__(self, space: CrossingSpace[Any]) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Problem, count: int, *args: Any, random_state: Any = None, **options: Any) -> Objects:
        return _column([self._space.sample(random_state) for _ in range(count)])


class _Crossing(Crossover):  # type: ignore[misc,unused-ignore]
    def __init__(self, space: CrossingSpace[Any]) -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        self._space = space

    def _do(self, problem: Problem, parents: Objects, *args: Any, random_state: Any = None, **options: Any) -> Objects:
        out = np.empty_like(parents)
        for mating in range(parents.shape[1]):
            one, other = parents[0, mating, 0], parents[1, mating, 0]
            out[0, mating, 0], out[1, mating, 0] = self._space.cross(one, other, random_state)
        return out


class _Mutation(Mutation):  # type: ignore[misc,unused-ignore]
    def __init__(self, space: CrossingSpace[Any]) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Problem, children: Objects, *args: Any, random_state: Any = None, **options: Any) -> Objects:
        return _column([self._space.mutate(row[0], random_state) for row in children])


class _Equal(ElementwiseDuplicateElimination):  # type: ignore[misc,unused-ignore]
    def is_equal(self, one: Any, other: Any) -> bool:
        return bool(one.X[0] == other.X[0])


def _column(candidates: Sequence[Any]) -> Objects:
    out = np.empty((len(candidates), 1), dtype=object)
    out[:, 0] = candidates
    return out
