"""Estimates: totals are sums or the critical path, resources are never used twice at once, load makes samples wait."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nasrec
from nasrec import SearchSpace, baselines, presets
from nasrec_ir import Graph
from nasrec_ir.passes import Expand
from nasrec_pim import Hardware, MappingError, Report, estimate, estimate_many, linear_cost, map_graph, tail_latency
from nasrec_pim import presets as hardware_presets
from nasrec_pim.estimate import COMPONENTS
from nasrec_pim.mapping.work import Work, work_energy_nJ, work_ns

FEATURES = presets.PRESETS["criteo-full"].features()


def published(name: str) -> Graph:
    return Expand().apply(nasrec.graph_of(presets.load(name), presets.PRESETS[name].features()))


def sampled(count: int, seed: int = 0) -> list[Graph]:
    space, rng = SearchSpace.full(num_blocks=7), np.random.default_rng(seed)
    return [nasrec.graph_of(space.sample(rng), FEATURES) for _ in range(count)]


def check(report: Report) -> None:
    """What holds for every estimate."""
    nodes = report.nodes
    assert report.energy_nJ == pytest.approx(sum(n.energy_nJ for n in nodes), rel=1e-12)
    assert report.energy_nJ == pytest.approx(sum(report.energy_by_component.values()), rel=1e-12)
    assert report.area_mm2 == pytest.approx(sum(n.area_mm2 for n in nodes), rel=1e-12)
    assert report.latency_ns == max(n.end_ns for n in nodes) > 0
    for node in nodes:
        assert set(node.energies) <= set(COMPONENTS) and min(node.energies.values(), default=0) >= 0
        assert (node.home == "wire") == (node.latency_ns == 0)
        assert node.end_ns - node.start_ns >= node.latency_ns - 1e-12 * node.end_ns

    path = report.critical_path
    assert sum(step.end_ns - step.start_ns for step in path) == pytest.approx(report.latency_ns, rel=1e-12)
    assert path[0].start_ns == 0 and all(a.end_ns == b.start_ns for a, b in pairwise(path))

    times = report.times
    for index, task in enumerate(report.tasks):
        assert times.end_ns[index] == times.start_ns[index] + task.duration_ns
        assert all(times.end_ns[before] <= times.start_ns[index] for before in task.after)
    for resource in resources(report):
        assert all(a_end <= b_start for (_, a_end), (b_start, _) in pairwise(sorted(resource)))
    assert report.interval_ns == max(report.occupation.values())
    assert report.throughput_per_s * report.interval_ns == pytest.approx(1e9)
    assert 0 < max(report.utilization.values()) <= 1


def resources(report: Report) -> list[list[tuple[float, float]]]:
    """Times during which each unit, the memory and each shared array are taken."""
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for index, task in enumerate(report.tasks):
        spans = (report.times.start_ns[index], report.times.end_ns[index])
        names = [("array", a) for a in task.arrays]
        names += [("unit", report.times.units[index])] if task.stage == "digital" else []
        names += [("memory", 0)] if task.stage == "memory" else []
        for name in names:
            taken.setdefault(name, []).append(spans)
    return list(taken.values())


@pytest.mark.parametrize("chip", hardware_presets())
@pytest.mark.parametrize("name", presets.names())
def test_published_genotypes(name: str, chip: str) -> None:
    check(estimate(map_graph(published(name), Hardware.preset(chip))))


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_handcrafted_models(name: str) -> None:
    graph = baselines.build(name, FEATURES)
    for chip in hardware_presets():
        check(estimate(map_graph(graph, Hardware.preset(chip))))


def test_random_genotypes() -> None:
    for chip in ("mnsim", "default"):
        for graph in sampled(8):
            check(estimate(map_graph(graph, Hardware.preset(chip))))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_a_thousand_random_genotypes(part: int) -> None:
    """In two parts; each graph is drawn and lowered once for all chips."""
    chips = [Hardware.preset(chip) for chip in hardware_presets()]
    for seed in range(10 * part, 10 * part + 10):
        for graph in sampled(50, seed):
            for hardware in chips:
                check(estimate(map_graph(graph, hardware)))


@pytest.mark.parametrize("chip", hardware_presets())
def test_a_population_has_the_totals_of_its_graphs(chip: str) -> None:
    graphs = [*sampled(5), baselines.build("logistic_regression", FEATURES)]
    totals = estimate_many(graphs, replace(Hardware.preset(chip)))
    fresh = replace(Hardware.preset(chip))
    for i, graph in enumerate(graphs):
        report = estimate(map_graph(graph, fresh))
        for name in ("latency_ns", "energy_nJ", "area_mm2", "interval_ns"):
            assert getattr(totals, name)[i] == pytest.approx(getattr(report, name), rel=1e-12)
    assert len(estimate_many([], fresh)) == 0


def test_mnsim_charges_a_sliding_layer_for_every_vector() -> None:
    report = estimate(map_graph(published("criteo-full"), Hardware.mnsim()))
    cost = linear_cost(26, 64)
    efc = report["b1.efc"]
    for part, name in (("xbar", "xbar"), ("ADC", "ADC"), ("periphery", "digital"), ("buffer", "buffer")):
        assert efc.energies[part] == pytest.approx(16 * cost.energy_nJ[name])
    assert efc.area_mm2 >= cost.area_um2["total"] * 1e-6
    assert efc.area_mm2 == pytest.approx(cost.area_um2["total"] * 1e-6, rel=0.01)  # and its part of the digital unit


def test_overlapping_vectors_are_faster_and_cost_no_energy() -> None:
    graph, hardware = published("criteo-full"), Hardware.preset("default").override("mapping.packing=false")
    on, off = (estimate(map_graph(graph, hardware.override(f"mapping.overlap_vectors={f}"))) for f in ("true", "false"))
    assert on.latency_ns < off.latency_ns
    dynamic = [r.energy_nJ - r.static_W * r.latency_ns for r in (on, off)]
    assert dynamic[0] <= dynamic[1] * 1.05


def test_more_digital_units_never_take_longer_in_a_stream() -> None:
    graph, hardware = published("criteo-full"), Hardware.preset("mnsim")
    intervals = [
        estimate(map_graph(graph, hardware.override(f"digital.units={n}"))).occupation["digital"] for n in (1, 2, 4)
    ]
    assert intervals[0] == 2 * intervals[1] == 4 * intervals[2]


def test_digital_work_by_hand() -> None:
    hardware = Hardware.mnsim()
    work = Work(multiplies=130, adds=64, specials=9, passes=2, moved=100)
    # ceil(130 / 64) = 3 and ceil(9 / 8) = 2 clocks, twice a depth of 4, 2 ns each.
    assert work_ns(work, hardware) == (3 + 2 + 8) * 2
    energy = work_energy_nJ(work, hardware)
    assert energy["arithmetic"] == pytest.approx((130 * 1.1 + 64 * 0.4 + 9 * 4.0) * 1e-3)
    assert energy["registers"] == pytest.approx(100 * 1.25e-3)


def test_programming() -> None:
    hardware = Hardware.mnsim()
    report = estimate(map_graph(published("criteo-small"), hardware))
    stored = [n.stored for n in report.mapping.nodes if n.stored]
    cells = sum(s.key.inputs * s.key.outputs * 7 * 2 for s in stored)
    assert report.programming.cells == cells
    assert report.programming.energy_nJ == pytest.approx(cells * 9 / 1e5 * 10)
    # A full tile: four elements of two crossbars of 256 rows, one row after the other.
    assert report.programming.time_ns == 4 * 2 * 256 * 10
    assert report.programming.rewrites == 1e6


def test_waiting_grows_with_the_load() -> None:
    report = estimate(map_graph(published("criteo-small"), Hardware.preset("default")))
    tails = [tail_latency(report, load * report.throughput_per_s) for load in (0.01, 0.5, 0.9)]
    assert all(a.p99_ns < b.p99_ns and a.mean_ns < b.mean_ns for a, b in pairwise(tails))
    assert tails[0].p50_ns == pytest.approx(report.latency_ns, rel=0.02)
    assert all(t.p50_ns <= t.p99_ns for t in tails)
    assert tail_latency(report, 1e4, seed=3) == tail_latency(report, 1e4, seed=3)


def test_waiting_is_that_of_a_single_queue() -> None:
    """Constant service: the mean wait of M/D/1 is load / (2 (1 - load)) services (Pollaczek and Khinchine)."""
    report = estimate(map_graph(published("criteo-small"), Hardware.preset("isaac-like")))
    tail = tail_latency(report, 0.6 * report.throughput_per_s, samples=400_000)
    expected = report.latency_ns + 0.6 / (2 * 0.4) * report.interval_ns
    assert tail.mean_ns == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e12])
def test_impossible_arrival_rates(rate: float) -> None:
    report = estimate(map_graph(published("criteo-small"), Hardware.preset("default")))
    with pytest.raises(MappingError, match="arriv"):
        tail_latency(report, rate)
