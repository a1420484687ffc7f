"""What is odd about MNSIM 2.0's hardware model (commit ca39ccb), and the switch that corrects each oddity.

Without any switch the cost formulas reproduce the tool; with all of them they are the `physical` fidelity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from nasrec_pim.errors import HardwareError

__all__ = ["CORRECTIONS", "PHYSICAL", "QUIRKS", "Correction", "Quirk", "resolve_corrections"]


@dataclass(frozen=True)
class Correction:
    """A switch.

    Attributes:
        name: how it is written in a preset or an override.
        quirks: numbers of the quirks it corrects (keys of `QUIRKS`).
        doc: what changes.
        touches: `"cost"` changes figures, `"domain"` makes hardware or precisions usable that the tool rejects,
            `"functional"` changes the functional simulation.
    """

    name: str
    quirks: tuple[int, ...]
    doc: str
    touches: str = "cost"


CORRECTIONS = MappingProxyType(
    {
        correction.name: correction
        for correction in (
            Correction(
                "place_single", (3,), "a layer alone is placed on the grid too: its tiles are merged over distances"
            ),
            Correction("clip_subarray", (4,), "a subarray is at most as high as its crossbar", "domain"),
            Correction(
                "edge_cases",
                (5,),
                "0 DACs mean one a row; 1-bit weights are one bit plane; programming costs",
                "domain",
            ),
            Correction("buffer_cycle", (6,), "buffer accesses take CACTI's cycle instead of a constant 20 ns"),
            Correction("cell_bits", (7,), "a cell of several levels holds several bits of a weight"),
            Correction("slice_merge", (8,), "bit planes and row blocks are merged over all tiles, not within one only"),
            Correction("dac_power", (9,), "the 8-bit DAC takes 0.4992 mW, not W"),
            Correction("digital_subtraction", (10,), "columns of both polarities are converted, one after another"),
            Correction("subarray_adcs", (11,), "the ADCs of every subarray take power"),
            Correction("converter_rate", (12,), "a converter makes `rate` conversions a nanosecond, not `rate` bits"),
            Correction("partial_arrays", (13,), "partly filled tiles, elements and arrays are charged as used"),
            Correction("adder_energy", (14,), "group adders count in the energy"),
            Correction("buffer_accesses", (15,), "a buffer's energy is that of its own accesses"),
            Correction("leakage", (15,), "buffers leak all the time, once"),
            Correction(
                "sum_width", (16,), "transfers and buffers carry the width that shifting and adding has produced"
            ),
            Correction("pooling_area", (17,), "no pooling units in tiles without pooling"),
            Correction("buffer_table", (18,), "energy, leakage and area of buffers from CACTI"),
            Correction("adc_table", (19,), "ADC choice 6 has the area of the equal choice 4"),
            Correction(
                "cell_variation", (20,), "every cell varies on its own, not every level of a layer", "functional"
            ),
            Correction("network", (22,), "wires within and between tiles take energy and area"),
            Correction(
                "replication", (23,), "copies of a matrix share its vectors' energy, each is charged what it does"
            ),
        )
    }
)
"""Every switch, in the order of the quirks."""

PHYSICAL: tuple[str, ...] = tuple(CORRECTIONS)
"""All switches: the `physical` fidelity."""


@dataclass(frozen=True)
class Quirk:
    """An oddity of the tool, and how it is met here where no switch is needed."""

    number: int
    doc: str
    met_by: str


QUIRKS = MappingProxyType(
    {
        quirk.number: quirk
        for quirk in (
            Quirk(
                1,
                "a network cannot begin with an FC layer",
                "an FC is a 1x1 convolution on a 1x1 image; both fidelities accept it",
            ),
            Quirk(
                2,
                "a network of one layer indexes behind its end",
                "a layer alone has no successor; both fidelities accept it",
            ),
            Quirk(3, "a network of one layer is not placed: no merge distance", "place_single"),
            Quirk(4, "crossbars smaller than the subarray are rejected", "clip_subarray"),
            Quirk(5, "several shipped settings crash: default DACs, write power, 1-bit weights", "edge_cases"),
            Quirk(6, "every buffer access takes 20 ns", "buffer_cycle"),
            Quirk(7, "multi-level cells change neither mapping nor cost", "cell_bits"),
            Quirk(8, "weight bits do not change an FC's latency", "slice_merge"),
            Quirk(9, "the power of DAC choice 6 is 1000 times too high", "dac_power"),
            Quirk(10, "digital subtraction halves the energy instead of raising it", "digital_subtraction"),
            Quirk(11, "ADCs of further subarrays take area but no power", "subarray_adcs"),
            Quirk(12, "an ADC's sample rate is taken for a bit clock", "converter_rate"),
            Quirk(13, "partial tiles and crossbars are charged as full", "partial_arrays"),
            Quirk(
                14,
                "group adders are left out of the energy; the global adder's period is off by a unit",
                "adder_energy",
            ),
            Quirk(
                15,
                "buffer power counts for both buffers' time, leakage twice and never while idle",
                "buffer_accesses, leakage",
            ),
            Quirk(16, "results keep the ADC's width through shifting and adding", "sum_width"),
            Quirk(17, "every tile holds a pooling unit", "pooling_area"),
            Quirk(18, "the 90 nm buffers are smaller than the 65 nm ones, and not monotonic", "buffer_table"),
            Quirk(19, "the tables of converters contradict themselves", "adc_table"),
            Quirk(20, "variation draws one number per level and layer", "cell_variation"),
            Quirk(21, "settings are read from the wrong section", "one section holds each field here"),
            Quirk(22, "the network on chip needs an external simulator and is off: no energy of wires", "network"),
            Quirk(23, "every copy of a matrix is charged for the whole layer", "replication"),
        )
    }
)
"""The 23 oddities, by number; `met_by` names the switch, or says why none is needed."""


def resolve_corrections(names: str | Iterable[str]) -> tuple[str, ...]:
    """Switches in their canonical order.

    Args:
        names: `"mnsim"` (none), `"physical"` (all), or names; one behind a minus sign is taken away again, for example
            `"physical,-leakage"`.

    Raises:
        HardwareError: a name is unknown.
    """
    chosen: set[str] = set()
    for text in (part.strip() for part in (names.split(",") if isinstance(names, str) else names)):
        removed, name = text.startswith("-"), text.removeprefix("-")
        group = {"": (), "mnsim": (), "physical": PHYSICAL}.get(name, (name,))
        unknown = [n for n in group if n not in CORRECTIONS]
        if unknown:
            raise HardwareError(
                f"corrections: {unknown[0]!r:.60} is none; there are mnsim, physical, {', '.join(CORRECTIONS)}"
            )
        chosen = chosen - set(group) if removed else chosen | set(group)
    return tuple(name for name in CORRECTIONS if name in chosen)
