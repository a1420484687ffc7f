"""The hardware description: parts, switches, and the provenance of every value."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from nasrec_pim.errors import HardwareError
from nasrec_pim.hardware.choices import (
    ADC_CHOICES,
    CORRECTED_ADC_AREA_UM2,
    CORRECTED_DAC_POWER_W,
    DAC_CHOICES,
    with_choice,
)
from nasrec_pim.hardware.corrections import PHYSICAL, resolve_corrections
from nasrec_pim.hardware.overrides import parse_overrides
from nasrec_pim.hardware.parameter import Parameter, Provenance, parameter_fields
from nasrec_pim.hardware.parts import (
    CELL_BITS,
    MOST_CELL_BITS,
    PARTS,
    Adc,
    Buffer,
    Crossbar,
    Dac,
    Device,
    Pe,
    Periphery,
    Tile,
    spaced_resistances,
)
from nasrec_pim.hardware.sram import Sram, cacti_sram, mnsim_sram
from nasrec_pim.hardware.system import DigitalUnit, Memory, Noc, Policy
from nasrec_pim.hardware.toml_reader import Description, read_file, read_preset
from nasrec_pim.hardware.toml_writer import to_toml

__all__ = ["IDEAL_PARTS", "Hardware"]

IDEAL_PARTS = ("ADC", "DAC", "buffer", "network", "digital", "memory")
"""What `Hardware.idealized` can make ideal."""


@dataclass(frozen=True)
class Hardware:
    """A chip: crossbar tiles, digital units, a mesh between them, and the memory of the embedding tables.

    Made by `Hardware.preset`, `Hardware.load` or `Hardware.mnsim`, changed by `override`; immutable.

    Attributes:
        name: for tables and plots.
        corrections: switches on top of MNSIM's formulas (`nasrec_pim.CORRECTIONS`), in canonical order.
        ideal: parts that take neither time nor energy, for bounds (`idealized`).
        provenance: source and confidence by `section.field`.

    Raises:
        HardwareError: a value is out of its range, or parts do not fit each other.
    """

    name: str
    device: Device
    crossbar: Crossbar
    dac: Dac
    adc: Adc
    pe: Pe
    periphery: Periphery
    tile: Tile
    buffer: Buffer
    digital: DigitalUnit
    noc: Noc
    memory: Memory
    mapping: Policy
    corrections: tuple[str, ...] = ()
    ideal: tuple[str, ...] = ()
    provenance: Mapping[str, Provenance] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "corrections", resolve_corrections(self.corrections))
        # MNSIM itself lays out any number of converters.
        converters = self.converter_problem if self.fidelity == "physical" else None
        for problem in (self._subarray_problem(), self._dac_problem(), self._choice_problem(), converters):
            if problem is not None:
                raise HardwareError(f"hardware {self.name}: {problem}")
        _ = self.sram  # a bus or node without a table is an error here, not in the middle of an estimate

    def _subarray_problem(self) -> str | None:
        size, rows = self.crossbar.size, self.crossbar.subarray_rows
        if rows > size:
            if "clip_subarray" in self.corrections:
                return None
            advice = "lower crossbar.subarray_rows, or switch on clip_subarray"
            return f"a subarray of {rows} rows does not fit into a crossbar of {size}; {advice}"
        return None if size % rows == 0 else f"crossbar.subarray_rows = {rows} must divide crossbar.size = {size}"

    def _dac_problem(self) -> str | None:
        if self.dac.per_subarray == 0 and "edge_cases" not in self.corrections:
            return "dac.per_subarray = 0 (one a row) needs the correction edge_cases, without which MNSIM stops there"
        return None

    @property
    def converter_problem(self) -> str | None:
        """What is wrong where an array has more converters than lines that they could be at; None if nothing is."""
        size, rows = self.crossbar.size, self.subarray_rows
        if self.adc.per_subarray > size:
            return f"adc.per_subarray = {self.adc.per_subarray} is more than the {size} bit lines of an array"
        if self.dacs_per_subarray > rows:
            return f"dac.per_subarray = {self.dacs_per_subarray} is more than the {rows} word lines of a subarray"
        return None

    def _choice_problem(self) -> str | None:
        for section, part, table in (("adc", self.adc, ADC_CHOICES), ("dac", self.dac, DAC_CHOICES)):
            if part.choice and part.choice not in table:
                known = f"{min(table)} to {max(table)}, or 0 for own values"
                return f"{section}.choice = {part.choice} is not in MNSIM's table; choose {known}"
        return None

    @classmethod
    def preset(cls, name: str) -> Hardware:
        """A description that ships with the package; `presets()` lists them.

        Raises:
            HardwareError: there is none of this name.
        """
        return _preset(name)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Hardware:
        """A description from a TOML file in the presets' form.

        Raises:
            HardwareError: the file is missing or malformed; the message names file, section and field.
        """
        description = read_file(path)
        try:
            return _built(description)
        except HardwareError as error:
            raise HardwareError(f"{os.fspath(path)}: {error}") from None

    @classmethod
    def mnsim(
        cls,
        xbar: int = 256,
        adc: int = 6,
        dac: int = 1,
        adc_num: int = 128,
        dac_num: int = 128,
        pe: tuple[int, int] | list[int] = (2, 2),
        group: int = 1,
        polarity: int = 2,
        buftech: int = 90,
        subarray: int | None = None,
        device_levels: int = 2,
        sub_position: int = 0,
    ) -> Hardware:
        """MNSIM 2.0 as shipped, with the settings its sweeps vary.

        Args:
            xbar: crossbar side X.
            adc, dac: numbers of MNSIM's converter tables.
            adc_num, dac_num: converters per subarray and group.
            pe: processing elements across and down a tile.
            group: crossbar groups per element.
            polarity: crossbars per group.
            buftech: node of both buffers, nm.
            subarray: rows of a subarray; None: as high as the crossbar.
            device_levels: levels of a cell, evenly spaced in conductance between the shipped resistances.
            sub_position: 0 subtracts the negative crossbar in analog, 1 in digital circuits.

        Raises:
            HardwareError: a setting is out of range.
        """
        if type(device_levels) is not int or device_levels < 2:
            raise HardwareError(f"device_levels = {device_levels!r:.60} must be an integer of at least 2")
        if sub_position not in (0, 1):
            raise HardwareError(f"sub_position = {sub_position!r:.60} must be 0 (analog) or 1 (digital)")
        base = _preset("mnsim")
        high, low = base.device.resistances_ohm[0], base.device.resistances_ohm[-1]
        return base.with_values(
            {
                "crossbar.size": xbar,
                "crossbar.subarray_rows": xbar if subarray is None else subarray,
                "adc.choice": adc,
                "adc.per_subarray": adc_num,
                "dac.choice": dac,
                "dac.per_subarray": dac_num,
                "tile.pes": tuple(pe) if isinstance(pe, (tuple, list)) else pe,
                "pe.groups": group,
                "pe.polarity": polarity,
                "pe.subtraction": ("analog", "digital")[sub_position],
                "buffer.node_nm": buftech,
                "device.resistances_ohm": spaced_resistances(high, low, device_levels),
            },
            Provenance("MNSIM 2.0, commit ca39ccb: setting of a sweep", "high"),
        )

    def override(self, *texts: str) -> Hardware:
        """A copy with values changed by texts such as `"adc.resolution_bits=8"` or `"corrections=physical,-leakage"`.

        Raises:
            HardwareError: a text has another form, names no field, or its value is not allowed.
        """
        values, corrections = parse_overrides(texts)
        changed = self.with_values(values, Provenance("override", "user"))
        return changed if corrections is None else changed.with_corrections(corrections)

    def with_values(self, values: Mapping[str, Any], provenance: Provenance) -> Hardware:
        """A copy with values changed, given by `section.field`.

        A number of MNSIM's tables (`adc.choice`, `dac.choice`) brings the figures of its row; changing one of those
        figures sets the number to 0. `device.cell_bits` stands for `device.resistances_ohm`: 2^bits levels, evenly
        spaced in conductance between the present ends.

        Raises:
            HardwareError: a key names no field, or a value is not allowed.
        """
        sections: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            section, _, name = key.partition(".")
            if (section, name) == CELL_BITS:
                name, value = "resistances_ohm", self._levels_of(value)
            if section not in PARTS or name not in {item.name for item, _ in parameter_fields(PARTS[section])}:
                raise HardwareError(f"{key!r:.60} is no SECTION.FIELD of a description; 'nasrec pim hardware' has all")
            sections.setdefault(section, {})[name] = value
        for section, table in (("adc", ADC_CHOICES), ("dac", DAC_CHOICES)):
            changed = sections.get(section)
            if changed:
                sections[section] = with_choice(getattr(self, section), changed, table)
        sources = {f"{section}.{name}": provenance for section, changed in sections.items() for name in changed}
        parts = {section: replace(getattr(self, section), **changed) for section, changed in sections.items()}
        return replace(self, **parts, provenance={**self.provenance, **sources})

    def _levels_of(self, cell_bits: Any) -> tuple[float, ...]:
        if type(cell_bits) is not int or not 1 <= cell_bits <= MOST_CELL_BITS:
            raise HardwareError(f"device.cell_bits = {cell_bits!r:.60} must be an integer from 1 to {MOST_CELL_BITS}")
        ends = self.device.resistances_ohm
        return spaced_resistances(ends[0], ends[-1], 2**cell_bits)

    def to_toml(self) -> str:
        """Every value with source and confidence, in the form that `load` reads.

        Raises:
            HardwareError: parts are ideal, which a file cannot say.
        """
        if self.ideal:
            raise HardwareError(f"hardware {self.name}: ideal parts ({', '.join(self.ideal)}) cannot be written")
        return to_toml(self.name, self.corrections, self.parameters())

    def with_corrections(self, names: str | Iterable[str]) -> Hardware:
        """A copy with exactly these switches on: `"mnsim"`, `"physical"`, or names (see `resolve_corrections`)."""
        return replace(self, corrections=resolve_corrections(names))

    def idealized(self, *parts: str) -> Hardware:
        """A copy in which parts take neither time nor energy, for bounds on what a better one could give.

        Raises:
            HardwareError: a part is none of `IDEAL_PARTS`.
        """
        unknown = [part for part in parts if part not in IDEAL_PARTS]
        if unknown:
            raise HardwareError(f"{unknown[0]!r:.40} cannot be idealised; choose from {', '.join(IDEAL_PARTS)}")
        return replace(self, ideal=tuple(part for part in IDEAL_PARTS if part in {*self.ideal, *parts}))

    def parameters(self) -> tuple[Parameter, ...]:
        """Every value with unit, meaning, source and confidence, section by section."""
        unknown = Provenance("not stated", "user")
        return tuple(
            Parameter(section, name, value, spec.unit, spec.doc, origin.source, origin.confidence)
            for section in PARTS
            for name, value, spec in getattr(self, section).values()
            for origin in (self.provenance.get(f"{section}.{name}", unknown),)
        )

    @property
    def fidelity(self) -> str:
        """`"mnsim"` without corrections, `"physical"` with all, `"mixed"` otherwise."""
        return {(): "mnsim", PHYSICAL: "physical"}.get(self.corrections, "mixed")

    def corrects(self, name: str) -> bool:
        """Whether a correction is switched on."""
        return name in self.corrections

    # What the formulas read where a correction replaces a value rather than a formula.

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """Room for results that depend on this description alone; it lives and dies with the object."""
        return {}

    @cached_property
    def subarray_rows(self) -> int:
        """Rows of a subarray, U."""
        return min(self.crossbar.subarray_rows, self.crossbar.size)

    @cached_property
    def subarrays(self) -> int:
        """Subarrays per crossbar, S."""
        return self.crossbar.size // self.subarray_rows

    @cached_property
    def dacs_per_subarray(self) -> int:
        """DACs per subarray and group, d."""
        return self.dac.per_subarray or self.subarray_rows

    @cached_property
    def dac_power_W(self) -> float:
        """Power of one DAC."""
        if "DAC" in self.ideal:
            return 0.0
        corrected = CORRECTED_DAC_POWER_W if self.corrects("dac_power") else {}
        return corrected.get(self.dac.choice, self.dac.power_W)

    @cached_property
    def adc_power_W(self) -> float:
        """Power of one ADC."""
        return 0.0 if "ADC" in self.ideal else self.adc.power_W

    @cached_property
    def adc_area_um2(self) -> float:
        """Area of one ADC."""
        corrected = CORRECTED_ADC_AREA_UM2 if self.corrects("adc_table") else {}
        return corrected.get(self.adc.choice, self.adc.area_um2)

    @cached_property
    def dac_ns(self) -> float:
        """Time of one digital-to-analog conversion: (bits + 2) / rate in MNSIM, 1 / rate if corrected."""
        if "DAC" in self.ideal:
            return 0.0
        return (1 if self.corrects("converter_rate") else self.dac.resolution_bits + 2) / self.dac.rate_GSps

    @cached_property
    def adc_ns(self) -> float:
        """Time of one analog-to-digital conversion.

        MNSIM has (bits + 2) / rate; 1 / rate for one bit; 2^bits / rate for a ramp, whose rate is that of its steps.
        The data sheets' 1 / rate if corrected.
        """
        bits, rate = self.adc.resolution_bits, self.adc.rate_GSps
        if "ADC" in self.ideal:
            return 0.0
        if self.adc.kind == "ramp":
            return float(2**bits / rate)
        return (1 if bits == 1 or self.corrects("converter_rate") else bits + 2) / rate

    @cached_property
    def sram(self) -> Sram:
        """The buffers' SRAM: MNSIM's table, CACTI's, or a mixture while only one of its switches is on."""
        table = self._sram_table()
        if "buffer" not in self.ideal:
            return table
        free = table.read_nJ * 0
        # Powers are energies over cycles, so that a cycle must not vanish altogether.
        return replace(table, cycle_ns=free + 1e-12, read_nJ=free, write_nJ=free, leakage_W=free)

    def _sram_table(self) -> Sram:
        buffer = self.buffer
        shipped = mnsim_sram(buffer.node_nm, buffer.bus_bits, buffer.access_ns)
        if not (self.corrects("buffer_cycle") or self.corrects("buffer_table")):
            return shipped
        cacti = cacti_sram(buffer.cacti_node_nm, buffer.cacti_cell, buffer.bus_bits)
        if self.corrects("buffer_cycle") and self.corrects("buffer_table"):
            return cacti
        if self.corrects("buffer_table"):
            return replace(cacti, cycle_ns=cacti.cycle_ns * 0 + buffer.access_ns)
        return replace(shipped, cycle_ns=cacti.cycle_ns[cacti.size_class(shipped.sizes_bytes)])


@cache
def _preset(name: str) -> Hardware:
    return _built(read_preset(name))


def _built(description: Description) -> Hardware:
    parts: Mapping[str, Any] = description.parts
    return Hardware(description.name, **parts, corrections=description.corrections, provenance=description.provenance)
