"""The hidden teacher of the synthetic twin: a click probability with interactions planted in it.

    logit(x) = bias + linear + pairs + crosses + triple + gate

- linear: a weight for every id and a slope for every dense column; all that logistic regression can learn.
- pairs: two groups of fields; within a group every two fields interact by the inner product of their ids' latent
  vectors, as in factorisation machines (Rendle, ICDM 2010).
- crosses: a dense value times a weight of an id.
- triple: for three fields, the sum over latent channels of the product of three.
- gate: the sigmoid of a score of one id and the dense values, times the weight of another id.

Latent tables are centred under the ids' popularity, so that (fields being independent) no interaction leaves a main
effect behind that a linear model could pick up. Weights fall with rarity: what is said about an id that comes once in
100,000 rows cannot be learnt, and would only add noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Teacher"]

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]
Part = Callable[[Floats, Ids], Floats]

_LATENT = 3
_GROUP_FIELDS = 5
# Variance of each part, in squared logits.
_SHARES = {"linear": 0.9, "pairs": 1.3, "crosses": 0.35, "triple": 0.3, "gate": 0.3}


@dataclass(frozen=True)
class Teacher:
    """Call with standardised dense values [N, num_dense] and ids [N, num_sparse]; gives logits float64 [N]."""

    parts: tuple[tuple[float, float, Part], ...]  # (scale, mean on the probe rows, function)
    bias: float

    def __call__(self, dense: Floats, ids: Ids) -> Floats:
        logits = np.full(len(ids), self.bias)
        for scale, mean, part in self.parts:
            logits += scale * (part(dense, ids) - mean)
        return logits

    @classmethod
    def draw(
        cls, rng: np.random.Generator, popularity: Sequence[Floats], click_rate: float, dense: Floats, ids: Ids
    ) -> Teacher:
        """A teacher for fields whose ids come with probabilities `popularity[j]`.

        On the probe rows `dense`, `ids` every part has its share of the variance, and the click rate is `click_rate`.
        """
        scaled = []
        for name, part in _draw_parts(rng, popularity, dense.shape[1]).items():
            values = part(dense, ids)
            scaled.append((_SHARES[name] ** 0.5 / float(values.std()), float(values.mean()), part))
        centred = cls(tuple(scaled), 0.0)
        return cls(centred.parts, _bias_for(centred(dense, ids), click_rate))


def _draw_parts(rng: np.random.Generator, popularity: Sequence[Floats], num_dense: int) -> dict[str, Part]:
    # A field of very few values can hold little interaction.
    rich = rng.permutation([j for j, p in enumerate(popularity) if len(p) > 4]).tolist()
    size = min(_GROUP_FIELDS, len(rich) // 2)
    draw = _Drawer(rng, popularity, num_dense)
    parts = {
        "linear": draw.linear(),
        "pairs": draw.pairs([rich[:size], rich[size : 2 * size]]),
        "triple": draw.triple(draw.pick(rich, 3)),
        "gate": draw.gate(*draw.pick(rich, 2)),
    }
    if num_dense:
        parts["crosses"] = draw.crosses(draw.pick(rich, 4))
    return parts


@dataclass(frozen=True)
class _Drawer:
    rng: np.random.Generator
    popularity: Sequence[Floats]
    num_dense: int

    def pick(self, fields: list[int], count: int) -> list[int]:
        return [int(j) for j in self.rng.choice(fields, size=count, replace=False)]

    def table(self, field: int, channels: int = 1) -> Floats:
        """[ids, channels], of mean 0 under the field's popularity."""
        probability = self.popularity[field]
        weights = self.rng.standard_normal((len(probability), channels))
        weights /= np.sqrt(1 + np.arange(len(probability)) / 10)[:, None]
        return np.asarray(weights - probability @ weights)

    def linear(self) -> Part:
        weights = [self.table(j)[:, 0] for j in range(len(self.popularity))]
        slopes = self.rng.standard_normal(self.num_dense)

        def part(dense: Floats, ids: Ids) -> Floats:
            total = dense @ slopes
            for j, weight in enumerate(weights):
                total += weight[ids[:, j]]
            return total

        return part

    def pairs(self, groups: list[list[int]]) -> Part:
        latent = {j: self.table(j, _LATENT) for group in groups for j in group}

        def part(dense: Floats, ids: Ids) -> Floats:
            total = np.zeros(len(ids))
            for group in groups:
                rows = {j: latent[j][ids[:, j]] for j in group}
                for i, j in combinations(group, 2):
                    total += np.einsum("nk,nk->n", rows[i], rows[j])
            return total

        return part

    def crosses(self, fields: list[int]) -> Part:
        columns = self.rng.integers(self.num_dense, size=len(fields))
        weights = [self.table(j)[:, 0] for j in fields]

        def part(dense: Floats, ids: Ids) -> Floats:
            total = np.zeros(len(ids))
            for j, column, weight in zip(fields, columns, weights, strict=True):
                total += dense[:, column] * weight[ids[:, j]]
            return total

        return part

    def triple(self, fields: list[int]) -> Part:
        latent = [self.table(j, _LATENT) for j in fields]

        def part(dense: Floats, ids: Ids) -> Floats:
            product = np.ones((len(ids), _LATENT))
            for j, table in zip(fields, latent, strict=True):
                product *= table[ids[:, j]]
            return np.asarray(product.sum(axis=1))

        return part

    def gate(self, opener: int, gated: int) -> Part:
        scores, weights = self.table(opener)[:, 0], self.table(gated)[:, 0]
        slopes = self.rng.standard_normal(self.num_dense) / max(1, self.num_dense) ** 0.5

        def part(dense: Floats, ids: Ids) -> Floats:
            gate = 1 / (1 + np.exp(-4 * (scores[ids[:, opener]] + dense @ slopes)))
            return np.asarray((gate - 0.5) * weights[ids[:, gated]])

        return part


def _bias_for(logits: Floats, click_rate: float) -> float:
    """The bias that gives this mean probability, by bisection (the mean rises with the bias)."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        too_many = np.mean(1 / (1 + np.exp(-(logits + middle)))) > click_rate
        low, high = (low, middle) if too_many else (middle, high)
    return (low + high) / 2
