"""Every kind of run, given to every command that takes a model: the command uses the run's own graph, channels, weights
and rows, or says in one line why it cannot. Nothing is asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nasrec_ir
from nasrec import Block, Genotype, data
from nasrec.profiling import measure, measure_peaks
from nasrec.quant import in_floats
from nasrec.reports.registry import COMMANDS
from nasrec.runs.job import digest
from nasrec.runs.results import KINDS
from nasrec.train import evaluate
from nasrec_ir.codegen import generate
from nasrec_pim import Hardware, estimate, map_graph
from tests.cli.run_folders import ALL, CHANNELS, TRAINED, UNTRAINED, WITHOUT_MODEL, Made, make_all

MODELS = (*TRAINED, *UNTRAINED)
ON = ("--max-steps", 1, "--batch-size", 64)

WHY_NOT = {
    "supernet": "holds a supernet, not one model",
    "rank": "holds a ranking study, which makes no model",
    "contest": "holds a comparison of search algorithms, which makes no model",
    "demo": "holds models of a demonstration",
    "simulation": "holds scores on simulated chips, and no model",
}
NO_WEIGHTS = "holds no trained weights"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    genotype = Genotype((Block(("fc", "efc"), 16, 6, (0,), (0,), (0,), (0,), False, False),), name="little")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NASREC_DATA", raising=False)
        patch.setattr("nasrec.reports.write", lambda *args: None)  # pictures take longer than the training
        return make_all(tmp_path_factory.mktemp("runs"), genotype)


@pytest.fixture(autouse=True)
def peaks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured once for all tests of a process: their values do not matter here."""
    monkeypatch.setattr(measure, "measure_peaks", lambda device, again=False: measure_peaks(device))


def inputs(features: dict[str, Any], rows: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(size, (rows,), generator=generator) for size in features["cardinalities"]]
    return torch.randn(rows, features["num_dense"], generator=generator), torch.stack(ids, 1)


def test_every_kind_of_run_is_here() -> None:
    """What a report may be of: each has a result class, a page, and a row in this matrix."""
    assert set(KINDS) == set(COMMANDS)


@pytest.mark.parametrize("kind", MODELS)
def test_compile(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path) -> None:
    run = made[kind]
    done = cli("compile", run.folder, "-o", tmp_path / "model.py", "--json")
    assert done.status == 0, done.err
    assert (done.json["macs"], done.json["nodes"]) == (nasrec_ir.cost(run.graph).macs, len(run.graph))
    assert done.json["features"]["embedding_dim"] == CHANNELS
    assert (tmp_path / "model.py").read_text() == generate(run.graph).text
    saved = cli("compile", run.folder, "--save-weights", tmp_path / "w.pt")
    if kind in UNTRAINED:
        saved.fails_with(str(run.folder), NO_WEIGHTS)
        return
    assert saved.status == 0, saved.err
    weights = torch.load(tmp_path / "w.pt", weights_only=True)
    assert set(weights) == set(run.weights) and all(torch.equal(weights[name], run.weights[name]) for name in weights)


@pytest.mark.parametrize("kind", MODELS)
def test_inspect(cli: Any, made: dict[str, Made], kind: str) -> None:
    done = cli("inspect", made[kind].folder)
    assert done.status == 0, done.err
    assert nasrec_ir.parse(done.out) == made[kind].graph


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_export_onnx(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from nasrec.quant.onnx import RUNTIME_OPTIONS

    run = made[kind]
    done = cli("export", run.folder, "--format", "onnx", "-o", tmp_path / "m.onnx")
    if kind in UNTRAINED:
        done.fails_with(str(run.folder), NO_WEIGHTS)
        return
    assert done.status == 0, done.err
    assert "initial ones" not in done.out
    options = onnxruntime.SessionOptions()
    for name, value in RUNTIME_OPTIONS.items():
        options.add_session_config_entry(name, value)
    dense, sparse = inputs(run.own_report["model"]["features"])
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", options)
    (logits,) = session.run(None, {"dense": dense.numpy(), "sparse": sparse.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(logits, run.model()(dense, sparse).numpy(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_export_pt2(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path) -> None:
    run = made[kind]
    done = cli("export", run.folder, "--format", "pt2", "-o", tmp_path / "m.pt2")
    if kind in UNTRAINED:
        done.fails_with(str(run.folder), NO_WEIGHTS)
        return
    assert done.status == 0, done.err
    dense, sparse = inputs(run.own_report["model"]["features"])
    with torch.no_grad():
        found, own = torch.export.load(tmp_path / "m.pt2").module()(dense, sparse), run.model()(dense, sparse)
    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_profile(cli: Any, made: dict[str, Made], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that is timed has the run's weights."""
    run, timed = made[kind], []
    real = measure.profile
    monkeypatch.setattr(
        "nasrec.profiling.api.profile",
        lambda subject, *args, **options: timed.append(subject) or real(subject, *args, **options),
    )
    done = cli("profile", run.folder, "--batch", 4, "--rounds", 1, "--compare", "none", "--json")
    assert done.status == 0, done.err
    assert [node["id"] for node in done.json["nodes"]] == [node.id for node in run.graph if node.op != "input"]
    assert done.json["features"]["embedding_dim"] == CHANNELS
    if kind in TRAINED:
        held = timed[0].ours.model.state_dict()
        assert all(torch.equal(held[name], value) for name, value in run.weights.items())


@pytest.mark.parametrize("kind", MODELS)
def test_pim_map(cli: Any, made: dict[str, Made], kind: str) -> None:
    done = cli("pim", "map", made[kind].folder, "--json")
    assert done.status == 0, done.err
    own = estimate(map_graph(made[kind].graph, Hardware.preset("default")))
    assert (done.json["latency_ns"], done.json["energy_nJ"]) == (own.latency_ns, own.energy_nJ)


@pytest.mark.parametrize("kind", MODELS)
def test_pim_compare(cli: Any, made: dict[str, Made], kind: str) -> None:
    """With another run as the model on the other chip."""
    done = cli("pim", "compare", made[kind].folder, "--model-against", made["genotype"].folder, "--json")
    assert done.status == 0, done.err
    rows = [row for row in done.json["ratios"] if row["assumption"] == "latency of one sample"]
    ours = estimate(map_graph(made[kind].graph, Hardware.preset("default")))
    theirs = estimate(map_graph(made["genotype"].graph, Hardware.preset("isaac-like")))
    assert rows[0]["ratio"] == pytest.approx(theirs.latency_ns / ours.latency_ns)


@pytest.mark.parametrize("kind", MODELS)
def test_pim_corrections(cli: Any, made: dict[str, Made], kind: str) -> None:
    done = cli("pim", "corrections", made[kind].folder, "--json")
    assert done.status == 0, done.err
    own = estimate(map_graph(made[kind].graph, Hardware.preset("mnsim")))
    assert (done.json["mnsim"]["latency_ns"], done.json["mnsim"]["energy_nJ"]) == (own.latency_ns, own.energy_nJ)


@pytest.mark.parametrize("kind", MODELS)
def test_pim_simulate(cli: Any, made: dict[str, Made], kind: str) -> None:
    run = made[kind]
    done = cli("pim", "simulate", run.folder, "--ideal-cells", "--no-noise", "--json")
    if kind in UNTRAINED:
        done.fails_with(str(run.folder), NO_WEIGHTS)
        return
    assert done.status == 0, done.err
    assert done.json["data"]["sha256"] == run.rows and done.json["model"]["features"]["embedding_dim"] == CHANNELS
    assert done.json["weights"] == str(run.place / "weights.pt")
    assert done.json["scores"]["full precision"]["log_loss"] == pytest.approx(valid_loss(run), rel=1e-5)
    assert 0 < done.json["scores"]["chip 1"]["log_loss"] < 20


def valid_loss(run: Made) -> float:
    """Of the trained model in floats, whatever its precisions are, on the rows that it was validated on."""
    model = run.model()
    with in_floats(model):
        return evaluate(model, data.open(run.report["data"]["path"]).valid).log_loss


@pytest.mark.parametrize("kind", ["baseline", "genotype", "seeds", "tune", "prune"])
def test_the_score_of_floats_is_that_of_the_report(made: dict[str, Made], kind: str) -> None:
    known = made[kind].own_report["scores"]["valid"]["log_loss"]
    assert valid_loss(made[kind]) == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_train_from(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path, no_pictures: None) -> None:
    run = made[kind]
    done = cli("train", "--from", run.folder, *ON, "-o", tmp_path / "on", "--json")
    if kind in UNTRAINED:
        done.fails_with(str(run.folder), "holds no weights.pt yet")
        return
    assert done.status == 0, done.err
    assert done.json["model"]["macs"] == nasrec_ir.cost(run.graph).macs and done.json["data"]["sha256"] == run.rows
    assert done.json["identity"]["weights"] == digest(run.weights)
    assert (tmp_path / "on" / "graph.ir").read_text() == nasrec_ir.dump(run.graph)


@pytest.mark.parametrize("kind", MODELS)
def test_prune(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path, no_pictures: None) -> None:
    run = made[kind]
    done = cli(
        "prune", run.folder, "--rounds", 1, "--share", 0.05, "--min-units", 1, *ON, "-o", tmp_path / "pruned", "--json"
    )
    assert done.status == 0, done.err
    first, second = done.json["rounds"]
    assert first["macs"] == nasrec_ir.cost(run.graph).macs > second["macs"] and done.json["data"]["sha256"] == run.rows
    assert done.json["model"]["features"]["embedding_dim"] == CHANNELS


@pytest.mark.parametrize("kind", MODELS)
def test_quantize(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path, no_pictures: None) -> None:
    run = made[kind]
    done = cli("quantize", run.folder, "-o", tmp_path / "few", "--json")
    if kind in UNTRAINED:
        done.fails_with(str(run.folder), "holds no weights.pt yet")
        return
    assert done.status == 0, done.err
    made_of = done.json["quantisation"]
    assert done.json["data"]["sha256"] == run.rows and done.json["model"]["macs"] == nasrec_ir.cost(run.graph).macs
    assert made_of["scores"]["float"]["valid"]["log_loss"] == pytest.approx(valid_loss(run), rel=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_report(cli: Any, made: dict[str, Made], kind: str, tmp_path: Path) -> None:
    run = made[kind]
    done = cli("report", run.folder, "-o", tmp_path / "page.html", "--json")
    assert done.status == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    if kind in TRAINED and "scores" in run.own_report:
        assert f"{run.own_report['scores']['test']['log_loss']:.5f}" in page
    assert page.count("<svg") + page.count("<img") + page.count("<table") > 1


COMMANDS_ON_A_MODEL = {
    "compile": (), "inspect": (), "export": ("--format", "pt2", "-o", "m.pt2"), "profile": (), "pim map": (),
    "pim simulate": (), "pim compare": (), "pim corrections": (), "prune": (), "quantize": (), "train --from": (),
}  # fmt: skip


@pytest.mark.parametrize("kind", WITHOUT_MODEL)
@pytest.mark.parametrize("command", COMMANDS_ON_A_MODEL)
def test_runs_that_made_no_model(cli: Any, made: dict[str, Made], kind: str, command: str) -> None:
    folder = made[kind].folder
    cli(*command.split(), folder, *COMMANDS_ON_A_MODEL[command]).fails_with(str(folder), WHY_NOT[kind])


def test_what_contradicts_a_run_and_what_agrees(cli: Any, made: dict[str, Made], tmp_path: Path) -> None:
    run = made["genotype"].folder
    for words, found in (
        (("--embedding-dim", 16), "has 8 channels of an embedding, not 16"),
        (("--dense", 3), "has 13 dense columns, not 3"),
        (("--sparse", 2), "has 26 categorical columns, not 2"),
        (("--cardinality", 9), "rows in the table of column 0, not 9"),
        (("--dropout", 0.5), "leave out --dropout"),
    ):
        cli("compile", run, *words).fails_with(str(run), found)
    rows = made["genotype"].report["data"]["path"]
    for words in (("--embedding-dim", 8, "--data", rows), ("--dense", 13, "--sparse", 26), ("--data", rows)):
        assert cli("compile", run, *words).status == 0
    cli("data", "synth", "--like", "avazu", "--rows", 100, "-o", tmp_path / "other")
    cli("compile", run, "--data", tmp_path / "other").fails_with(str(run), "has 13 dense columns, not 0")
    cli("pim", "simulate", run, "--data", tmp_path / "other").fails_with(str(run), "has 13 dense columns, not 0")
    baseline = made["baseline"].folder
    assert cli("compile", baseline, "--hidden", 8, "--bottom", 8).status == 0
    cli("compile", baseline, "--hidden", 9).fails_with(str(baseline), "leave out --hidden")


def test_other_weights_may_be_given(cli: Any, made: dict[str, Made], tmp_path: Path) -> None:
    run, other = made["genotype"], made["seeds"]
    assert cli("compile", run.folder, "--weights", other.place, "--save-weights", tmp_path / "w.pt").status == 0
    weights = torch.load(tmp_path / "w.pt", weights_only=True)
    assert all(torch.equal(weights[name], value) for name, value in other.weights.items())
