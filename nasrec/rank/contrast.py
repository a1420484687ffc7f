"""What one choice gains over another in ranking, everything else equal: masking, paths, fine-tuning, balance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasrec.rank.agreement import STATISTICS, Interval, percentiles

if TYPE_CHECKING:
    from nasrec.rank.study import Ranked

__all__ = ["Contrast", "contrasts"]


@dataclass(frozen=True)
class Contrast:
    """One value of a trait against another.

    Attributes:
        trait: what differs, such as "masking".
        of, over: the two values.
        pairs: of rankings that differ in nothing else, over which differences are means.
        statistics: of `of` less that of `over`, by name, see `STATISTICS`; with bootstrap intervals over the
            architectures, the same samples for both.
    """

    trait: str
    of: str | int
    over: str | int
    pairs: int
    statistics: Mapping[str, Interval]


def contrasts(ranked: Sequence[Ranked], level: float = 0.95) -> list[Contrast]:
    """Every pair of values of every trait but the seed, where rankings that differ in that trait alone exist."""
    found = []
    traits = dict.fromkeys(name for one in ranked for name in one.traits if name != "seed")
    for trait in traits:
        values = dict.fromkeys(one.traits[trait] for one in ranked if trait in one.traits)
        for over, of in itertools.combinations(values, 2):
            if pairs := _pairs(ranked, trait, of, over):
                statistics = {name: _difference(pairs, name, level) for name in STATISTICS}
                found.append(Contrast(trait, of, over, len(pairs), statistics))
    return found


def _pairs(ranked: Sequence[Ranked], trait: str, of: str | int, over: str | int) -> list[tuple[Ranked, Ranked]]:
    others = {_others(one, trait): one for one in ranked if one.traits.get(trait) == over}
    return [
        (one, others[rest]) for one in ranked if one.traits.get(trait) == of and (rest := _others(one, trait)) in others
    ]


def _others(one: Ranked, trait: str) -> tuple[tuple[str, str | int], ...]:
    return tuple((name, value) for name, value in one.traits.items() if name != trait)


def _difference(pairs: Sequence[tuple[Ranked, Ranked]], name: str, level: float) -> Interval:
    values = [a.agreement.statistics[name].value - b.agreement.statistics[name].value for a, b in pairs]
    drawn = np.mean([a.agreement.drawn[name] - b.agreement.drawn[name] for a, b in pairs], axis=0)
    mean = math.nan if any(map(math.isnan, values)) else float(np.mean(values))
    return Interval(mean, *percentiles(drawn[np.isfinite(drawn)], level))
