"""Reference designs to compare with: handcrafted in-memory designs and near-memory look-ups, as far as described.

The paper names neither the model nor the chip of its "empirically handcrafted ReRAM design", nor where RecNMP computes
its layers. So each reference design says what it assumes, and there is one for every plausible reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nasrec_ir import Graph
from nasrec_pim import Hardware, Report, compare, estimate, map_graph

__all__ = ["ReferenceDesign", "ratios", "reference_designs"]

HANDCRAFTED, RECNMP = {"speed": 1.5, "energy": 1.8}, {"speed": 1.1, "energy": 5.2}
"""By how much the paper's co-designed accelerator is said to be better than the one and the other (section 5.2)."""


@dataclass(frozen=True)
class ReferenceDesign:
    """A design to compare with.

    Attributes:
        name: `"handcrafted"` or `"RecNMP"`, with the variant.
        assumption: how the paper's description is read here.
        hardware: the chip.
        claims: ratios of speed and energy that the paper claims over it.
    """

    name: str
    assumption: str
    hardware: Hardware
    claims: Mapping[str, float]

    def report(self, graph: Graph) -> Report:
        """The estimate of a model there."""
        return estimate(map_graph(graph, self.hardware))


def reference_designs(base: Hardware) -> tuple[ReferenceDesign, ...]:
    """What to compare designs with whose chips are changes of a base.

    The base's digital units, mesh, buffers and memory are no genes; a reference design that has them too is beaten by
    what a search found alone.
    """
    isaac, recnmp = Hardware.preset("isaac-like"), Hardware.preset("recnmp")
    same = replace(
        isaac,
        name="isaac-like in our surroundings",
        digital=base.digital,
        noc=base.noc,
        buffer=base.buffer,
        memory=base.memory,
    )
    return (
        ReferenceDesign(
            "handcrafted", "ISAAC-like chip, 8-bit weights, one converter an array, no copies", isaac, HANDCRAFTED
        ),
        ReferenceDesign(
            "handcrafted, same surroundings",
            "the same arrays with our digital units, mesh, buffers, memory",
            same,
            HANDCRAFTED,
        ),
        ReferenceDesign(
            "RecNMP, server CPU", "near-memory look-ups, layers on an 18-core server processor", recnmp, RECNMP
        ),
        ReferenceDesign(
            "RecNMP, our digital units",
            "near-memory look-ups, layers on our digital units",
            replace(recnmp, name="recnmp with our digital units", digital=base.digital),
            RECNMP,
        ),
    )


def ratios(ours: Report, theirs: Report) -> Iterator[dict[str, Any]]:
    """By how much a design is better, under each assumption of `nasrec_pim.compare`, as plain values."""
    yield from map(asdict, compare(ours, theirs))
