"""The hardware description: presets, provenance, overrides, and one clear error for everything wrong."""

from __future__ import annotations

import itertools
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from nasrec_pim import Hardware, HardwareError, parameter_table, presets
from nasrec_pim.hardware import CONFIDENCES, PARTS, PHYSICAL, resolve_corrections
from nasrec_pim.hardware.parameter import Provenance


def test_presets() -> None:
    assert presets() == ("default", "isaac-like", "mnsim", "recnmp")
    fidelities = {name: Hardware.preset(name).fidelity for name in presets()}
    assert fidelities == {"default": "physical", "isaac-like": "physical", "mnsim": "mnsim", "recnmp": "physical"}


@pytest.mark.parametrize("name", presets())
def test_every_value_has_unit_meaning_source_and_confidence(name: str) -> None:
    rows = Hardware.preset(name).parameters()
    assert {row.section for row in rows} == set(PARTS)
    for row in rows:
        assert row.doc and row.source != "not stated" and row.confidence in CONFIDENCES[:3], row
        suffix = next(
            (u for u in ("_nm", "_um2", "_ns", "_W", "_GSps", "_MHz", "_pJ", "_KB") if row.name.endswith(u)), ""
        )
        assert not suffix or row.unit, row
    table = parameter_table(Hardware.preset(name)).splitlines()
    assert len(table) == len(rows) + 2 and all(line.count("|") == 7 for line in table)


def test_the_mnsim_call_is_the_preset_with_its_settings() -> None:
    assert Hardware.mnsim() == Hardware.preset("mnsim")
    chip = Hardware.mnsim(xbar=512, adc=3, dac=4, pe=[4, 2], subarray=256, device_levels=4, sub_position=1)
    assert (chip.crossbar.size, chip.subarrays, chip.adc.resolution_bits, chip.dac.resolution_bits) == (512, 2, 8, 4)
    assert (chip.tile.pe_count, chip.pe.subtraction, chip.device.cell_bits) == (8, "digital", 2)
    assert chip.device.resistances_ohm[0] == 1e6 and chip.device.resistances_ohm[-1] == 1e4
    steps = [1 / b - 1 / a for a, b in zip(chip.device.resistances_ohm, chip.device.resistances_ohm[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert hash(chip) == hash(Hardware.mnsim(512, 3, 4, pe=(4, 2), subarray=256, device_levels=4, sub_position=1))


def test_descriptions_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Hardware.mnsim().adc.area_um2 = 1.0  # type: ignore[misc]


def test_overrides() -> None:
    chip = Hardware.mnsim().override(
        "adc.resolution_bits=8", "tile.pes=4x4", "device.resistances_ohm=1e5,1e3", "mapping.packing=true"
    )
    assert chip.adc.resolution_bits == 8 and chip.adc.choice == 0
    assert chip.tile.pes == (4, 4) and chip.device.resistances_ohm == (1e5, 1e3) and chip.mapping.packing
    row = next(row for row in chip.parameters() if (row.section, row.name) == ("adc", "resolution_bits"))
    assert (row.value, row.source, row.confidence) == (8, "override", "user")


def test_a_numbered_converter_brings_its_figures() -> None:
    chip = Hardware.mnsim().override("adc.choice=2")
    assert chip == Hardware.mnsim(adc=2) and chip.adc.power_W == 2e-3
    assert Hardware.mnsim().override("adc.choice=2", "adc.area_um2=5").adc.choice == 0


def test_corrections_as_text() -> None:
    assert resolve_corrections("physical") == PHYSICAL and resolve_corrections("mnsim") == ()
    assert resolve_corrections("leakage, dac_power") == ("dac_power", "leakage")
    assert Hardware.mnsim().override("corrections=physical,-leakage").fidelity == "mixed"
    with pytest.raises(HardwareError, match="'leak' is none; there are mnsim, physical, place_single"):
        resolve_corrections("leak")


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("adc", "section.field=value"),
        ("ad.bits=3", "there is no section 'ad'"),
        ("adc.bits=3", "adc has no field 'bits'"),
        ("adc.resolution_bits=eight", "cannot be read as an integer"),
        ("adc.resolution_bits=0", "adc.resolution_bits = 0 bits must be at least 1"),
        ("adc.power_W=nan", "must be a finite number"),
        ("mapping.packing=perhaps", "cannot be read as true or false"),
        ("pe.polarity=3", "must be one of 1, 2"),
        ("tile.pes=3", "must have 2 entries"),
        ("tile.pes=0,2", "must be at least 1"),
        ("device.resistances_ohm=1e4,1e6", "from the highest resistance to the lowest"),
        ("crossbar.subarray_rows=100", "must divide crossbar.size"),
        ("adc.choice=12", "not in MNSIM's table"),
        ("buffer.bus_bits=100", "must be one of 64, 128, 256, 512"),
    ],
)
def test_bad_overrides(override: str, text: str) -> None:
    with pytest.raises(HardwareError) as error:
        Hardware.mnsim().override(override)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_converters_need_lines() -> None:
    chip = Hardware.preset("default")
    with pytest.raises(HardwareError, match=r"adc.per_subarray = 999 is more than the [0-9]+ bit lines of an array"):
        chip.override("adc.per_subarray=999")
    with pytest.raises(HardwareError, match=r"dac.per_subarray = 64 is more than the 32 word lines of a subarray"):
        chip.override("crossbar.size=32")
    assert chip.override("crossbar.size=32", "dac.per_subarray=0").dacs_per_subarray == 32
    assert "999 is more than" in (Hardware.mnsim().override("adc.per_subarray=999").converter_problem or "")


def test_a_buffer_without_a_table_is_an_error_at_once() -> None:
    with pytest.raises(HardwareError, match="no CACTI table for 90 nm itrs-lop"):
        Hardware.preset("default").override("buffer.cacti_node_nm=90")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("name = 3", "needs a name"),
        ('name = "x"', "device lacks node_nm"),
        ('name = "x"\nbase = "mnsi"', "'mnsi' is no preset; choose from default"),
        ('name = "x"\nbase = "mnsim"\n[addc]', "no section 'addc'"),
        ('name = "x"\nbase = "mnsim"\nadc = 3', "adc must be a table"),
        ('name = "x"\nbase = "mnsim"\n[adc]\nbits = 3', "adc has no field 'bits'"),
        ('name = "x"\nbase = "mnsim"\n[adc]\nresolution_bits = "3"', "must be an integer"),
        ('name = "x"\nbase = "mnsim"\n[adc]\nresolution_bits = {v = 3}', "a value or a table of value"),
        ('name = "x"\nbase = "mnsim"\n[adc]\nconfidence = "sure"\nresolution_bits = 3', "confidence one of high"),
        ('name = "x"\nbase = "mnsim"\ncorrections = 5', "corrections must be a text"),
        ('name = "x"\nbase = "mnsim"\ncorrections = "leek"', "corrections: 'leek' is none"),
        ('name = "x"\nbase = "mnsim"\n[crossbar]\nsize = 100', "does not fit into a crossbar of 100"),
        ("name = ", "Invalid value"),
    ],
)
def test_bad_files_name_themselves(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(HardwareError) as error:
        Hardware.load(path)
    assert "mine.toml: " in str(error.value) and text in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="cannot be read"):
        Hardware.load(tmp_path / "none.toml")


def test_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nbase = "default"\n[adc]\nsource = "lab"\nconfidence = "high"\nresolution_bits = 7\n'
    )
    chip = Hardware.load(path)
    assert chip == replace(
        Hardware.preset("default"), name="mine", adc=replace(Hardware.preset("default").adc, resolution_bits=7)
    )
    assert chip.provenance["adc.resolution_bits"].source == "lab"


def test_derived_figures() -> None:
    device = Hardware.mnsim().device
    assert device.mean_read_power_W == pytest.approx(7.57575e-8)
    assert device.mean_write_energy_nJ == pytest.approx(9 / math.sqrt(1e10) * 10)
    isaac = Hardware.preset("isaac-like")
    assert 128 * 128 * isaac.device.mean_read_power_W == pytest.approx(0.3e-3, rel=2e-3)


def test_bits_of_a_cell_stand_for_its_levels() -> None:
    chip = Hardware.preset("default").override("device.cell_bits=3")
    levels = chip.device.resistances_ohm
    assert chip.device.cell_bits == 3 and (levels[0], levels[-1]) == (1e6, 1e4)
    steps = [1 / b - 1 / a for a, b in itertools.pairwise(levels)]
    assert steps == pytest.approx([steps[0]] * 7)
    assert Hardware.mnsim().with_values({"device.cell_bits": 2}, Provenance("x", "user")) == Hardware.mnsim(
        device_levels=4
    )
    for value in (0, 9, "two"):
        with pytest.raises(HardwareError, match=r"device\.cell_bits"):
            chip.override(f"device.cell_bits={value}")
    with pytest.raises(HardwareError, match=r"'device\.colour' is no SECTION"):
        chip.with_values({"device.colour": 1}, Provenance("x", "user"))


@pytest.mark.parametrize("name", presets())
def test_a_description_written_as_toml_is_read_back_the_same(name: str, tmp_path: Path) -> None:
    chip = Hardware.preset(name).override("tile.pes=3x5", "corrections=physical,-leakage")
    chip = replace(chip, name='a "name" \\ \x7f with signs ä')
    path = tmp_path / "chip.toml"
    path.write_text(chip.to_toml(), encoding="utf-8")
    back = Hardware.load(path)
    assert back == chip and back.provenance == chip.provenance and back.name == chip.name
    with pytest.raises(HardwareError, match="ideal parts"):
        chip.idealized("ADC").to_toml()
