"""`nasrec inspect`: text that parses back, drawings, cost."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import nasrec
import nasrec_ir
from nasrec import FeatureSpec, Genotype

FEATURES = FeatureSpec(3, [11] * 4)


def test_text_parses_back(cli: Any, own: Path, columns: Any) -> None:
    done = cli("inspect", own, *columns)
    assert (done.status, done.err) == (0, "")
    assert nasrec_ir.parse(done.out) == nasrec.graph_of(Genotype.load(own), FEATURES)


def test_lowered_stage_has_the_dead_block(cli: Any, own: Path, columns: Any) -> None:
    lowered = nasrec_ir.parse(cli("inspect", own, *columns, "--stage", "lowered").out)
    assert lowered == nasrec.lower(Genotype.load(own), FEATURES)
    assert {node.scope for node in lowered} >= {"b0", "b1", "b2"}
    cli("inspect", "dlrm", *columns, "--stage", "lowered").fails_with("dlrm", "--stage")


def test_drawings(cli: Any, own: Path, columns: Any) -> None:
    ids = [node.id for node in nasrec.graph_of(Genotype.load(own), FEATURES) if node.op == "linear"]
    assert ids
    assert cli("inspect", own, *columns, "--format", "dot").out.startswith("digraph")
    assert "flowchart" in cli("inspect", own, *columns, "--format", "mermaid").out
    picture = cli("inspect", own, *columns, "--format", "svg").out
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    for form in ("dot", "svg"):
        drawn = cli("inspect", own, *columns, "--format", form).out
        assert all(node_id in drawn for node_id in ids), form


def test_unknown_format(cli: Any, own: Path, columns: Any) -> None:
    cli("inspect", own, *columns, "--format", "png").fails_with("--format", "png", "svg")


def test_architecture(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    view = ("--view", "architecture")
    assert cli("inspect", own, *view).out == nasrec.draw_architecture(Genotype.load(own))  # no columns are needed
    assert cli("inspect", own, *view, "--format", "png", "-o", tmp_path / "x.png").status == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    cli("inspect", own, *view, "--format", "png").fails_with("give -o FILE")
    cli("inspect", own, *view, "--format", "dot").fails_with("--view architecture", "svg, png")
    cli("inspect", own, *view, "--cost").fails_with("--cost belongs to --view graph")
    cli("inspect", "dlrm", *view).fails_with("dlrm has no blocks")


def test_output_file(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    done = cli("inspect", own, *columns, "--format", "svg", "-o", tmp_path / "x.svg")
    assert (done.status, done.out) == (0, "")
    ElementTree.parse(tmp_path / "x.svg")
    cli("inspect", own, *columns, "-o", tmp_path / "none" / "x.svg").fails_with("x.svg: cannot be written")


def test_cost_table_sums_up(cli: Any, own: Path, columns: Any) -> None:
    cost = nasrec_ir.cost(nasrec.graph_of(Genotype.load(own), FEATURES))
    lines = cli("inspect", own, *columns, "--cost").out.splitlines()
    assert len(lines) == 2 + len(cost.nodes) + 1
    macs = [int(line.split()[-4].replace(",", "")) for line in lines[2:]]
    assert macs[-1] == cost.macs == sum(macs[:-1])
    assert lines[-1].split()[-3] == f"{cost.parameters:,}"


def test_json(cli: Any, own: Path, columns: Any) -> None:
    graph = nasrec.graph_of(Genotype.load(own), FEATURES)
    found = cli("inspect", own, *columns, "--json").json
    assert [node["id"] for node in found["nodes"]] == [node.id for node in graph]
    assert found["totals"]["macs"] == sum(node["cost"]["macs"] for node in found["nodes"] if node["cost"])
    linear = next(node for node in found["nodes"] if node["op"] == "linear")
    assert linear["parameters"]["weight"]["shape"] == list(graph[linear["id"]].param("weight").view_shape)
