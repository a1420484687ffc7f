"""What is measured of a design: the same figures as elsewhere, each as often as what it depends on changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import nasrec
from nasrec import Genotype, Supernet
from nasrec.codesign import CodesignSpace, Design, DesignEvaluator, Gene, HardwareSpace
from nasrec.codesign.scoring import ChipScorer
from nasrec.errors import SearchError
from nasrec.metrics import Metrics, score
from nasrec.search import Goal, parse_limit, parse_objective
from nasrec.supernet import Scorer
from nasrec_pim import IDEAL, CrossbarModel, Hardware, estimate, map_graph


def goal(*names: str, limits: tuple[str, ...] = ()) -> Goal:
    return Goal(tuple(parse_objective(name) for name in names), tuple(parse_limit(text) for text in limits))


def test_in_memory_figures_are_those_of_the_designs_own_chip(space: CodesignSpace, net: Supernet) -> None:
    measure = DesignEvaluator(goal("pim.latency_ns", "pim.energy_nJ", "pim.area_mm2"), net.features, space.hardware)
    rng = np.random.default_rng(0)
    for _ in range(5):
        design = space.sample(rng)
        chip = space.hardware.hardware(design.hardware)
        report = estimate(map_graph(nasrec.graph_of(design.genotype, net.features), chip))
        values = measure(design)
        assert values["pim.latency_ns"] == pytest.approx(report.latency_ns, rel=1e-12)
        assert values["pim.energy_nJ"] == pytest.approx(report.energy_nJ, rel=1e-12)
        assert values["pim.area_mm2"] == pytest.approx(report.area_mm2, rel=1e-12)
        assert measure(design) == values


def test_a_model_is_scored_once_whatever_the_chip(space: CodesignSpace, net: Supernet) -> None:
    asked: list[Genotype] = []

    def scorer(genotype: Genotype) -> Metrics:
        asked.append(genotype)
        return Metrics(0.5, 0.7, 0.9, 1.0, 0.25, 1000)

    measure = DesignEvaluator(goal("log_loss", "pim.energy_nJ"), net.features, space.hardware, scorer=scorer)
    genotype = space.model.sample(np.random.default_rng(0))
    energies = {measure(Design(genotype, chip))["pim.energy_nJ"] for chip in space.hardware.members}
    assert asked == [genotype] and len(energies) > 4


def test_what_breaks_a_limit_is_not_scored(space: CodesignSpace, net: Supernet) -> None:
    measure = DesignEvaluator(
        goal("chip.log_loss", limits=("pim.area_mm2<=0.001",)),
        net.features,
        space.hardware,
        on_chip=lambda genotype, chip: pytest.fail("scored in vain"),
    )
    assert "chip.log_loss" not in measure(space.sample(np.random.default_rng(0)))


def test_a_chip_that_is_too_small_has_no_figures(space: CodesignSpace, net: Supernet) -> None:
    tiny = HardwareSpace(
        Hardware.preset("default").override("noc.grid=1x1", "tile.pes=1x1"), (Gene("mapping.copies", (1,)),)
    )
    wanted = goal("pim.energy_nJ")
    measure = DesignEvaluator(wanted, net.features, tiny)
    values = measure(Design(space.model.widest(), tiny.members[0]))
    assert np.isnan(values["pim.energy_nJ"]) and not wanted.score(values).allowed


def test_values_that_cannot_be_measured(space: CodesignSpace, net: Supernet) -> None:
    for name, words in (
        ("speed", "'speed' is no value"),
        ("log_loss", "need a trained supernet"),
        ("chip.auc", "need a"),
    ):
        with pytest.raises(SearchError, match=words):
            DesignEvaluator(goal(name), net.features, space.hardware)


def test_scores_on_a_chip(space: CodesignSpace, net: Supernet, splits: Any) -> None:
    """With converters that lose nothing the chip computes what the quantised model does; coarse ones cost accuracy."""
    train, valid, _ = splits
    scorer = Scorer(net, valid)
    on_chip = ChipScorer(net, scorer, train, valid, rows=100, calibration_rows=50)
    genotype = space.model.sample(np.random.default_rng(1))
    eight = replace(genotype, blocks=tuple(replace(b, operator_bits=(8, 8)) for b in genotype.blocks))
    fine = Hardware.preset("default").override("adc.choice=1")
    found = on_chip(eight, fine)
    graph = net.graph(eight)
    store = {name: value.detach().numpy() for name, value in net.named_parameters()}
    first = train.take(slice(50))
    model = CrossbarModel(graph, map_graph(graph, fine), store, [first.dense, first.sparse], nonideal=IDEAL)
    rows = valid.take(np.linspace(0, valid.num_rows - 1, 100).astype(np.int64))
    quantised = score(model.quantized([rows.dense, rows.sparse]), rows.label)
    plain, whole = Scorer(net, rows)(eight), scorer(eight)
    assert found["chip.log_loss"] == pytest.approx(whole.log_loss + quantised.log_loss - plain.log_loss, abs=1e-9)
    assert found == on_chip(eight, fine)
    errors = []
    for choice in (1, 4, 7):
        chip = Hardware.preset("default").override(f"adc.choice={choice}", "dac.choice=4", "device.cell_bits=4")
        errors.append(abs(on_chip(eight, chip)["chip.log_loss"] - whole.log_loss))
    assert errors[0] < errors[2]
    small = Hardware.preset("default").override("noc.grid=1x1", "tile.pes=1x1")
    assert np.isnan(on_chip(eight, small)["chip.log_loss"])
