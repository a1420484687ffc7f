"""The hardware side: what chips there are, and one clear error for what no chip can have."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nasrec.codesign import Chips, Gene, HardwareSpace, described
from nasrec_pim import Hardware, HardwareError


def test_the_default_space_holds_every_combination_and_says_why() -> None:
    space = HardwareSpace()
    assert space.cardinality() == 3 * 3 * 4 * 4 * 5 == len(set(space.members))
    assert all(gene.source != "user" for gene in space.genes)
    chip = space.hardware(space.members[0])
    assert chip.adc.resolution_bits == 4 and chip.adc.power_W == 0.7e-3  # a table's row, not bits alone
    assert described(chip) == "64 x 64, 1-bit cells, 4-bit ADC, 1-bit DAC, 1 copy"


def test_chips_are_the_base_with_the_choices(hardware: HardwareSpace) -> None:
    chips = Chips(hardware)
    for values in hardware.members:
        given, chip = dict(values), chips[values]
        assert chip is chips[values]
        assert (chip.crossbar.size, chip.subarrays) == (given["crossbar.size"], 1)  # subarrays follow the crossbar
        assert chip.device.cell_bits == given["device.cell_bits"] and chip.mapping.copies == given["mapping.copies"]
        assert chip.adc.choice == given["adc.choice"] and chip.memory == hardware.base.memory


def test_a_dac_for_every_row_stays_one_for_every_row() -> None:
    space = HardwareSpace(Hardware.preset("isaac-like"), (Gene("crossbar.size", (64, 256)),))
    assert [space.hardware(values).dac.per_subarray for values in space.members] == [64, 256]
    own = HardwareSpace(space.base, (*space.genes, Gene("dac.per_subarray", (32, 256))))
    assert [tuple(value for _, value in values) for values in own.members] == [(64, 32), (256, 32), (256, 256)]


def test_impossible_combinations_are_never_proposed() -> None:
    genes = (
        Gene("crossbar.size", (32, 64, 128)),
        Gene("adc.per_subarray", (1, 64, 128)),
        Gene("dac.per_subarray", (16,)),
    )
    space = HardwareSpace(Hardware.preset("default"), genes)
    sizes = [(size, adcs) for size, adcs in product((32, 64, 128), (1, 64, 128)) if adcs <= size]
    assert {(dict(v)["crossbar.size"], dict(v)["adc.per_subarray"]) for v in space.members} == set(sizes)
    rng = np.random.default_rng(0)
    one, other = space.sample(rng), space.sample(rng)
    for _ in range(300):
        one = space.mutate(one, rng)
        one, other = space.cross(one, other, rng)
        assert one in space and other in space
    wrong = (("adc.per_subarray", 64), ("crossbar.size", 32), ("dac.per_subarray", 16))
    assert wrong not in space and "64 is more than the 32 bit lines" in str(space.violation(wrong))
    with pytest.raises(HardwareError, match=r"cannot mutate: .*64 is more than the 32 bit lines"):
        space.mutate(wrong, rng)


def test_samples_are_uniform_and_neighbours_differ_in_one_gene(hardware: HardwareSpace) -> None:
    rng = np.random.default_rng(1)
    counts = Counter(hardware.sample(rng) for _ in range(16 * 200))
    assert set(counts) == set(hardware.members) and max(abs(n - 200) for n in counts.values()) < 60
    for values in hardware.members:
        changed = Counter(
            next(a[0] for a, b in zip(values, hardware.mutate(values, rng), strict=True) if a != b) for _ in range(200)
        )
        assert set(changed) == {gene.name for gene in hardware.genes} and min(changed.values()) > 20
        child = hardware.mutate(values, rng)
        assert sum(a != b for a, b in zip(values, child, strict=True)) == 1


def test_genes_that_can_only_change_together_change_together() -> None:
    genes = (Gene("crossbar.size", (64, 256)), Gene("adc.per_subarray", (8,)), Gene("dac.per_subarray", (0, 256)))
    space = HardwareSpace(Hardware.preset("default"), genes)
    only = HardwareSpace(space.base, (Gene("crossbar.size", (64,)),))
    rng = np.random.default_rng(0)
    assert only.mutate(only.members[0], rng) == only.members[0]
    assert {space.mutate(space.members[0], rng) for _ in range(50)} == {space.members[1]}


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        ((Gene("adc.colour", (1,)),), "'adc.colour' is no SECTION.FIELD"),
        ((Gene("crossbar.size", (0, 64)),), "crossbar.size = 0 fits no chip: .* must be at least 1"),
        ((Gene("adc.choice", (2, 77)),), "adc.choice = 77 fits no chip: .* is not in MNSIM's table"),
        ((Gene("device.cell_bits", (1, 12)),), "device.cell_bits = 12 fits no chip: .* from 1 to 8"),
        ((Gene("dac.per_subarray", (512,)),), "dac.per_subarray = 512 fits no chip: .* more than the 128 word lines"),
        ((Gene("mapping.copies", ()),), "mapping.copies needs one choice or more"),
        ((Gene("mapping.copies", (2, 2)),), "mapping.copies needs one choice or more, none of them twice"),
        ((Gene("mapping.copies", (2,)), Gene("mapping.copies", (4,))), "mapping.copies stands twice"),
        ((Gene("mapping.copies", tuple(range(1, 20_002))),), "20,001 combinations are more than 20,000"),
    ],
)
def test_impossible_spaces(genes: tuple[Gene, ...], words: str) -> None:
    with pytest.raises(HardwareError, match=words):
        HardwareSpace(Hardware.preset("default"), genes)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nbase = "isaac-like"\n[mapping]\npacking = true\n')
    path = tmp_path / "space.toml"
    path.write_text(
        'base = "mine.toml"\n[choices]\n"crossbar.size" = [128, 64]\nadc.choice = { values = [2, 4], source = "why" }\n'
        "tile.pes = [[2, 2], [4, 4]]\n"
    )
    space = HardwareSpace.load(path)
    assert space.base.mapping.packing and space.cardinality() == 8
    assert [(gene.name, gene.choices) for gene in space.genes] == [
        ("adc.choice", (2, 4)),
        ("crossbar.size", (128, 64)),
        ("tile.pes", ((2, 2), (4, 4))),
    ]
    assert space.genes[0].source == "why"
    path.write_text('base = "mnsim"\n')
    mnsim = HardwareSpace.load(path)  # which has 128 converters an array, more than small ones have bit lines
    assert {gene.name: gene.choices for gene in mnsim.genes}["crossbar.size"] == (128, 256)
    assert mnsim.base == Hardware.preset("mnsim") and mnsim.cardinality() == 2 * 3 * 4 * 4 * 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = 3", "base must be a preset or a TOML file, not 3"),
        ('base = "nosuch"', "'nosuch' is no preset"),
        ('base = "no.toml"', "no.toml: cannot be read"),
        ("colour = 1", "a hardware space has no 'colour'"),
        ("choices = 1", "choices must be a table of lists, not 1"),
        ("[choices]\nsize = [1]", "'size' is no SECTION.FIELD"),
        ("[choices]\ncrossbar.size = 64", "crossbar.size must be a list"),
        ("[choices]\ncrossbar.size = [{a = 1}]", "crossbar.size has the choice an object"),
        ("[choices", "cannot be read: "),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(HardwareError, match=f"space.toml: .*{words}"):
        HardwareSpace.load(path)
    with pytest.raises(HardwareError, match=r"none\.toml: cannot be read: No such file"):
        HardwareSpace.load(tmp_path / "none.toml")
