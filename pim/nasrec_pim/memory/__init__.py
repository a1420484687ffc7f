"""The memory of the embedding tables: popularity of rows, caches, and the cost of look-ups."""

from __future__ import annotations

from nasrec_pim.memory.lookup import LookupCost, Tables, lookup_cost, lookup_ns
from nasrec_pim.memory.popularity import Popularity, hit_rate, measured_popularity, zipf_popularity

__all__ = [
    "LookupCost",
    "Popularity",
    "Tables",
    "hit_rate",
    "lookup_cost",
    "lookup_ns",
    "measured_popularity",
    "zipf_popularity",
]
