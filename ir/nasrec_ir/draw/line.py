"""Placing things on a line."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["separated"]


def separated(wishes: Sequence[float], weights: Sequence[float], distances: Sequence[float]) -> list[float]:
    """Places in the given order, neighbours at least `distances` apart, near to where each wishes to be.

    They minimise the weighted sum of squared differences to the wishes. Shifted by the distances, that is isotonic
    regression, which pooling adjacent violators solves.
    """
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for wish, weight, offset in zip(wishes, weights, offsets, strict=False):
        mean, total, members = wish - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, heavy, more = pools.pop()
            mean = (mean * total + other * heavy) / (total + heavy)
            total, members = total + heavy, members + more
        pools.append((mean, total, members))
    flat = [mean for mean, _, members in pools for _ in range(members)]
    return [base + offset for base, offset in zip(flat, offsets, strict=False)]
