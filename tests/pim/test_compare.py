"""Comparisons and bounds."""

from __future__ import annotations

import pytest

import nasrec
from nasrec import presets
from nasrec_ir import Graph
from nasrec_pim import Hardware, HardwareError, compare, estimate, headroom, map_graph
from nasrec_pim.hardware import IDEAL_PARTS


@pytest.fixture(scope="module")
def graph() -> Graph:
    return nasrec.graph_of(presets.load("criteo-small"), presets.PRESETS["criteo-small"].features())


def test_ratios_say_by_how_much_the_first_is_better(graph: Graph) -> None:
    a, b = (estimate(map_graph(graph, Hardware.preset(name))) for name in ("default", "isaac-like"))
    for row, back in zip(compare(a, b), compare(b, a), strict=True):
        assert (row.a, row.b) == (back.b, back.a) and row.ratio * back.ratio == pytest.approx(1)
    by_name = {row.assumption: row for row in compare(a, b)}
    assert by_name["latency of one sample"].ratio == pytest.approx(b.latency_ns / a.latency_ns)
    assert by_name["throughput of a stream"].ratio == pytest.approx(b.interval_ns / a.interval_ns)
    without = by_name["one sample alone, without standby"]
    assert without.a == pytest.approx((a.energy_nJ - a.energy_by_component["standby"]) / 1e3)


@pytest.mark.parametrize("chip", ["mnsim", "isaac-like", "default", "recnmp"])
def test_an_ideal_part_never_makes_it_worse(graph: Graph, chip: str) -> None:
    rows = headroom(graph, Hardware.preset(chip).override("mapping.copies=1"))
    assert [row.part for row in rows] == [*IDEAL_PARTS, "all"]
    for row in rows:
        assert row.energy_gain >= 1 - 1e-9 and row.throughput_gain >= 1 - 1e-9
        assert row.energy_gain <= rows[-1].energy_gain * (1 + 1e-9)
    assert rows[-1].speedup >= 1


def test_ideal_parts_take_nothing(graph: Graph) -> None:
    for part, components in (("ADC", ["ADC"]), ("DAC", ["DAC"]), ("buffer", ["buffer"]), ("network", ["network"])):
        report = estimate(map_graph(graph, Hardware.preset("default").idealized(part)))
        assert [report.energy_by_component[name] for name in components] == [0.0]
    report = estimate(map_graph(graph, Hardware.preset("default").idealized("digital", "memory")))
    found = report.energy_by_component
    assert (found["arithmetic"], found["registers"], found["memory"], found["standby"]) == (0, 0, 0, 0)
    with pytest.raises(HardwareError, match="'adc' cannot be idealised"):
        Hardware.mnsim().idealized("adc")
