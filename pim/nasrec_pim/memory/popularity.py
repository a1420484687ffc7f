"""How often each row of an embedding table is asked for, and how many look-ups a cache answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec_pim.errors import MappingError

__all__ = ["Popularity", "hit_rate", "measured_popularity", "zipf_popularity"]

Floats = NDArray[np.float64]

EXACT_RANKS = 256
"""Ranks that stand alone; behind them ranks of nearly equal popularity are taken together."""
BIN_GROWTH = 1.05


@dataclass(frozen=True, eq=False)
class Popularity:
    """Rows of a table in groups of equal popularity; equal only to itself.

    Attributes:
        counts: rows of each group.
        shares: share of the look-ups that each row of the group gets.
    """

    counts: Floats
    shares: Floats


@lru_cache(maxsize=1024)
def zipf_popularity(rows: int, exponent: float) -> Popularity:
    """Share of the row of rank r proportional to r^-exponent.

    Args:
        rows: rows of the table, at least 1.
        exponent: 0 is uniform; click logs have about 1.
    """
    edges = [float(rank) for rank in range(min(rows, EXACT_RANKS) + 1)]
    while edges[-1] < rows:
        edges.append(min(float(rows), np.floor(edges[-1] * BIN_GROWTH)))
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    counts = high - low
    # A bin's mean share by the integral of its middle ranks' law; exact ranks are their own.
    weights = np.where(counts == 1, high**-exponent, _mean_power(low + 0.5, high + 0.5, exponent))
    return Popularity(counts, weights / float(weights @ counts))


def measured_popularity(counts: ArrayLike) -> Popularity:
    """From the number of times that each row of a table was seen.

    Raises:
        MappingError: there are no counts, a negative one, or nothing but zeros.
    """
    seen = np.asarray(counts, dtype=np.float64)
    if seen.ndim != 1 or seen.size == 0 or not np.all(np.isfinite(seen)) or seen.min() < 0 or seen.sum() == 0:
        raise MappingError("counts of a table's rows must be a list of numbers >= 0, not all zero")
    values, counts_of = np.unique(seen, return_counts=True)
    return Popularity(counts_of.astype(np.float64), values / seen.sum())


def hit_rate(tables: Sequence[Popularity], capacity_rows: float) -> float:
    """Share of look-ups that a cache of the least recently used rows answers.

    Che's approximation (Che, Tung and Wang 2002): a row is in the cache if it was asked for within a characteristic
    time T, the same for all rows, at which the cache is full: sum_i (1 - exp(-p_i T)) = capacity.

    Args:
        tables: popularity of each table; each gets one look-up a sample.
        capacity_rows: rows that the cache holds, of all tables together.
    """
    if not tables or capacity_rows <= 0:
        return 0.0
    counts = np.concatenate([table.counts for table in tables])
    rates = np.concatenate([table.shares for table in tables])
    if capacity_rows >= float(counts[rates > 0].sum()):
        return 1.0
    low, high = 0.0, capacity_rows
    while _filled(counts, rates, high) < capacity_rows:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _filled(counts, rates, middle) < capacity_rows else (low, middle)
    return float((counts * rates) @ -np.expm1(-rates * high)) / len(tables)


def _filled(counts: Floats, rates: Floats, time: float) -> float:
    return float(counts @ -np.expm1(-rates * time))


def _mean_power(low: Floats, high: Floats, exponent: float) -> Floats:
    """Mean of r^-exponent over [low, high]."""
    if abs(exponent - 1) < 1e-9:
        return np.asarray(np.log(high / low) / (high - low))
    power = 1 - exponent
    return np.asarray((high**power - low**power) / (power * (high - low)))
