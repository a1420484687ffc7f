"""The space of designs: models with precisions, times hardware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasrec.codesign.design import Design
from nasrec.codesign.hardware import HardwareSpace
from nasrec.errors import SpaceError
from nasrec.space import SearchSpace

__all__ = ["CodesignSpace"]


@dataclass(frozen=True)
class CodesignSpace:
    """All designs of a model's space (`SearchSpace.codesign()` for the paper's, with precisions) and a hardware space.

    Search algorithms take it as they take a space of genotypes.

    Attributes:
        model: genotypes.
        hardware: chips.
        hardware_share: of mutations, those that change the hardware; the others change the model.

    Raises:
        SpaceError: the share is no number from 0 to 1.
    """

    model: SearchSpace = field(default_factory=SearchSpace.codesign)
    hardware: HardwareSpace = field(default_factory=HardwareSpace)
    hardware_share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.hardware_share <= 1:
            raise SpaceError(f"hardware_share must be from 0 to 1, got {self.hardware_share!r:.40}")

    def __contains__(self, design: object) -> bool:
        return self.violation(design) is None

    def violation(self, design: object) -> str | None:
        """Why a design is not in the space; None if it is."""
        if not isinstance(design, Design):
            return f"it is a {type(design).__name__}, not a Design"
        return self.model.violation(design.genotype) or self.hardware.violation(design.hardware)

    def cardinality(self) -> int:
        """The exact number of designs."""
        return self.model.cardinality() * self.hardware.cardinality()

    def sample(self, rng: np.random.Generator) -> Design:
        """A random design: `SearchSpace.sample` and a chip, each with equal probability."""
        return Design(self.model.sample(rng), self.hardware.sample(rng))

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """A neighbour: another chip with probability `hardware_share`, else another model (section 4.4); the other of
        the two where the one has no choice.

        Raises:
            SpaceError: the design's genotype is not in the space.
            HardwareError: its hardware is not.
        """
        sides = [self._other_chip, self._other_model]
        if rng.random() >= self.hardware_share:
            sides.reverse()
        first, second = sides
        changed = first(design, rng)
        return changed if changed != design else second(design, rng)

    def cross(self, one: Design, other: Design, rng: np.random.Generator) -> tuple[Design, Design]:
        """Two children of two designs: models and chips crossed independently of each other.

        Raises:
            SpaceError: a design's genotype is not in the space.
            HardwareError: a design's hardware is not.
        """
        models = self.model.cross(one.genotype, other.genotype, rng)
        chips = self.hardware.cross(one.hardware, other.hardware, rng)
        return Design(models[0], chips[0]), Design(models[1], chips[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values that say what the space is."""
        return {
            "model": self.model.to_dict(),
            "hardware": self.hardware.to_dict(),
            "hardware_share": self.hardware_share,
        }

    def _other_chip(self, design: Design, rng: np.random.Generator) -> Design:
        return Design(design.genotype, self.hardware.mutate(design.hardware, rng))

    def _other_model(self, design: Design, rng: np.random.Generator) -> Design:
        return Design(self.model.mutate(design.genotype, rng), design.hardware)
