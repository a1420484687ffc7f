"""The hardware side of co-design: a base chip, and the fields of its description that a search may set."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nasrec.checks import format_path, format_value
from nasrec.codesign import hardware_file
from nasrec.codesign.genes import DEFAULT_GENES, Gene, Values
from nasrec_pim import Hardware, HardwareError
from nasrec_pim.hardware import Provenance

__all__ = ["Chips", "HardwareSpace", "described"]

MOST = 20_000
"""Combinations of a space: all are tried when it is made, so that impossible ones are never proposed."""


@dataclass(frozen=True)
class HardwareSpace:
    """All chips that result from a base chip and the choices of some genes.

    Where the base's subarrays are as high as its crossbars, or it has a DAC for every row, they are and it has at any
    other `crossbar.size`, unless they are genes themselves. Combinations that no chip can have are left out.

    Attributes:
        base: the chip that all others are changes of.
        genes: by name.

    Raises:
        HardwareError: a gene names no field, has no choice or one twice, or has one that no chip of the space can have;
            or there are too many combinations to try.
    """

    base: Hardware = field(default_factory=lambda: Hardware.preset("default"))
    genes: tuple[Gene, ...] = DEFAULT_GENES

    def __post_init__(self) -> None:
        genes = tuple(sorted(self.genes, key=lambda gene: gene.name))
        object.__setattr__(self, "genes", genes)
        names = [gene.name for gene in genes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise HardwareError(f"hardware space: {twice} stands twice; give its choices in one list")
        for gene in genes:
            if not gene.choices or len(set(gene.choices)) < len(gene.choices):
                raise HardwareError(f"hardware space: {gene.name} needs one choice or more, none of them twice")
        count = math.prod(len(gene.choices) for gene in genes)
        if count > MOST:
            raise HardwareError(
                f"hardware space: {count:,} combinations are more than {MOST:,}; leave some choices out"
            )
        self._require_every_choice()

    def _require_every_choice(self) -> None:
        possible = {pair for values in self.members for pair in values}
        for gene in self.genes:
            for choice in gene.choices:
                if (gene.name, choice) not in possible:
                    raise HardwareError(
                        f"hardware space: {gene.name} = {format_value(choice)} fits no chip: {self._why(gene, choice)}"
                    )

    def _why(self, gene: Gene, choice: Any) -> str:
        """What is wrong with the first combination that has a choice."""
        others = [other.choices if other is not gene else (choice,) for other in self.genes]
        first = next(iter(product(*others)))
        return self.violation(tuple(zip((g.name for g in self.genes), first, strict=True))) or ""

    @classmethod
    def around(cls, base: Hardware) -> HardwareSpace:
        """The default genes on another base, without those of their choices that fit no chip there.

        Raises:
            HardwareError: none fits.
        """
        possible = {pair for values in _members(base, DEFAULT_GENES) for pair in values}
        fitting = {g.name: tuple(choice for choice in g.choices if (g.name, choice) in possible) for g in DEFAULT_GENES}
        return cls(base, tuple(replace(gene, choices=fitting[gene.name]) for gene in DEFAULT_GENES))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HardwareSpace:
        """A space from TOML: `base`, a preset or a file beside this one (default "default"), and a table `choices` of
        lists by SECTION.FIELD, each perhaps as `{ values = [...], source = "..." }`; without it the default genes.

        Raises:
            HardwareError: the file is missing or malformed; the message names it.
        """
        base, genes = hardware_file.read(Path(path))
        try:
            return cls.around(base) if genes is None else cls(base, genes)
        except HardwareError as error:
            raise HardwareError(f"{format_path(os.fspath(path))}: {error}") from None

    @cached_property
    def members(self) -> tuple[Values, ...]:
        """Every combination that some chip can have, in a fixed order."""
        return _members(self.base, self.genes)

    @cached_property
    def _known(self) -> frozenset[Values]:
        return frozenset(self.members)

    def __contains__(self, values: object) -> bool:
        return isinstance(values, tuple) and values in self._known

    def violation(self, values: Values) -> str | None:
        """Why a combination is not in the space; None if it is."""
        if values in self._known:
            return None
        given = dict(values)
        for gene in self.genes:
            if gene.name not in given:
                return f"{gene.name} is missing"
            if given[gene.name] not in gene.choices:
                return (
                    f"{gene.name} = {format_value(given[gene.name])} is not one of "
                    f"{', '.join(map(format_value, gene.choices))}"
                )
        if strange := next((name for name in given if name not in {gene.name for gene in self.genes}), None):
            return f"{strange} is not chosen here"
        return _impossible(self.base, values) or "its entries are not in the order of their names"

    def hardware(self, values: Values) -> Hardware:
        """The chip of a combination.

        Raises:
            HardwareError: there is none.
        """
        return _chip(self.base, values)

    def cardinality(self) -> int:
        """How many chips there are."""
        return len(self.members)

    def sample(self, rng: np.random.Generator) -> Values:
        """A combination, each with equal probability."""
        return self.members[int(rng.integers(len(self.members)))]

    def mutate(self, values: Values, rng: np.random.Generator) -> Values:
        """A neighbour that differs in one gene, each gene and then each choice with equal probability; another chip of
        the space where one gene alone cannot change, the same where there is no other.

        Raises:
            HardwareError: the combination is not in the space.
        """
        self._check(values, "cannot mutate")
        for place in rng.permutation(len(self.genes)):
            gene = self.genes[int(place)]
            changed = [_with(values, gene.name, choice) for choice in gene.choices if (gene.name, choice) not in values]
            possible = [candidate for candidate in changed if candidate in self._known]
            if possible:
                return possible[int(rng.integers(len(possible)))]
        others = [candidate for candidate in self.members if candidate != values]
        return others[int(rng.integers(len(others)))] if others else values

    def cross(self, one: Values, other: Values, rng: np.random.Generator) -> tuple[Values, Values]:
        """Two children, the second with those choices of the parents that the first has not; the parents themselves
        where a child would be impossible.

        Raises:
            HardwareError: a parent is not in the space.
        """
        for parent in (one, other):
            self._check(parent, "cannot cross")
        swap = rng.random(len(self.genes)) < 0.5
        pairs = [(b, a) if s else (a, b) for a, b, s in zip(one, other, swap, strict=True)]
        children = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
        return children if self._known.issuperset(children) else (one, other)

    def _check(self, values: Values, what: str) -> None:
        if (reason := self.violation(values)) is not None:
            raise HardwareError(f"{what}: the combination is not in the hardware space: {reason}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the base as its description's text, and the choices."""
        return {"base": self.base.to_toml(), "choices": {gene.name: list(gene.choices) for gene in self.genes}}


class Chips:
    """The chips of a space, each made once, so that what was costed on one is remembered with it."""

    def __init__(self, space: HardwareSpace) -> None:
        self._space = space
        self._made: dict[Values, Hardware] = {}

    def __getitem__(self, values: Values) -> Hardware:
        if values not in self._made:
            self._made[values] = self._space.hardware(values)
        return self._made[values]


def described(chip: Hardware) -> str:
    """A chip in a few words, for tables and pictures."""
    bits = (
        f"{chip.device.cell_bits}-bit cells",
        f"{chip.adc.resolution_bits}-bit ADC",
        f"{chip.dac.resolution_bits}-bit DAC",
    )
    copies = f"{chip.mapping.copies} {'copy' if chip.mapping.copies == 1 else 'copies'}"
    return f"{chip.crossbar.size} x {chip.crossbar.size}, {', '.join(bits)}, {copies}"


def _members(base: Hardware, genes: Sequence[Gene]) -> tuple[Values, ...]:
    """Every combination that some chip can have."""
    names = [gene.name for gene in genes]
    every = (tuple(zip(names, chosen, strict=True)) for chosen in product(*(gene.choices for gene in genes)))
    return tuple(values for values in every if _impossible(base, values) is None)


def _impossible(base: Hardware, values: Values) -> str | None:
    """Why no chip has these values; None if one does."""
    try:
        return _chip(base, values).converter_problem
    except HardwareError as error:
        return str(error)


def _chip(base: Hardware, values: Values) -> Hardware:
    given = dict(values)
    size, before = given.get("crossbar.size"), base.crossbar.size
    if size is not None:
        if base.subarray_rows == before:
            given.setdefault("crossbar.subarray_rows", size)
        if base.dacs_per_subarray == before:
            given.setdefault("dac.per_subarray", size)
    return base.with_values(given, Provenance("chosen in co-design", "user"))


def _with(values: Values, name: str, choice: Any) -> Values:
    return tuple((key, choice if key == name else value) for key, value in values)
