"""Objectives of a search, and the hard limits that it keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasrec.errors import SearchError
from nasrec.search.algorithm import Score

__all__ = ["Goal", "Limit", "Objective", "parse_goal", "parse_limit", "parse_objective"]

MAXIMIZED = frozenset({"auc"})
"""Values that are better when larger; all others are better when smaller, unless it is said otherwise."""

_LIMIT = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sign><=|>=)\s*(?P<bound>[^<>=\s]+)\s*")


@dataclass(frozen=True)
class Objective:
    """A measured value to minimize, or to maximize."""

    name: str
    maximize: bool = False

    def of(self, values: Mapping[str, float]) -> float:
        """The value to minimize; NaN where it was not measured."""
        value = values.get(self.name, math.nan)
        return -value if self.maximize else value

    def __str__(self) -> str:
        return f"{'largest' if self.maximize else 'smallest'} {self.name}"


@dataclass(frozen=True)
class Limit:
    """A bound that a measured value must keep: at most `bound`, or with `least` at least."""

    name: str
    bound: float
    least: bool = False

    def violation(self, values: Mapping[str, float]) -> float:
        """By how much the bound is broken, as a share of it; 0 where it is kept or the value is not known."""
        value = values.get(self.name)
        if value is None:
            return 0.0
        if math.isnan(value):
            return math.inf
        excess = (self.bound - value) if self.least else (value - self.bound)
        return max(0.0, excess) / max(abs(self.bound), 1e-12)

    def __str__(self) -> str:
        return f"{self.name}{'>=' if self.least else '<='}{self.bound:g}"


@dataclass(frozen=True)
class Goal:
    """Objectives and limits of a search. Algorithms with one objective take the first; the others break ties."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise SearchError(f"objectives must be at least one, none twice, got {', '.join(names) or 'none'}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all values that must be measured."""
        return tuple(dict.fromkeys([*(o.name for o in self.objectives), *(limit.name for limit in self.limits)]))

    def settings(self) -> dict[str, list[str]]:
        """As a journal and a report write it; `from_settings` is the way back."""
        return {"objectives": list(map(str, self.objectives)), "limits": list(map(str, self.limits))}

    @classmethod
    def from_settings(cls, values: Mapping[str, Any]) -> Goal:
        """From `settings`. Raises `SearchError` on malformed texts."""
        objectives = []
        for text in values["objectives"]:
            way, _, name = text.partition(" ")
            objectives.append(parse_objective(f"{'max' if way == 'largest' else 'min'}:{name}"))
        return cls(tuple(objectives), tuple(parse_limit(text) for text in values["limits"]))

    def violation(self, values: Mapping[str, float]) -> float:
        """By how much the known values violate the limits."""
        return sum(limit.violation(values) for limit in self.limits)

    def score(self, values: Mapping[str, float]) -> Score:
        """The score that a search algorithm is told."""
        return Score(tuple(objective.of(values) for objective in self.objectives), self.violation(values))

    def front(self, values: Sequence[Mapping[str, float]]) -> list[int]:
        """Indices of those that keep all limits and that no other one beats in all objectives, ascending; of equals
        the first."""
        scores = [self.score(entry) for entry in values]
        allowed = [i for i, score in enumerate(scores) if score.allowed]
        # In this order a genotype is beaten only by one that comes before it, and it suffices to ask those kept.
        front: list[int] = []
        for i in sorted(allowed, key=lambda i: (scores[i].objectives, i)):
            mine = scores[i].objectives
            if not any(all(a <= b for a, b in zip(scores[j].objectives, mine, strict=True)) for j in front):
                front.append(i)
        return sorted(front)

    def best(self, values: Sequence[Mapping[str, float]]) -> int | None:
        """The index of the one with the best first objective among those that keep all limits."""
        scores = [self.score(entry) for entry in values]
        allowed = [(score.objectives, i) for i, score in enumerate(scores) if score.allowed]
        return min(allowed)[1] if allowed else None


def parse_goal(objectives: Sequence[str], limits: Sequence[str] = ()) -> Goal:
    """From texts as people write them, see `parse_objective` and `parse_limit`. Raises `SearchError`."""
    return Goal(tuple(map(parse_objective, objectives)), tuple(map(parse_limit, limits)))


def parse_objective(text: str) -> Objective:
    """`log_loss`, `auc`, `macs`, ...; `max:NAME` or `min:NAME` says which way is better.

    Raises:
        SearchError: there is no name.
    """
    way, _, name = text.partition(":")
    if way not in ("max", "min"):
        way, name = "max" if text in MAXIMIZED else "min", text
    if not name:
        raise SearchError(f"objective {text!r} has no name; give one such as log_loss or max:auc")
    return Objective(name, way == "max")


def parse_limit(text: str) -> Limit:
    """`macs<=2e6`, `auc>=0.7`.

    Raises:
        SearchError: it is no such comparison.
    """
    match = _LIMIT.fullmatch(text)
    try:
        bound = float(match["bound"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise SearchError(f"limit {text!r} is no comparison with a number; write for example macs<=2e6")
    return Limit(match["name"], bound, match["sign"] == ">=")
