"""`nasrec pim`: tables, pictures, JSON, and one line for everything wrong."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import nasrec
from nasrec import FeatureSpec, Genotype
from nasrec_pim import CORRECTIONS, Hardware, estimate, linear_cost, map_graph

FEATURES = FeatureSpec(3, [11] * 4)


def report_of(own: Path, hardware: Hardware) -> Any:
    return estimate(map_graph(nasrec.graph_of(Genotype.load(own), FEATURES), hardware))


def test_map_prints_every_node_and_the_totals(cli: Any, own: Path, columns: Any) -> None:
    done = cli("pim", "map", own, *columns, "--hardware", "mnsim")
    assert (done.status, done.err) == (0, "")
    report = report_of(own, Hardware.preset("mnsim"))
    lines = done.out.splitlines()
    table = lines[lines.index("") + 3 :]
    assert [line.split()[0] for line in table] == [*(node.id for node in report.nodes), "total"]
    assert f"{report.energy_nJ:,.2f}" in table[-1] and f"{report.latency_ns:,.1f}" in table[-1]
    assert {line.split()[0] for line in table if " * " in line} == {step.id for step in report.critical_path}


def test_map_as_json(cli: Any, own: Path, columns: Any) -> None:
    found = cli("pim", "map", own, *columns, "--json", "--headroom", "--arrivals", 1000).json
    report = report_of(own, Hardware.preset("default"))
    assert found["latency_ns"] == report.latency_ns and found["energy_nJ"] == report.energy_nJ
    assert sum(node["energy_nJ"] for node in found["nodes"]) == pytest.approx(found["energy_nJ"])
    assert found["tail"]["p99_ns"] >= found["tail"]["p50_ns"] > 0
    assert {row["part"] for row in found["headroom"]} == {"ADC", "DAC", "buffer", "network", "digital", "memory", "all"}


def test_map_draws(cli: Any, own: Path, columns: Any, tmp_path: Path) -> None:
    floor, chart = tmp_path / "floor.svg", tmp_path / "gantt.svg"
    assert cli("pim", "map", own, *columns, "--floorplan", floor, "--gantt", chart).status == 0
    report = report_of(own, Hardware.preset("default"))
    stored = [node.id for node in report.nodes if node.tiles]
    text = "".join(ElementTree.parse(floor).getroot().itertext())
    assert stored and all(node_id in text for node_id in stored)
    text = "".join(ElementTree.parse(chart).getroot().itertext())
    assert all(node.id in text for node in report.nodes if node.latency_ns > 0)
    cli("pim", "map", own, *columns, "--gantt", tmp_path / "none" / "g.svg").fails_with("g.svg: cannot be written")


def test_values_can_be_changed(cli: Any, own: Path, columns: Any) -> None:
    plain, changed = (
        cli("pim", "map", own, *columns, "--json", *options).json["area_mm2"]
        for options in ((), ("--set", "adc.resolution_bits=10", "--set", "adc.area_um2=5000"))
    )
    assert changed > plain


def test_own_hardware_file(cli: Any, own: Path, columns: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nbase = "mnsim"\n')
    assert cli("pim", "map", own, *columns, "--hardware", path, "--json").json["hardware"] == "mine"


def test_compare(cli: Any, own: Path, columns: Any) -> None:
    same = cli("pim", "compare", own, *columns, "--against", "default", "--json").json
    assert {row["ratio"] for row in same["ratios"]} == {1.0}
    other = cli("pim", "compare", own, *columns, "--against", "recnmp", "--model-against", "dlrm").out
    assert other.startswith("A: little on default\nB: dlrm on recnmp\n")
    rows = cli("pim", "compare", own, *columns, "--json").json["ratios"]
    latency = next(row for row in rows if row["assumption"] == "latency of one sample")
    assert latency["ratio"] == pytest.approx(latency["b"] / latency["a"])


def test_hardware(cli: Any) -> None:
    listing = cli("pim", "hardware").out
    assert all(word in listing for word in ("mnsim", "isaac-like", "recnmp", "default", "buffer_cycle"))
    assert len(cli("pim", "hardware", "--json").json["quirks"]) == 23
    values = cli("pim", "hardware", "mnsim", "--set", "adc.area_um2=7", "--json").json["figures"]
    area = next(row for row in values if (row["section"], row["name"]) == ("adc", "area_um2"))
    assert (area["value"], area["unit"], area["confidence"]) == (7.0, "um^2", "user")
    assert "| `adc.resolution_bits` | 6 | bits |" in cli("pim", "hardware", "mnsim", "--markdown").out


def test_corrections(cli: Any, own: Path, columns: Any) -> None:
    layer = cli("pim", "corrections", "--layer", "512x1024", "--json").json
    cost = linear_cost(512, 1024)
    assert layer["mnsim"]["latency_ns"] == cost.latency_ns["total"]
    assert [row["name"] for row in layer["corrections"]] == list(CORRECTIONS)
    table = cli("pim", "corrections", own, *columns).out.splitlines()
    assert len(table) == 3 + len(CORRECTIONS) and table[2].startswith("MNSIM 2.0")
    cli("pim", "corrections").fails_with("GENOTYPE", "--layer")
    cli("pim", "corrections", "--layer", "512").fails_with("--layer", "512x1024")


def test_former_names_work_and_are_not_listed(cli: Any) -> None:
    layer = ("--layer", "64x64", "--json")
    assert cli("pim", "mends", *layer).json == cli("pim", "corrections", *layer).json
    listed = cli("pim", "--help").out
    assert "corrections" in listed and "mends" not in listed


def test_errors_are_one_line(cli: Any, own: Path, columns: Any, tmp_path: Path) -> None:
    cli("pim").fails_with("ACTION")
    cli("pim", "map", own, *columns, "--hardware", "mnsimm").fails_with("mnsimm", "isaac-like")
    cli("pim", "map", own, *columns, "--hardware", tmp_path / "no.toml").fails_with("no.toml")
    cli("pim", "map", own, *columns, "--set", "adc.bits=3").fails_with("adc", "bits")
    cli("pim", "map", own, *columns, "--set", "noc.grid=1x1", "--hardware", "mnsim").fails_with("tiles are needed")
    cli("pim", "map", own, *columns, "--arrivals", 1e15).fails_with("arrivals")
    cli("pim", "map", own).fails_with("--dense")


TWIN = ("--data", "synth:criteo", "--rows", 3000, "--limit", 60)


def test_simulate_scores_a_model_on_crossbars(cli: Any) -> None:
    ideal = ("--ideal-cells", "--no-noise", "--set", "adc.resolution_bits=14")
    scores = cli("pim", "simulate", "dlrm", *TWIN, *ideal, "--adc-range", "clip", "--json").json["scores"]
    assert scores["chip 1"] == scores["quantised"] != scores["full precision"]
    assert scores["quantised"]["log_loss"] == pytest.approx(scores["full precision"]["log_loss"], rel=0.1)
    noisy = cli("pim", "simulate", "dlrm", *TWIN, "--chips", 2, "--set", "device.variation_percent=20")
    assert noisy.status == 0 and [line for line in noisy.out.splitlines() if line.startswith(("chip 1", "chip 2"))]
    assert "uJ" in noisy.out and "initial ones" in noisy.out


def test_simulate_takes_trained_weights(cli: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli("train", "dlrm", "--data", "synth:criteo", "--rows", 3000, "-o", run).status == 0
    plain = cli("pim", "simulate", "dlrm", *TWIN, "--json").json["scores"]["full precision"]["log_loss"]
    found = cli("pim", "simulate", "dlrm", *TWIN, "--weights", run / "weights.pt", "--json").json["scores"]
    assert found["full precision"]["log_loss"] < plain
    assert found["quantised"]["log_loss"] == pytest.approx(found["full precision"]["log_loss"], rel=0.1)


def test_simulate_errors_are_one_line(cli: Any) -> None:
    cli("pim", "simulate", "dlrm").fails_with("--data")
    cli("pim", "simulate", "dlrm", "--data", "synth:none").fails_with("none")
    cli("pim", "simulate", "dlrm", *TWIN, "--drift", -1).fails_with("drift_s")
