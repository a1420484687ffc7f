"""Designs: drawn, changed, crossed, counted and written down; and the search algorithms take them as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasrec import SearchSpace
from nasrec.codesign import DESIGN, CodesignSpace, Design, Gene, HardwareSpace
from nasrec.errors import DesignError, SearchError, SpaceError
from nasrec.search import (
    Goal,
    Journal,
    RandomSearch,
    RegularizedEvolution,
    parse_objective,
    read_journal,
    run_search,
    serial,
)
from nasrec.search.nsga2 import Nsga2
from nasrec_pim import HardwareError


def test_members_and_their_number(space: CodesignSpace) -> None:
    assert space.cardinality() == space.model.cardinality() * 16
    few = CodesignSpace(SearchSpace.codesign(1, dense_dims=(16,), sparse_dims=(16,)), space.hardware)
    every = {Design(genotype, chip) for genotype in few.model.enumerate() for chip in few.hardware.members}
    assert len(every) == few.cardinality() and all(design in few for design in every)
    rng = np.random.default_rng(0)
    assert {few.sample(rng) for _ in range(4000)} <= every


def test_what_is_no_member(space: CodesignSpace) -> None:
    design = space.sample(np.random.default_rng(0))
    assert space.violation(design) is None
    assert space.violation(design.genotype) == "it is a Genotype, not a Design"
    other = Design(design.genotype, (("adc.choice", 5), *design.hardware[1:]))
    assert space.violation(other) == "adc.choice = 5 is not one of 7, 2"
    bits = tuple(replace(block, operator_bits=(5, 5)) for block in design.genotype.blocks)
    assert "operator_bits = 5 is not one of 4, 8" in str(
        space.violation(Design(replace(design.genotype, blocks=bits), design.hardware))
    )
    with pytest.raises(HardwareError, match="cannot mutate"):
        replace(space, hardware_share=1.0).mutate(other, np.random.default_rng(0))
    with pytest.raises(SpaceError, match="hardware_share"):
        replace(space, hardware_share=1.5)


def test_mutations_change_one_side(space: CodesignSpace) -> None:
    rng = np.random.default_rng(2)
    design, hardware = space.sample(rng), 0
    for _ in range(400):
        child = space.mutate(design, rng)
        assert child in space and (child.genotype == design.genotype) != (child.hardware == design.hardware)
        hardware += child.hardware != design.hardware
        design = child
    assert 60 < hardware < 140  # a quarter
    one_chip = CodesignSpace(space.model, HardwareSpace(space.hardware.base, (Gene("mapping.copies", (4,)),)))
    design = one_chip.sample(rng)
    assert all(one_chip.mutate(design, rng).genotype != design.genotype for _ in range(20))


def test_children_have_what_their_parents_have(space: CodesignSpace) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        one, other = space.sample(rng), space.sample(rng)
        children = space.cross(one, other, rng)
        for a, b, x, y in zip(one.hardware, other.hardware, *(child.hardware for child in children), strict=True):
            assert {x, y} == {a, b}
        assert all(child in space for child in children)


def test_files(space: CodesignSpace, tmp_path: Path) -> None:
    design = space.sample(np.random.default_rng(0))
    pair = Design(design.genotype, tuple(sorted((*design.hardware, ("tile.pes", (2, 2))))))
    for saved in (design, pair):
        saved.save(tmp_path / "design.json")
        assert Design.load(tmp_path / "design.json") == saved
    good = design.to_dict()
    for wrong, words in (
        ({"format": "x"}, "format 'nasrec-design'"),
        ({"version": 2}, "version must be 1, not 2"),
        ({"more": 1}, "'more' is amiss"),
        ({"hardware": [1]}, "hardware must be an object"),
        ({"hardware": {"a.b": {}}}, "a.b must be a number"),
        ({"genotype": {}}, "genotype: format must be"),
    ):
        (tmp_path / "wrong.json").write_text(json.dumps(good | wrong))
        with pytest.raises(DesignError, match=f"wrong.json: .*{words}"):
            Design.load(tmp_path / "wrong.json")
    with pytest.raises(DesignError, match="order of the names"):
        Design(design.genotype, design.hardware[::-1])


def value(design: Design) -> Mapping[str, float]:
    """Wide models are good, and the more copies and bits the dearer."""
    chip = dict(design.hardware)
    width = sum(block.dense_width for block in design.genotype.blocks)
    cost = (
        width * chip["mapping.copies"]
        + chip["adc.choice"]
        + chip["crossbar.size"] / 1e3
        + chip["device.cell_bits"] / 1e4
    )
    return {"log_loss": 1 / width + 0.1 / chip["mapping.copies"], "cost": cost}


def test_algorithms_search_it_unchanged_and_go_on_after_breaks(space: CodesignSpace, tmp_path: Path) -> None:
    goal = Goal((parse_objective("log_loss"), parse_objective("cost")))
    for name, make in {
        "random": lambda: RandomSearch(space, 1, evaluations=20),
        "evolution": lambda: RegularizedEvolution(space, 1, population=8, sample=3, iterations=4, children=3),
        "nsga2": lambda: Nsga2(space, 1, 2, population=8, generations=3),
    }.items():
        with Journal(tmp_path / f"{name}.jsonl", {"a": name}, DESIGN) as journal:
            found = run_search(make(), serial(value), goal, journal)
        assert all(trial.candidate in space for trial in found.trials) and found.front
        whole = (tmp_path / f"{name}.jsonl").read_text().splitlines(keepends=True)
        assert '"design":{"format":"nasrec-design"' in whole[1]
        (tmp_path / "cut.jsonl").write_text("".join(whole[:8]) + whole[8][:30])
        with Journal(tmp_path / "cut.jsonl", {"a": name}, DESIGN) as journal:
            assert len(journal.trials) == 7
            again = run_search(make(), serial(value), goal, journal)
        assert [(t.candidate, t.values) for t in again.trials] == [(t.candidate, t.values) for t in found.trials]
        assert read_journal(tmp_path / "cut.jsonl", DESIGN)[1] == list(again.trials)
        with pytest.raises(SearchError, match="line 2: is no trial"):
            read_journal(tmp_path / "cut.jsonl")
