"""Which path each step of a supernet's training takes (section 4.1 and Table 2 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.space import SearchSpace
from nasrec.space.choices import Counts, PerBranch

__all__ = ["STRATEGIES", "PathSampler", "PathSampling"]

STRATEGIES: dict[str, tuple[PerBranch, bool]] = {
    "single-operator-single-connection": ("single", True),
    "any-operator-any-connection": ("any", False),
    "single-operator-any-connection": ("single", False),
}
"""The paper's three: operators in each branch of a block, and whether each input is a single one."""

COUNTS = ("uniform", "binomial")

_PATH, _WARMUP = 1, 2
"""Separate streams of random numbers, so that one option does not change what another draws."""


@dataclass(frozen=True)
class PathSampling:
    """How paths are drawn. Raises `TrainError` naming the field on a value out of range.

    - `strategy`: one of `STRATEGIES`. The caps on connections (at most K inputs) are the space's.
    - `counts`: the number of connections of an input: "uniform" from 1 to the most allowed, or "binomial",
      1 + Bin(most - 1, 1/2).
    - `warmup_share`: share of the steps over which the probability of taking the full supernet instead (all operators
      and connections, the largest widths) falls linearly from 1 to 0; 0 for no warm-up.
    """

    strategy: str = "single-operator-any-connection"
    counts: Counts = "binomial"
    warmup_share: float = 0.2

    def __post_init__(self) -> None:
        for name, known in (("strategy", tuple(STRATEGIES)), ("counts", COUNTS)):
            if getattr(self, name) not in known:
                raise TrainError(f"{name} {getattr(self, name)!r} is unknown; use one of {', '.join(known)}")
        share: Any = self.warmup_share
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise TrainError(f"warmup_share is a share of the steps, from 0 to 1, got {share!r}")


class PathSampler:
    """The path of every step of one run.

    A path is a function of seed and step alone, so resumed runs, ranks and threads that work ahead need tell each
    other nothing.

    Args:
        space: what is drawn from.
        widest: the full supernet's path, for the warm-up.
        sampling: how.
        total_steps: of the run; the warm-up is a share of them.
        seed: of the run.
    """

    def __init__(
        self, space: SearchSpace, widest: Genotype, sampling: PathSampling, total_steps: int, seed: int
    ) -> None:
        self.sampling, self.widest, self.total_steps, self.seed = sampling, widest, total_steps, seed
        self._operators, single = STRATEGIES[sampling.strategy]
        # The norm is one of the store's, not a choice of the path.
        own = replace(space, layer_norm=(widest.layer_norm,))
        self._space = replace(own, max_inputs=1, max_gate_inputs=1) if single else own

    def full_probability(self, step: int) -> float:
        """Probability that `step` (from 0) takes the full supernet."""
        warmup_steps = self.sampling.warmup_share * self.total_steps
        return max(0.0, 1.0 - step / warmup_steps) if warmup_steps else 0.0

    def path(self, step: int) -> Genotype:
        """The path of `step` (from 0)."""
        probability = self.full_probability(step)
        if probability and self._rng(step, _WARMUP).random() < probability:
            return self.widest
        return self._space.sample(self._rng(step, _PATH), operators=self._operators, counts=self.sampling.counts)

    def _rng(self, step: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, stream])
