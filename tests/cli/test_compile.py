"""`nasrec compile`: what it prints, what it writes, and every way to get it wrong."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec
import nasrec_ir
from nasrec import FeatureSpec, Genotype, baselines
from nasrec.presets import PRESETS

FEATURES = FeatureSpec(3, [11] * 4)


def inputs(features: FeatureSpec, batch: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randint(rows, (batch,), generator=generator) for rows in features.cardinalities], 1)
    return torch.randn(batch, features.num_dense, generator=generator), ids


def load_module(path: Path) -> Any:
    """The one class that a generated file defines, made into a model."""
    spec = importlib.util.spec_from_file_location("generated_for_test", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (model_class,) = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    return model_class()


def test_prints_live_blocks_and_cost(cli: Any, own: Path, columns: Any) -> None:
    done = cli("compile", own, *columns)
    cost = nasrec.cost(Genotype.load(own), FEATURES, optimized=True)
    assert done.status == 0 and done.err == ""
    assert "little: 2 of 3 blocks are live (0 and 2)" in done.out
    assert f"{cost.macs:,} per sample" in done.out
    assert f"{cost.parameters - cost.embedding_parameters:,} and {cost.embedding_parameters:,} in" in done.out


def test_json_is_pure_and_complete(cli: Any, own: Path, columns: Any) -> None:
    found = cli("compile", own, *columns, "--json").json
    cost = nasrec.cost(Genotype.load(own), FEATURES, optimized=True)
    assert found["live_blocks"] == [0, 2] and found["blocks"] == 3
    assert (found["macs"], found["parameters"]) == (cost.macs, cost.parameters)
    assert found["macs_as_published"] == nasrec.cost(Genotype.load(own), FEATURES).macs
    assert found["features"] == FEATURES.to_dict()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_know_their_columns(cli: Any, name: str) -> None:
    found = cli("compile", name, "--json").json
    assert found["features"]["num_dense"] == PRESETS[name].num_dense
    assert len(found["features"]["cardinalities"]) == PRESETS[name].num_sparse


def test_criteo_full_has_four_live_blocks(cli: Any) -> None:
    assert "criteo-full: 4 of 7 blocks are live (0, 1, 2 and 6)" in cli("compile", "criteo-full").out


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_baselines_by_name(cli: Any, name: str, columns: Any) -> None:
    found = cli("compile", name, *columns, "--json").json
    graph = baselines.build(name, FEATURES)
    assert found["macs"] == nasrec_ir.cost(graph).macs
    assert found["blocks"] is None and found["live_blocks"] is None


def test_release_form_gives_the_same_graph(cli: Any, own: Path, released: Path, columns: Any) -> None:
    ours, theirs = (cli("inspect", path, *columns).out.split("(", 1)[1] for path in (own, released))
    assert ours == theirs


def test_source_runs_on_its_own_and_equals_the_compiled_model(
    cli: Any, own: Path, tmp_path: Path, columns: Any
) -> None:
    source, weights = tmp_path / "model.py", tmp_path / "weights.pt"
    done = cli("compile", own, *columns, "-o", source, "--save-weights", weights, "--seed", 4)
    assert done.status == 0 and str(source) in done.out and str(weights) in done.out
    compiled = nasrec.compile(Genotype.load(own), FEATURES, seed=4)
    assert source.read_text(encoding="utf-8") == compiled.source
    model = load_module(source)
    model.load_state_dict(torch.load(weights, weights_only=True))
    dense, sparse = inputs(FEATURES)
    torch.testing.assert_close(model(dense, sparse), compiled(dense, sparse), rtol=0, atol=0)


def test_dump_ir_writes_every_stage(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    folder = tmp_path / "ir" / "deep"
    cli("compile", own, *columns, "--dump-ir", folder)
    files = sorted(os.listdir(folder))
    assert files[:2] == ["00-lowered.ir", "01-prune-dead.ir"]
    last = nasrec_ir.parse((folder / files[-1]).read_text(encoding="utf-8"))
    assert last == nasrec.graph_of(Genotype.load(own), FEATURES)


def test_data_specification(cli: Any, own: Path, tmp_path: Path) -> None:
    spec = tmp_path / "columns.json"
    spec.write_text(json.dumps({"num_dense": 0, "cardinalities": [5, 7, 9], "embedding_dim": 8}), encoding="utf-8")
    assert cli("compile", own, "--data", spec, "--json").json["features"]["cardinalities"] == [5, 7, 9]
    wider = cli("compile", own, "--data", spec, "--embedding-dim", 24, "--json").json
    assert wider["features"]["embedding_dim"] == 24
    cli("compile", own, "--data", spec, "--dense", 3).fails_with("--data", "leave out")
    spec.write_text('{"num_dense": 0}', encoding="utf-8")
    cli("compile", own, "--data", spec).fails_with("columns.json", "cardinalities")
    cli("compile", own, "--data", tmp_path / "none").fails_with("none: cannot be read")


def test_one_cardinality_a_column(cli: Any, own: Path) -> None:
    done = cli("compile", own, "--dense", 0, "--sparse", 3, "--json", "--cardinality", 5, 7, 9)
    assert done.json["features"]["cardinalities"] == [5, 7, 9]
    cli("compile", own, "--dense", 0, "--sparse", 3, "--cardinality", 5, 7).fails_with("--cardinality", "2", "3")


def test_missing_columns_say_what_to_give(cli: Any, own: Path) -> None:
    cli("compile", own).fails_with("--dense N", "--sparse N", "--data SPEC")
    cli("compile", own, "--dense", 3).fails_with("give --sparse N, or --data SPEC")
    cli("compile", own, "--dense", 3, "--sparse", 0).fails_with("cardinalities", "1 to")


def test_features_that_do_not_fit_the_genotype(cli: Any, own: Path, columns: Any) -> None:
    cli("compile", own, *columns, "--embedding-dim", 12).fails_with("12", "8")


BAD_FILES = {
    "not json": "{",
    "empty": "",
    "a list": "[]",
    "no genotype": '{"hello": 1}',
    "wrong format": '{"format": "something"}',
    "newer version": '{"format": "nasrec-genotype", "version": 99}',
    "release with a hole": '{"choice": {"micro": []}}',
    "nested deeply": "[" * 100_000,
    "NaN": '{"format": NaN}',
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_malformed_genotypes(cli: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(BAD_FILES[kind], encoding="utf-8")
    cli("compile", path, "--dense", 3, "--sparse", 4).fails_with("bad.json: ")


def test_field_errors_name_block_and_field(cli: Any, own: Path, released: Path, columns: Any) -> None:
    value = json.loads(own.read_text(encoding="utf-8"))
    value["blocks"][1]["dense_inputs"] = [7]
    own.write_text(json.dumps(value), encoding="utf-8")
    cli("compile", own, *columns).fails_with("little.json", "block 1", "dense_inputs")
    value = json.loads(released.read_text(encoding="utf-8"))
    value["choice"]["macro"][1]["dense_idx"] = [7]
    released.write_text(json.dumps(value), encoding="utf-8")
    cli("compile", released, *columns).fails_with("released.json", "block 1", "dense_idx")


def test_unknown_names_list_the_known(cli: Any, tmp_path: Path) -> None:
    cli("compile", "criteo-fool").fails_with("criteo-fool", "criteo-full", "dlrm")
    cli("compile", "missing/criteo.json").fails_with("missing/criteo.json: cannot be read")
    cli("compile", tmp_path).fails_with("is the folder of no run")
    cli("compile", "odd\nname").fails_with("odd\\nname")


def test_outputs_that_cannot_be_written(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    for option in ("-o", "--save-weights"):
        cli("compile", own, *columns, option, tmp_path / "none" / "x").fails_with("cannot be written")
        cli("compile", own, *columns, option, tmp_path).fails_with("file name")
        cli("compile", own, *columns, option, blocked / "x").fails_with("cannot be written")
    cli("compile", own, *columns, "--dump-ir", blocked).fails_with(str(blocked))
    assert sorted(os.listdir(tmp_path)) == ["file", "little.json"]


def test_a_failed_run_leaves_the_old_file(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    source = tmp_path / "model.py"
    source.write_text("old", encoding="utf-8")
    cli("compile", own, *columns, "-o", source, "--weights", tmp_path / "none.pt").fails_with("none.pt")
    assert source.read_text(encoding="utf-8") == "old"
