"""Genes of a hardware space: the fields of a chip's description that a search may set, and the default ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nasrec.checks import format_value
from nasrec_pim import HardwareError

__all__ = ["DEFAULT_GENES", "Gene", "Values"]

Values = tuple[tuple[str, Any], ...]
"""A choice for every gene, as (SECTION.FIELD, value) by name."""


@dataclass(frozen=True)
class Gene:
    """One field of a hardware description, and what a search may set it to.

    Attributes:
        name: SECTION.FIELD of `nasrec_pim.Hardware`, or `device.cell_bits` for the number of levels.
        choices: values, none twice.
        source: why just these.
    """

    name: str
    choices: tuple[Any, ...]
    source: str = field(default="user", compare=False)

    def __post_init__(self) -> None:
        for choice in self.choices:
            for item in choice if isinstance(choice, tuple) else (choice,):
                if not isinstance(item, int | float | str):
                    raise HardwareError(
                        f"hardware space: {self.name:.60} has the choice {format_value(choice)}; give plain values"
                    )


DEFAULT_GENES = (
    Gene(
        "adc.choice",
        (7, 4, 2, 1),
        "MNSIM 2.0's table: 4, 6, 8 (ISAAC's) and 10 bits, each with its own area, power and rate",
    ),
    Gene(
        "crossbar.size", (64, 128, 256), "128 in ISAAC, 256 in PRIME and MNSIM 2.0; 64 as recommenders have small ones"
    ),
    Gene("dac.choice", (1, 2, 3, 4), "MNSIM 2.0's table: 1 (ISAAC), 2, 3 (PRIME) and 4 bits, scaled from ISAAC's"),
    Gene("device.cell_bits", (1, 2, 4), "1 in MNSIM 2.0, 2 in ISAAC, 4 in PRIME"),
    Gene("mapping.copies", (1, 2, 4, 8, 16), "1 in the handcrafted design; an embedded FC has 16 vectors a sample"),
)
