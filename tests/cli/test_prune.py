"""`nasrec prune`: rounds in a folder, going on, and the use of pruned graphs in other commands."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec_ir
from nasrec.cli.options.prune import add_options
from nasrec.compiler import compile_graph
from nasrec.lowering.graphs import read_graph
from nasrec.prune import PruneSettings

MODEL = ("dlrm", "--bottom", "8", "--hidden", "24,16", "--embedding-dim", 8)
ROWS = ("--data", "synth:criteo", "--rows", 800, "--batch-size", 128, "--optimizer", "adam", "--lr", 0.01)
SHORT = (*MODEL, *ROWS, "--max-steps", 4, "--share", 0.3, "--min-units", 3, "--features")


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nasrec.cli import main

    folder = tmp_path_factory.mktemp("pruned")
    assert main(["prune", *map(str, SHORT), "--rounds", "2", "--seeds", "2", "-o", str(folder), "--json"]) == 0
    return folder


def test_each_round_leaves_a_smaller_model_that_is_its_graph(pruned: Path) -> None:
    report = json.loads((pruned / "report.json").read_text())
    assert [(one["seed"], one["round"]) for one in report["rounds"]] == [(s, r) for s in (0, 1) for r in (0, 1, 2)]
    for one in report["rounds"]:
        folder = pruned / one["folder"]
        graph = read_graph(folder / "graph.ir")
        assert nasrec_ir.cost(graph).macs == one["macs"]
        assert 0.6 * 0.7 ** one["round"] < one["macs_share"] <= 0.7 ** one["round"]
        model = compile_graph(graph, seed=0)
        model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        assert (folder / "model.py").read_text() == model.source
        assert min(rows for rows, _ in (shape for node, shape in one["matrices"].items() if node != "top.out")) >= 3
    means = report["over_seeds"]
    assert [line["seeds"] for line in means] == [2, 2, 2]
    both = [one["scores"]["test"]["log_loss"] for one in report["rounds"] if one["round"] == 2]
    assert means[2]["test_log_loss"]["mean"] == pytest.approx(sum(both) / 2)
    page = (pruned / "report.html").read_text()
    assert page.count("<svg") == 2 and "data:image/png" in page and "MACs left" in page


def test_features_that_left_are_named_and_not_read(pruned: Path) -> None:
    report = json.loads((pruned / "report.json").read_text())
    last = report["rounds"][-1]
    graph = read_graph(pruned / last["folder"] / "graph.ir")
    tables = sum(len(node.params) for node in graph if node.op == "embedding")
    dense = sum(node.type.shape[0] for node in graph if node.op == "take" and node.inputs == ("dense",)) or 13
    assert last["left_out"] and len(last["left_out"]) == 26 + 13 - tables - dense


def test_the_same_command_trains_nothing_again_and_goes_on(cli: Any, pruned: Path, tmp_path: Path) -> None:
    pruned = shutil.copytree(pruned, tmp_path / "own")  # other tests read it as it was
    again = cli("prune", *SHORT, "--rounds", 2, "--seeds", 2, "-o", pruned, "--json")
    assert again.status == 0 and again.err.count("finished before") == 2 * (3 + 2)
    more = cli("prune", *SHORT, "--rounds", 3, "-o", pruned)
    assert more.status == 0 and "\n3      " in more.out
    cli("prune", *SHORT, "--rounds", 3, "--share", 0.2, "-o", pruned).fails_with(
        "share", "0.3", "0.2", "another folder"
    )
    cli("train", *MODEL, *ROWS, "-o", pruned).fails_with("holds rounds of pruning")
    fresh = cli("prune", *SHORT, "--rounds", 1, "--fresh", "--method", "magnitude", "-o", pruned, "--json")
    assert fresh.status == 0 and not (pruned / "seed-1").exists() and not (pruned / "seed-0/round-2").exists()
    assert not (pruned / "seed-0/round-1/masks").exists()


def test_an_interrupted_pruning_ends_as_if_it_had_not_been(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the masks of round 1 are learned, then while the second model is trained."""
    from nasrec.prune import MaskLearner
    from nasrec.train.learner import ModelLearner

    command = ("prune", *SHORT, "--rounds", 1, "--checkpoint-every", 1)
    whole = cli(*command, "-o", tmp_path / "whole", "--json")
    assert whole.status == 0
    learners = {"masks": (MaskLearner, 2), "round 1": (ModelLearner, 7)}
    for kind, (learner, at) in learners.items():
        steps = 0
        real = learner.step

        def step(self: Any, *given: Any, real: Any = real, kind: str = kind, at: int = at) -> Any:
            nonlocal steps
            if kind == "masks" and not isinstance(self, MaskLearner):
                return real(self, *given)
            steps += 1
            if steps == at:
                raise KeyboardInterrupt
            return real(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(learner, "step", step)
            stopped = cli(*command, "-o", tmp_path / "broken")
        assert stopped.status == 130 and "interrupted; what is done is kept" in stopped.out, stopped.err
    resumed = cli(*command, "-o", tmp_path / "broken", "--json")
    assert resumed.status == 0
    for one in whole.json["rounds"]:
        assert (tmp_path / "broken" / one["folder"] / "graph.ir").read_text() == (
            tmp_path / "whole" / one["folder"] / "graph.ir"
        ).read_text()
        weights = [torch.load(tmp_path / name / one["folder"] / "weights.pt") for name in ("whole", "broken")]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [one["scores"] for one in resumed.json["rounds"]] == [one["scores"] for one in whole.json["rounds"]]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned graph of 3 of 4 dense and 2 of 3 categorical columns, and weights for it."""
    from nasrec import FeatureSpec, baselines
    from nasrec_ir.pruning import Cut, remove

    folder = tmp_path_factory.mktemp("graph")
    whole = baselines.build("dlrm", FeatureSpec(4, [5, 6, 7], 8), bottom=(8,), hidden=(16,))
    small = remove(whole, {"dense": Cut(frozenset({1})), "fields": Cut(frozenset({0}))}).graph
    (folder / "small.ir").write_text(nasrec_ir.dump(small))
    torch.save(compile_graph(small, seed=0).state_dict(), folder / "weights.pt")
    return folder / "small.ir"


@pytest.mark.parametrize(
    "command",
    [
        ("compile", "--json"),
        pytest.param(("profile", "--batch", 8, "--rounds", 1, "--rivals", "none", "--json"), marks=pytest.mark.slow),
        ("pim map", "--json"),
        ("inspect", "--json"),
    ],
    ids=["compile", "profile", "pim", "inspect"],
)
def test_commands_take_a_graph_for_a_genotype(cli: Any, graph: Path, command: tuple[Any, ...]) -> None:
    found = cli(*command[0].split(), graph, *command[1:])
    assert found.status == 0 and found.json, found.err


def test_a_graph_is_exported_with_its_weights(cli: Any, graph: Path, tmp_path: Path) -> None:
    found = cli(
        "export", graph, "--weights", graph.with_name("weights.pt"), "--format", "pt2", "-o", tmp_path / "m.pt2"
    )
    assert found.status == 0, found.err


def test_a_pruned_graph_is_trained_further(cli: Any, pruned: Path, tmp_path: Path) -> None:
    folder = pruned / "seed-0/round-1"
    command = ("train", folder / "graph.ir", "--weights", folder / "weights.pt", *ROWS, "--max-steps", 2)
    found = cli(*command, "-o", tmp_path, "--json")  # channels are those of the graph
    assert found.status == 0 and found.json["model"]["macs"] == nasrec_ir.cost(read_graph(folder / "graph.ir")).macs
    cli(*command, "--embedding-dim", 16, "-o", tmp_path / "b").fails_with("is for embedding_dim 8, not 16")


def test_the_settings_of_a_round_give_its_training_again(cli: Any, pruned: Path, tmp_path: Path) -> None:
    folder = pruned / "seed-0/round-1"
    found = cli("train", "--config", folder / "config.toml", "-o", tmp_path, "--json")
    assert found.status == 0, found.err
    assert (tmp_path / "model.py").read_text() == (folder / "model.py").read_text()
    weights = [torch.load(place / "weights.pt", weights_only=True) for place in (tmp_path, folder)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_graphs_that_do_not_fit_are_named(cli: Any, graph: Path, tmp_path: Path) -> None:
    cli("compile", graph, "--dense", 5, "--sparse", 3).fails_with("graph dlrm knows its columns; leave out --dense")
    spec = {"num_dense": 4, "cardinalities": [9, 6, 8], "embedding_dim": 8}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    cli("compile", graph, "--data", tmp_path / "spec.json").fails_with(
        "graph dlrm is for cardinalities", "column 2 has 7 rows"
    )
    spec["cardinalities"] = [9, 6, 7]  # the first column is not read
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert cli("compile", graph, "--data", tmp_path / "spec.json").status == 0
    (tmp_path / "cut.ir").write_text(graph.read_text()[:-30])
    cli("compile", tmp_path / "cut.ir").fails_with("cut.ir", "line")
    (tmp_path / "odd.ir").write_text(
        "graph odd(%x: f32[B, 1]) -> f32[B] {\n %y = reshape(%x) {shape = ()} : f32[B]\n return %y\n}"
    )
    cli("compile", tmp_path / "odd.ir").fails_with("odd.ir: graph odd takes no dense and categorical columns")
    cli("compile", tmp_path / "none.ir").fails_with("none.ir")
    cli("compile", graph, "--hidden", "4").fails_with("--hidden is no option of dlrm, a graph")
    cli("inspect", graph, "--view", "architecture").fails_with("graph dlrm has no blocks")


def test_a_run_stands_for_its_model_and_settings(cli: Any, tmp_path: Path) -> None:
    trained = cli("train", *MODEL, *ROWS, "--max-steps", 3, "-o", tmp_path / "run", "--json")
    found = cli("prune", tmp_path / "run", "--rounds", 1, "--method", "magnitude", "-o", tmp_path / "small", "--json")
    assert trained.status == found.status == 0, found.err
    assert found.json["rounds"][0]["scores"]["test"] == trained.json["scores"]["test"]
    cli("prune", tmp_path, "-o", tmp_path / "x").fails_with("is the folder of no run that made a model")


def test_mistakes_are_told_in_a_line(cli: Any, tmp_path: Path) -> None:
    cli("prune", *SHORT, "--share", 1.5, "-o", tmp_path).fails_with("share must be a number between 0 and 1")
    cli("prune", "dlrm").fails_with("nasrec prune: --data PATH is missing")
    cli("prune", tmp_path / "mistyped").fails_with("mistyped: cannot be read: no such file or directory")
    cli("prune", *SHORT, "--rounds", 1, "--share", 0.99, "--min-units", 9, "--json", "-o", tmp_path / "a",
        ).fails_with("dlrm: at most", "lower share, rounds or min_units")  # fmt: skip
    assert not list((tmp_path / "a").iterdir()), "other settings may follow"
    (tmp_path / "a" / "prune.json").write_text("[]")
    cli("prune", *SHORT, "-o", tmp_path / "a").fails_with("prune.json: holds no settings", "--fresh")


def test_the_options_are_those_of_the_settings() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert set(vars(parser.parse_args([]))) == {field.name for field in dataclasses.fields(PruneSettings)}


@pytest.mark.usefixtures("no_pictures")
def test_what_a_run_knows_is_kept_beside_rows_of_its_own(cli: Any, tmp_path: Path) -> None:
    """Channels are the run's, whatever the rows; other columns, and channels that contradict it, are refused."""
    assert cli("train", *MODEL, *ROWS, "--max-steps", 3, "-o", tmp_path / "run").status == 0
    words = ("prune", tmp_path / "run", "--rounds", 1, "--method", "magnitude", "--json")
    found = cli(*words, "--data", "synth:criteo", "--rows", 700, "--seed", 4, "-o", tmp_path / "a")
    assert found.status == 0, found
    assert found.json["model"]["features"]["embedding_dim"] == 8
    assert "700 rows, seed 4" in found.json["data"]["source"] and found.json["config"]["optimizer"] == "adam"
    cli(*words, "--data", "synth:frappe", "-o", tmp_path / "b").fails_with("run", "columns", "leave the data out")
    cli(*words, "--embedding-dim", 16, "-o", tmp_path / "b").fails_with("8 channels", "16", "leave it out")
    cli(*words, "--hidden", "4", "-o", tmp_path / "b").fails_with("leave out hidden")
    cli(*words, "--config", tmp_path / "run/config.toml").fails_with("--config is given beside")
    assert not (tmp_path / "b").exists()


@pytest.mark.usefixtures("no_pictures")
def test_a_pruning_stands_for_its_last_round(cli: Any, pruned: Path, tmp_path: Path) -> None:
    last = read_graph(pruned / "seed-0/round-2/graph.ir")
    found = cli("prune", pruned, "--rounds", 1, "--method", "magnitude", "--features", "-o", tmp_path / "p", "--json")
    assert found.status == 0, found
    assert found.json["rounds"][0]["macs"] == nasrec_ir.cost(last).macs > found.json["rounds"][1]["macs"]
    small = cli("quantize", pruned, "-o", tmp_path / "q", "--json")
    assert small.status == 0, small
    assert small.json["model"]["macs"] == nasrec_ir.cost(last).macs
    one = json.loads((pruned / "seed-0/round-2/report.json").read_text())
    assert small.json["quantisation"]["scores"]["float"]["test"] == pytest.approx(one["scores"]["test"])
    second = cli("quantize", pruned / "seed-1/round-1", "-o", tmp_path / "r", "--json")  # its own rows, not seed 1's
    assert second.json["data"] == {**one["data"]}


@pytest.mark.usefixtures("no_pictures")
def test_settings_of_the_wrong_kind_name_file_and_setting(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    for text, words in (
        ("share = 'much'", ("odd.toml: share must be a number", "much")),
        ("rounds = 1.5", ("odd.toml: rounds must be a whole number", "1.5")),
        ("features = 1", ("odd.toml: features must be true or false",)),
        ("method = 3", ("odd.toml: method must be mask or magnitude", "3")),
        ("per_tensor = true", ("odd.toml: there is no setting 'per_tensor'", "mask_units")),
        ("command = 'train'", ("odd.toml: holds settings of 'nasrec train', not of 'nasrec prune'",)),
    ):
        path.write_text(text, encoding="utf-8")
        cli("prune", *SHORT, "--config", path, "-o", tmp_path / "x").fails_with(*words)
    assert not (tmp_path / "x").exists()
