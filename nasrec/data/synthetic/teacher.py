"""The hidden teacher of a synthetic log: a click probability with interactions planted in it.

    logit(x) = bias + linear + pairs + crosses + products + triple + gate

- linear: a weight for every id and a slope for every dense column; all that logistic regression can learn.
- pairs: two groups of fields; within a group every two fields interact by the inner product of their ids' latent
  vectors, as in factorisation machines (Rendle, ICDM 2010).
- crosses: a dense value times a weight of an id. products: a dense value times another.
- triple: for three fields, the sum over latent channels of the product of three.
- gate: the sigmoid of a score of one id and the dense values, times the weight of another id.

Latent vectors have a mean of half their deviation, so that an interaction leaves a weak main effect behind, as real
ones do: with a mean of 0 logistic regression would see nothing of them, but every model that starts from small
embeddings would sit on a saddle first. Weights fall with rarity: what is said about an id that comes once in 100,000
rows cannot be learnt and would only be noise.
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

_LATENT = 2
_LATENT_MEAN = 0.5
_GROUP_FIELDS = 4
# Variance of each part, in squared logits.
_SHARES = {"linear": 0.5, "pairs": 2.0, "crosses": 0.35, "products": 0.5, "triple": 0.15, "gate": 0.2}


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
        centered = cls(tuple(scaled), 0.0)
        return cls(centered.parts, _bias_for(centered(dense, ids), click_rate))


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
    if num_dense > 1:
        parts["products"] = draw.products()
    return parts


@dataclass(frozen=True)
class _Drawer:
    rng: np.random.Generator
    popularity: Sequence[Floats]
    num_dense: int

    def pick(self, fields: list[int], count: int) -> list[int]:
        return [int(j) for j in self.rng.choice(fields, size=count, replace=False)]

    def weights(self, field: int) -> Floats:
        """One weight for each id, of mean 0 under the field's popularity."""
        return self._table(field, 1)[:, 0]

    def vectors(self, field: int) -> Floats:
        """Latent vectors [ids, channels]."""
        table = self._table(field, _LATENT)
        deviation = np.sqrt(self.popularity[field] @ table**2)
        return np.asarray(table + _LATENT_MEAN * deviation * self.rng.choice([-1, 1], size=_LATENT))

    def _table(self, field: int, channels: int) -> Floats:
        probability = self.popularity[field]
        table = self.rng.standard_normal((len(probability), channels))
        table /= 1 + np.arange(len(probability))[:, None] / 3
        return np.asarray(table - probability @ table)

    def linear(self) -> Part:
        weights = [self.weights(j) for j in range(len(self.popularity))]
        slopes = self.rng.standard_normal(self.num_dense)

        def part(dense: Floats, ids: Ids) -> Floats:
            total = dense @ slopes
            for j, weight in enumerate(weights):
                total += weight[ids[:, j]]
            return total

        return part

    def pairs(self, groups: list[list[int]]) -> Part:
        latent = {j: self.vectors(j) for group in groups for j in group}

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
        weights = [self.weights(j) for j in fields]

        def part(dense: Floats, ids: Ids) -> Floats:
            total = np.zeros(len(ids))
            for j, column, weight in zip(fields, columns, weights, strict=True):
                total += dense[:, column] * weight[ids[:, j]]
            return total

        return part

    def products(self) -> Part:
        columns = self.rng.permutation(self.num_dense)[: min(6, self.num_dense // 2 * 2)]
        left, right = columns[::2], columns[1::2]

        def part(dense: Floats, ids: Ids) -> Floats:
            return np.asarray((dense[:, left] * dense[:, right]).sum(axis=1))

        return part

    def triple(self, fields: list[int]) -> Part:
        latent = [self.vectors(j) for j in fields]

        def part(dense: Floats, ids: Ids) -> Floats:
            product = np.ones((len(ids), _LATENT))
            for j, table in zip(fields, latent, strict=True):
                product *= table[ids[:, j]]
            return np.asarray(product.sum(axis=1))

        return part

    def gate(self, opener: int, gated: int) -> Part:
        scores, weights = self.weights(opener), self.weights(gated)
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
