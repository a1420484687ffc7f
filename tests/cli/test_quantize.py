"""`nasrec quantize`: from weights or from scratch, found finished, gone on with, taken by other commands, told off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nasrec_ir
from nasrec import Genotype, presets

SMALL = ("--bottom", 8, "--hidden", 8, "--data", "synth:criteo", "--rows", 1500, "--embedding-dim", 8)
NO_PICTURES = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def weights(cli: Any, tmp_path: Path) -> Path:
    """The folder of a trained model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasrec.reports.write", lambda *args: None)
        assert cli("train", "dlrm", *SMALL, "-o", tmp_path / "float").status == 0
    return tmp_path / "float"


def test_calibrated_weights_of_a_run(cli: Any, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "q"
    words = ("quantize", "dlrm", *SMALL, "--weights", weights, "--weight-bits", 4, "--bits", "top=6/5", "-o", target)
    done = cli(*words)
    assert done.status == 0, done
    assert "calibrated" in done.out and "KiB quantised" in done.out
    found = json.loads((target / "report.json").read_text())
    made = found["quantisation"]
    assert set(made["scores"]) == {"float", "calibrated"}
    assert abs(made["scores"]["calibrated"]["test"]["log_loss"] - made["scores"]["float"]["test"]["log_loss"]) < 0.02
    assert made["bytes"]["quantised"] < made["bytes"]["float"] / 3
    bits = {each["node"]: (each["weight_bits"], each["act_bits"]) for each in made["products"]}
    assert {(node.split(".")[0], pair) for node, pair in bits.items()} == {("bottom", (4, 8)), ("top", (6, 5))}
    page = (target / "report.html").read_text()
    assert "in W4 A8 (some otherwise)" in page and "against floats" in page
    graph = nasrec_ir.parse((target / "graph.ir").read_text())
    assert {dict(node.attrs).get("weight_bits") for node in graph if node.op == "linear"} == {4, 6}

    again = cli(*words, "--json")
    assert again.status == 0 and again.json == found, "a finished run is shown, not made anew"
    cli(*words, "--weight-bits", 5, "--json").fails_with("the folder holds a run with scheme", "another folder")
    assert cli(*words, "--weight-bits", 5, "--fresh").status == 0

    # Other commands take the graph with its weights.
    shown = cli("inspect", target / "graph.ir", "--cost", "--json")
    assert shown.status == 0, shown
    assert "W6 A5" in cli("inspect", target / "graph.ir", "--cost").out
    graph_file, file = target / "graph.ir", target / "weights.pt"
    sim = cli("pim", "simulate", graph_file, "--weights", file, *SMALL[4:], "--limit", 64, "--ideal-cells", "--json")
    assert sim.status == 0 and set(sim.json["scores"]) == {"full precision", "quantised", "chip 1"}
    cli("pim", "simulate", graph_file, *SMALL[4:-1], 4).fails_with("is for embedding_dim 8, not 4")


@NO_PICTURES
def test_training_goes_on_in_few_bits(cli: Any, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "q"
    words = ("quantize", "dlrm", *SMALL, "--weights", weights / "weights.pt", "--weight-bits", 3, "--max-steps", 2)
    done = cli(*words, "-o", target, "--json")
    assert done.status == 0, done
    found = done.json
    assert set(found["quantisation"]["scores"]) == {"float", "calibrated", "trained"}
    assert found["steps"] == 2 and found["config"]["lr"] == pytest.approx(0.01)
    assert found["scores"]["test"] == found["quantisation"]["scores"]["trained"]["test"]
    assert set(found["quantisation"]["scales"]) == {each["node"] for each in found["quantisation"]["products"]}
    assert (target / "metrics.csv").exists() and (target / "checkpoints").is_dir()
    assert cli(*words, "-o", target, "--json").json == found


def test_a_genotype_from_scratch_in_its_own_bits(cli: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    genotype = presets.load("criteo-small")
    blocks = tuple(replace(b, dense_width=16, sparse_width=16) for b in genotype.blocks[:2])
    blocks = (replace(blocks[0], operator_bits=(5,) * len(blocks[0].operators)), blocks[1])
    Genotype(blocks, name="tiny").save(tmp_path / "g.json")
    words = ("quantize", tmp_path / "g.json", *SMALL[4:], "--epochs", 1, "--batch-size", 300, "-o", tmp_path / "q")
    done = cli(*words)
    assert done.status == 0, done
    assert "trained in these bits" in done.out and "float  " not in done.out
    held = Genotype.load(tmp_path / "q" / "genotype.json")
    assert held.blocks[0].operator_bits == (5,) * len(blocks[0].operators) and not held.blocks[0].activation_bits
    assert set(held.blocks[1].operator_bits) == set(held.blocks[1].activation_bits) == {8}
    assert "W8 A8" in (tmp_path / "q" / "report.html").read_text()


@NO_PICTURES
def test_bad_input_is_one_line(cli: Any, weights: Path, tmp_path: Path) -> None:
    words = ("quantize", "dlrm", *SMALL)
    cli(*words).fails_with("there are no weights", "--weights FILE", "--epochs N")
    cli(*words, "--weights", tmp_path / "none.pt").fails_with("none.pt", "no such file")
    cli(*words, "--weights", weights, "--bits", "efc=4").fails_with("no stored product is of kind 'efc'", "bottom, top")
    cli(*words, "--weight-bits", 17).fails_with("--weight-bits: '17'", "from 2 to 16 nor the word float")
    cli(*words, "--bits", "top=4,top=5").fails_with("--bits", "each kind once")
    cli(*words, "--weights", weights, "--percentile", 0).fails_with("percentile must be above 0")
    cli(*words, "--weights", weights, "--seeds", 2).fails_with("--seeds")
    cli("quantize", "dlrm").fails_with("--data PATH is missing", "nasrec quantize --help")
    cli("quantize", tmp_path / "mistyped").fails_with("mistyped: cannot be read: no such file or directory")
    (tmp_path / "g.ir").write_text("graph nothing")
    cli("inspect", tmp_path / "g.ir").fails_with("g.ir")


@NO_PICTURES
def test_a_folder_stands_for_a_run_and_its_settings_give_it_again(cli: Any, weights: Path, tmp_path: Path) -> None:
    bits = ("--weight-bits", 4, "--bits", "top=6/float", "--per-tensor", "--calibrate", "max", "--calibration-rows", 99)
    first = cli("quantize", weights, *bits, "--max-steps", 2, "-o", tmp_path / "a", "--json")
    assert first.status == 0 and first.json["steps"] == 2, first
    again = cli("quantize", "--config", tmp_path / "a" / "config.toml", "-o", tmp_path / "b", "--json")
    assert again.status == 0, again
    for key in ("scores", "identity", "config", "quantisation"):
        assert again.json[key] == first.json[key], key
    assert (tmp_path / "a" / "weights.pt").read_bytes() == (tmp_path / "b" / "weights.pt").read_bytes()
    cli("train", "--config", tmp_path / "a" / "config.toml").fails_with("config.toml: holds settings of", "quantize")

    unscaled = ("train", tmp_path / "a/graph.ir", *SMALL[4:], "-o", tmp_path / "t", "--json")
    cli(*unscaled).fails_with("calibrated scales, which are kept with weights", "--weights")
    cli("export", tmp_path / "a/graph.ir", "--format", "pt2", "-o", tmp_path / "m.pt2").fails_with("calibrated scales")
    cli("pim", "simulate", tmp_path / "a/graph.ir", *SMALL[4:]).fails_with("calibrated scales")

    # Calibrated alone; options go before the file.
    quiet = cli("quantize", weights, "--weight-bits", "float", "-o", tmp_path / "c", "--json").json
    assert quiet["quantisation"]["scheme"]["weight_bits"] is None and "config" not in quiet
    words = ("quantize", "--config", tmp_path / "c" / "config.toml", "--json")
    assert cli(*words, "-o", tmp_path / "d").json["scores"] == quiet["scores"]
    assert cli(*words, "--act-bits", 5, "-o", tmp_path / "e").json["quantisation"]["scheme"]["act_bits"] == 5
    (tmp_path / "odd.toml").write_text('command = "quantize"\nweight_bits = 17\n')
    cli("quantize", "--config", tmp_path / "odd.toml").fails_with("odd.toml: weight_bits", "17", "from 2 to 16")
    for text, words in (
        ("bits = 4", ("odd.toml: bits: 4 is no text",)),
        ("bits = 'top=1'", ("odd.toml: bits: 'top=1'", "from 2 to 16")),
        ("calibrate = 'median'", ("odd.toml: calibrate must be one of max, percentile, mse", "median")),
        ("percentile = 'all'", ("odd.toml: percentile must be above 0",)),
        ("calibration_rows = 0", ("odd.toml: calibration_rows must be a whole number",)),
        ("per_tensor = 'yes'", ("odd.toml: per_tensor must be true or false",)),
    ):
        (tmp_path / "odd.toml").write_text(text)
        cli("quantize", "--config", tmp_path / "odd.toml").fails_with(*words)
    (tmp_path / "odd.toml").write_text("act = 4\n")
    cli("quantize", "--config", tmp_path / "odd.toml").fails_with("no setting 'act'", "act_bits")
    cli("quantize", tmp_path, "-o", tmp_path / "x").fails_with("is the folder of no run that made a model")

    words = ("quantize", tmp_path / "a", "-o", tmp_path / "x", "--json")
    cli(*words, "--act-bits", 4).fails_with("--act-bits would change nothing", "name kinds in --bits")
    cli("prune", weights, "--rounds", 1, "-o", tmp_path / "c").fails_with("what 'nasrec quantize' found")

    # A quantised run is pruned, and quantised anew, as what it is.
    small = cli("prune", tmp_path / "a", "--rounds", 1, "--method", "magnitude", "-o", tmp_path / "p", "--json")
    assert small.status == 0, small
    graph = nasrec_ir.parse((tmp_path / "p/seed-0/round-1/graph.ir").read_text())
    assert {dict(node.attrs).get("weight_bits") for node in graph if node.op == "linear"} == {4, 6}
    other = cli("quantize", tmp_path / "p/seed-0/round-1", "--bits", "top=3", "-o", tmp_path / "f", "--json")
    assert other.status == 0, other
    assert {each["weight_bits"] for each in other.json["quantisation"]["products"]} == {4, 3}
    last = cli("quantize", tmp_path / "p", "--bits", "top=3", "-o", tmp_path / "l", "--json")  # its last round
    assert last.status == 0 and last.json["quantisation"]["scores"] == other.json["quantisation"]["scores"], last
    again = cli("prune", "--config", tmp_path / "p/config.toml", "-o", tmp_path / "q", "--json")
    assert again.status == 0, again
    assert [one["scores"] for one in again.json["rounds"]] == [one["scores"] for one in small.json["rounds"]]
