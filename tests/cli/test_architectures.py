"""The GENOTYPE argument with the options of baselines, in every command that has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec_ir
from nasrec import FeatureSpec, baselines
from nasrec.cli.options.model import OPTIONS

TWIN = ("--data", "synth:frappe", "--rows", 1200, "--batch-size", 256)
SHAPE = ("--hidden", "6,5", "--dropout", 0.2, "--batch-norm")


def test_options_are_those_of_the_builders() -> None:
    assert set(OPTIONS) == {option for name in baselines.BASELINES for option in baselines.options_of(name)}


@pytest.mark.parametrize(
    ("name", "given", "options"),
    [
        ("deepfm", SHAPE, {"hidden": (6, 5), "dropout": 0.2, "batch_norm": True}),
        ("deepfm", ("--hidden", "none", "--no-batch-norm"), {"hidden": ()}),
        ("dlrm", ("--bottom", 7, "--interaction", "cat"), {"bottom": (7,), "interaction": "cat"}),
        ("xdeepfm", ("--cin", "4,3"), {"cin": (4, 3)}),
        (
            "dcn_v2",
            ("--layers", 2, "--rank", 3, "--structure", "parallel"),
            {"layers": 2, "rank": 3, "structure": "parallel"},
        ),
        (
            "autoint_plus",
            ("--heads", 2, "--head-width", 3, "--layer-norm", "--no-project-residual", "--attention-dropout", 0.1),
            {"heads": 2, "head_width": 3, "layer_norm": True, "project_residual": False, "attention_dropout": 0.1},
        ),
    ],
)
def test_a_baseline_of_the_given_shape(
    cli: Any, columns: tuple[object, ...], name: str, given: tuple[object, ...], options: dict[str, Any]
) -> None:
    found = cli("inspect", name, *columns, *given)
    assert found.status == 0, found.err
    graph = nasrec_ir.parse(found.out)
    features = FeatureSpec(3, [11] * 4, 16)
    assert graph == baselines.build(name, features, **options)


def test_a_trained_model_goes_through_the_other_commands(cli: Any, tmp_path: Path) -> None:
    """The same options name the same model; the report keeps them."""
    run = tmp_path / "run"
    done = cli("train", "deepfm", *TWIN, *SHAPE, "--embedding-dim", 4, "--embedding-std", 1e-3, "-o", run)
    assert done.status == 0, done.err
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert report["model"]["options"] == {"hidden": [6, 5], "dropout": 0.2, "batch_norm": True}
    weights = torch.load(run / "weights.pt", weights_only=True)
    assert weights["deep_0_norm.running_mean"].any()
    rows = report["model"]["features"]["cardinalities"]
    model = ("--dense", 0, "--sparse", len(rows), "--weights", run / "weights.pt", "--embedding-dim", 4)
    exported = cli("export", "deepfm", *model, *SHAPE, "--format", "pt2", "-o", tmp_path / "m.pt2", "--json")
    assert exported.status == 0 and exported.json["max_difference"] < 1e-4, exported.err
    cli("export", "deepfm", *model, "--format", "pt2", "-o", tmp_path / "n.pt2").fails_with("weights.pt", "shape")
    mapped = cli("pim", "map", "deepfm", *model[:4], *SHAPE, "--json")
    assert mapped.status == 0 and "deep.0.norm" in mapped.out, mapped.err


def test_settings_files_hold_the_shape(cli: Any, tmp_path: Path) -> None:
    given = ("train", "deepfm", *TWIN, *SHAPE, "--embedding-dim", 4, "--embedding-std", 1e-3, "--max-steps", 2)
    assert cli(*given, "-o", tmp_path / "a").status == 0
    config = tmp_path / "a" / "config.toml"
    assert "hidden = [6, 5]\n" in config.read_text() and "batch_norm = true\n" in config.read_text()
    assert cli("train", "--config", config, "-o", tmp_path / "b").status == 0
    a, b = (torch.load(tmp_path / run / "weights.pt", weights_only=True) for run in ("a", "b"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    other = cli("train", "--config", config, "-o", tmp_path / "a", "--embedding-std", 0.1, "--json")
    other.fails_with("embedding_std", "0.001", "0.1")
    for line, word in (("hidden = 'wide'", "hidden"), ("dropout = true", "dropout"), ("hidden = [[3]]", "hidden")):
        name = line.partition(" ")[0]
        kept = [known for known in config.read_text().splitlines() if not known.startswith(name)]
        (tmp_path / "bad.toml").write_text("\n".join([*kept, line]))
        cli("train", "--config", tmp_path / "bad.toml", "-o", tmp_path / "c").fails_with("deepfm", word)


def test_simulated_hardware_takes_running_statistics(cli: Any) -> None:
    done = cli("pim", "simulate", "deepfm", *TWIN[:4], *SHAPE, "--embedding-dim", 4, "--limit", 50, "--json")
    assert done.status == 0, done.err


def test_bad_options(cli: Any, own: Path, columns: tuple[object, ...], tmp_path: Path) -> None:
    cli("compile", own, *columns, "--hidden", 8).fails_with("--hidden", "little", "genotype", "it takes --dropout")
    cli("compile", own, *columns, "--dropout", 1).fails_with("dropout", "below 1")
    cli("compile", "deepfm", *columns, "--heads", 2).fails_with("--heads", "deepfm", "--hidden, --dropout")
    cli("compile", "logistic_regression", *columns, "--batch-norm").fails_with("--batch-norm", "logistic_regression")
    cli("compile", "deepfm", *columns, "--hidden", "4,,4").fails_with("--hidden", "4,,4")
    cli("compile", "deepfm", *columns, "--hidden", "wide").fails_with("--hidden")
    cli("compile", "deepfm", *columns, "--dropout", "1").fails_with("dropout", "below 1")
    cli("compile", "deepfm", *columns, "--dropout", "much").fails_with("--dropout")
    cli("compile", "dlrm", *columns, "--interaction", "sum").fails_with("interaction", "'dot' or 'cat'")
    cli("train", "deepfm", *TWIN, "--embedding-std", "0", "--json", "-o", tmp_path / "r").fails_with(
        "embedding_std", "positive"
    )
