"""Interfaces of what is searched: candidates, the spaces that draw and change them, and their written form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from nasrec.genotype import Genotype

__all__ = ["GENOTYPE", "Candidate", "CrossingSpace", "Form", "Space"]


class Candidate(Protocol):
    """A candidate: hashable, and equal to candidates that would be evaluated alike."""

    def __hash__(self) -> int: ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the kind as `"format": "nasrec-KIND"`."""


C = TypeVar("C", bound=Candidate)


class Space(Protocol[C]):
    """The interface that random search and evolution need; `nasrec.SearchSpace` has it, for genotypes."""

    def sample(self, rng: np.random.Generator, /) -> C:
        """A random member."""

    def mutate(self, candidate: C, rng: np.random.Generator, /) -> C:
        """A random neighbor of a member."""


class CrossingSpace(Space[C], Protocol[C]):
    """The interface that NSGA-II needs."""

    def cross(self, one: C, other: C, rng: np.random.Generator, /) -> tuple[C, C]:
        """Two children of two members; what the one has of the first parent, the other has of the second."""


@dataclass(frozen=True)
class Form(Generic[C]):
    """The written form of candidates of one kind.

    Attributes:
        kind: the word that stands for them.
        parse: makes one of what its `to_dict` gave; raises a `NasrecError` where it is none.
    """

    kind: str
    parse: Callable[[Mapping[str, Any]], C]


GENOTYPE = Form("genotype", Genotype.from_dict)
