"""`nasrec.runs.open_model`: columns and weights from what knows them, and one clear error for what contradicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nasrec import FeatureSpec, baselines, graph_of, presets, runs
from nasrec.data import synthesize
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import FeatureError, RunError, StateDictError
from nasrec.runs import DataSource, TrainOptions
from nasrec.runs.columns import Columns
from nasrec.runs.opened import open_beside, rows_of
from nasrec_ir import dump

FEATURES = FeatureSpec(2, [5, 6, 7], 8)
ROWS = DataSource("synth:criteo", rows=300)
OPTIONS = TrainOptions(
    max_steps=2, batch_size=64, embedding_dim=8, seed=5, model_options={"bottom": (8,), "hidden": (8,)}
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> runs.TrainRun:
    return runs.train("dlrm", ROWS, tmp_path_factory.mktemp("trained"), OPTIONS, progress=False)


def test_a_name_with_columns() -> None:
    opened = runs.open_model("dlrm", FEATURES, options={"bottom": (8,)})
    assert opened.features == FEATURES and opened.graph == baselines.build("dlrm", FEATURES, bottom=(8,))
    assert opened.run is None and opened.weights is None and not opened.model().training
    one, other = (opened.model(seed).state_dict() for seed in (0, 1))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_what_is_not_said_is_filled_in() -> None:
    assert runs.open_model("dlrm", Columns(2, 3)).features == FeatureSpec(2, [1000] * 3, 16)
    assert runs.open_model("dlrm", Columns(2, 3, (9,), 4)).features == FeatureSpec(2, [9] * 3, 4)
    known = runs.open_model("criteo-full", Columns(cardinalities=(9,))).features
    assert (known.num_dense, known.cardinalities) == (presets.PRESETS["criteo-full"].num_dense, (9,) * 26)
    for columns, words in (
        (None, "give --dense N and --sparse N, or --data SPEC"),
        (Columns(num_dense=3), "give --sparse N, or"),
        (Columns(2, 3, (4, 5)), "2 tables for 3 categorical columns"),
    ):
        with pytest.raises(FeatureError, match=words):
            runs.open_model("dlrm", columns)


def test_rows_state_their_columns_and_not_the_channels(tmp_path: Path) -> None:
    prepare_synthetic("avazu", 60, tmp_path / "data", max_cardinality=9)
    (tmp_path / "spec.json").write_text(json.dumps({"num_dense": 2, "cardinalities": [5, 6, 7]}))
    for data in (tmp_path / "data", synthesize("avazu", 60, 0).log.split()):
        found = runs.open_model("dlrm", data=data).features
        assert found.num_dense == 0 and found.embedding_dim == 16
        assert runs.open_model("dlrm", Columns(embedding_dim=4), data).features.embedding_dim == 4
    assert runs.open_model("dlrm", Columns(embedding_dim=8), tmp_path / "spec.json").features == FEATURES
    with pytest.raises(FeatureError, match="--data states all columns"):
        runs.open_model("dlrm", Columns(num_dense=2), tmp_path / "spec.json")
    graph = baselines.build("dlrm", FEATURES)
    assert runs.open_model(graph, data=tmp_path / "spec.json").features == FEATURES  # the graph's channels


def test_weights_tell_their_tables() -> None:
    model = runs.open_model("dlrm", FEATURES).model(3)
    opened = runs.open_model("dlrm", Columns(num_dense=2), weights=model.state_dict())
    assert opened.features == FEATURES
    assert all(torch.equal(a, b) for a, b in zip(opened.model().parameters(), model.parameters(), strict=True))
    with pytest.raises(StateDictError, match=r"weights: .* has shape"):
        runs.open_model("dlrm", Columns(num_dense=5), weights=model.state_dict()).model()


def test_a_graph_knows_its_columns(tmp_path: Path) -> None:
    graph = baselines.build("dlrm", FEATURES)
    (tmp_path / "dlrm.ir").write_text(dump(graph))
    for model in (graph, tmp_path / "dlrm.ir"):
        for said in (None, FEATURES, Columns(num_sparse=3, embedding_dim=8), Columns(cardinalities=(5, 6, 7))):
            assert runs.open_model(model, said).graph == graph
        with pytest.raises(FeatureError, match=r"leave out --dense.*it has 2 dense columns, not 3"):
            runs.open_model(model, Columns(num_dense=3))


def test_a_run_knows_everything(trained: runs.TrainRun) -> None:
    opened = runs.open_model(trained.folder)
    model = trained.model()
    assert opened.graph == model.graph and opened.features == trained.run.features
    assert opened.run is not None and opened.run.folder == trained.folder
    assert all(torch.equal(a, b) for a, b in zip(opened.model().parameters(), model.parameters(), strict=True))
    same = runs.open_model(trained.folder, opened.features, options={"hidden": (8,)})
    assert same.graph == opened.graph
    assert runs.open_model(trained.folder, data=DataSource("synth:criteo", rows=300)).features == opened.features
    for said, words in (
        (Columns(embedding_dim=16), "has 8 channels of an embedding, not 16"),
        (Columns(num_sparse=3), "has 26 categorical columns, not 3"),
        (Columns(cardinalities=(3,)), "rows in the table of column 0, not 3"),
        (Columns(cardinalities=(3, 4)), "has 26 categorical columns, not 2"),
    ):
        with pytest.raises(RunError, match=words):
            runs.open_model(trained.folder, said)
    with pytest.raises(RunError, match="leave out --hidden"):
        runs.open_model(trained.folder, options={"hidden": (9,)})
    with pytest.raises(RunError, match="has 13 dense columns, not 0"):
        runs.open_model(trained.folder, data=synthesize("avazu", 60, 0).log.split())


def test_untrained_runs_never_give_initial_weights(trained: runs.TrainRun, tmp_path: Path) -> None:
    copy = shutil.copytree(trained.folder, tmp_path / "copy")
    (copy / "weights.pt").unlink()
    opened = runs.open_model(copy)
    assert opened.graph == trained.run.graph
    with pytest.raises(RunError, match="holds no trained weights"):
        opened.model()
    assert runs.open_model(copy, weights=trained.folder).model() is not None
    with pytest.raises(RunError, match="is the folder of no run"):
        runs.open_model(tmp_path)


def test_a_model_beside_another_has_its_columns(trained: runs.TrainRun) -> None:
    ours = runs.open_model(trained.folder)
    assert ours.features.embedding_dim == 8
    assert open_beside("deepfm", ours).features == ours.features
    genotype = presets.load("criteo-full")
    assert open_beside(genotype, ours).graph == graph_of(genotype, ours.features)
    wide = baselines.build("dlrm", FeatureSpec(13, ours.features.cardinalities, 4))
    assert open_beside(wide, ours).features.embedding_dim == 4  # knows its channels itself
    with pytest.raises(FeatureError, match="dense"):
        open_beside(baselines.build("dlrm", FEATURES), ours)


def test_the_rows_of_a_run_are_those_that_it_was_made_with(trained: runs.TrainRun, tmp_path: Path) -> None:
    run = trained.run
    assert rows_of(run, None, seed=0).sha256 == trained.report["data"]["sha256"]
    assert rows_of(run, ROWS, seed=0).sha256 == trained.report["data"]["sha256"]  # named again: the run's seed
    assert rows_of(run, "synth:frappe", seed=0).sha256 != trained.report["data"]["sha256"]
    with pytest.raises(RunError, match=r"the rows are missing; give --data PATH \(data=\)"):
        rows_of(None, None, seed=0)
    copy = shutil.copytree(trained.folder, tmp_path / "copy")
    report = json.loads((copy / "report.json").read_text())
    report["data"]["sha256"]["test"] = "another"
    (copy / "report.json").write_text(json.dumps(report))
    with pytest.raises(RunError, match="was made with other rows than"):
        rows_of(runs.open_run(copy), None, seed=0)
    memory = runs.train("logistic_regression", synthesize("frappe", 200, 0).log.split(), tmp_path / "memory",
                        TrainOptions(max_steps=1), progress=False)  # fmt: skip
    with pytest.raises(RunError, match="had its rows in memory"):
        rows_of(memory.run, None, seed=0)
