"""`nasrec.runs.train`: rows of every kind, results, folders that go on, what is told, and options that contradict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nasrec import reports, runs
from nasrec.data import ClickLog, Splits, synthesize
from nasrec.errors import BaselineError, DataError, GenotypeError, NasrecError, RunError, TrainError
from nasrec.train.journal import Journal
from nasrec.train.prediction import evaluate

ROWS = runs.DataSource("synth:frappe", rows=1500)
SHORT = runs.TrainOptions(batch_size=128, embedding_dim=4, log_every=2)


@pytest.fixture(scope="module")
def splits() -> Splits[ClickLog]:
    return synthesize("frappe", 1500, 0).log.split()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return synthesize("frappe", 1500, 0).log.to_frame()


def test_a_result_and_its_folder(tmp_path: Path, splits: Splits[ClickLog]) -> None:
    run = runs.train("dlrm", ROWS, tmp_path / "run", SHORT, progress=False)
    assert run.command == "train" and not run.interrupted and run.folder == tmp_path / "run"
    assert run.scores["test"]["log_loss"] == run.report["scores"]["test"]["log_loss"]
    assert run.stds["test"]["log_loss"] is None  # one seed has no spread
    model = run.model()
    assert not model.training
    assert evaluate(model, splits.test).log_loss == pytest.approx(run.scores["test"]["log_loss"], rel=1e-6)
    for name in ("graph.ir", "weights.pt", "config.toml", "model.py", "report.json"):
        assert (run.folder / name).is_file(), name
    loaded = runs.load(run.folder)
    assert isinstance(loaded, runs.TrainRun) and loaded.report == run.report
    assert reports.write(loaded).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_seeds_have_mean_and_deviation(tmp_path: Path) -> None:
    run = runs.train("logistic_regression", ROWS, tmp_path, runs.TrainOptions(seeds=2, embedding_dim=4), progress=False)
    losses = [seed.scores["test"]["log_loss"] for seed in run.seeds]
    assert [seed.seed for seed in run.seeds] == [0, 1] and None not in losses
    assert run.scores["test"]["log_loss"] == pytest.approx(sum(losses) / 2)  # type: ignore[arg-type]
    spread = abs(losses[0] - losses[1]) / 2**0.5  # type: ignore[operator]
    assert run.stds["test"]["log_loss"] == pytest.approx(spread)
    assert runs.open_run(tmp_path).folder == run.seeds[0].folder == tmp_path / "seed-0"


def test_a_tuned_rate_is_chosen_by_validation_rows(tmp_path: Path) -> None:
    options = runs.TrainOptions(tune=runs.TuneOptions(0.01, 0.1, 2), seeds=2, embedding_dim=4, max_steps=4)
    run = runs.train("logistic_regression", ROWS, tmp_path, options, progress=False)
    means = {trial["lr"]: trial["valid_log_loss"]["mean"] for trial in run.report["trials"]}
    assert set(means) == {0.01, 0.1} and run.lr == min(means, key=means.__getitem__)
    assert runs.open_run(tmp_path).folder.name == f"lr-{run.lr:g}-seed-0"


def test_rows_of_every_kind_are_the_same_rows(tmp_path: Path, splits: Splits[ClickLog]) -> None:
    named = runs.train("logistic_regression", ROWS, tmp_path / "named", SHORT, progress=False)
    in_memory = runs.train("logistic_regression", splits, tmp_path / "memory", SHORT, progress=False)
    assert named.scores == in_memory.scores
    with pytest.raises(RunError, match="had its rows in memory"):
        runs.quantize(in_memory.folder, out=tmp_path / "small", progress=False)


def test_a_data_frame_is_prepared_into_the_folder_and_found_again(tmp_path: Path, frame: pd.DataFrame) -> None:
    before = frame.copy()
    run = runs.train("logistic_regression", frame, tmp_path / "run", SHORT, progress=False)
    assert (run.folder / "data" / "manifest.json").is_file() and run.run.data is not None
    pd.testing.assert_frame_equal(frame, before)
    again = runs.train("logistic_regression", frame, tmp_path / "run", SHORT, progress=False)
    assert again.report == run.report
    small = runs.quantize(run.folder, out=tmp_path / "small", progress=False)
    assert small.report["data"]["sha256"] == run.report["data"]["sha256"]


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = runs.train("dlrm", ROWS, tmp_path / "whole", SHORT, progress=False)
    real = Journal.recorded

    def interrupted(self: Journal, point: Any) -> None:
        real(self, point)
        if point.step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "recorded", interrupted)
    broken = runs.train("dlrm", ROWS, tmp_path / "broken", SHORT, progress=False)
    assert broken.interrupted and broken.report["steps"] == 4
    monkeypatch.setattr(Journal, "recorded", real)
    ended = runs.train("dlrm", ROWS, tmp_path / "broken", SHORT, progress=False)
    assert ended.scores == whole.scores and not ended.interrupted
    other = runs.TrainOptions(batch_size=64, embedding_dim=4, log_every=2)
    with pytest.raises(TrainError, match="batch_size 128, this one has 64"):
        runs.train("dlrm", ROWS, tmp_path / "broken", other, progress=False)


def test_what_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events: list[runs.Event] = []
    runs.train("logistic_regression", ROWS, tmp_path / "a", SHORT, progress=events.append)
    assert (events[0].label, events[0].unit, events[0].done) == ("training logistic_regression", "rows", 0)
    assert max(event.done for event in events) == events[0].total == 1200
    assert any("validation" in event.text for event in events)
    runs.train("logistic_regression", ROWS, tmp_path / "a", SHORT, progress=events.append)
    assert "finished before" in events[-1].text
    runs.train("logistic_regression", ROWS, tmp_path / "b", SHORT, progress=False)
    assert capfd.readouterr() == ("", "")
    runs.train("logistic_regression", ROWS, tmp_path / "c", SHORT)
    shown = capfd.readouterr()
    assert shown.out == "" and "validation" in shown.err


def test_a_run_is_trained_on_with_its_own_settings(tmp_path: Path) -> None:
    first = runs.train("dlrm", ROWS, tmp_path / "first", SHORT, progress=False)
    on = runs.train(first.folder, out=tmp_path / "on", progress=False)
    config = on.report["config"]
    assert config["batch_size"] == 128 and on.report["model"]["features"]["embedding_dim"] == 4
    assert on.report["data"]["sha256"] == first.report["data"]["sha256"]
    assert on.report["identity"]["weights"] is not None  # from the weights that the run ended with
    assert first.model().source == on.model().source
    before = torch.load(first.folder / "weights.pt", weights_only=True)
    after = torch.load(on.folder / "weights.pt", weights_only=True)
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"embedding_dim": 16}, RunError, "its model has 4 channels of an embedding, embedding_dim says 16"),
        ({"model_options": {"hidden": (3,)}}, NasrecError, "hidden"),
    ],
    ids=str,
)
def test_options_that_contradict_the_run(
    tmp_path: Path, changes: dict[str, Any], error: type[NasrecError], words: str
) -> None:
    first = runs.train("dlrm", ROWS, tmp_path / "first", SHORT, progress=False)
    with pytest.raises(error, match=words):
        runs.train(first.folder, out=tmp_path / "on", options=runs.TrainOptions(**changes), progress=False)
    other = runs.DataSource("synth:avazu", rows=500)
    with pytest.raises(RunError, match="give rows prepared alike"):
        runs.train(first.folder, other, tmp_path / "on", progress=False)
    assert not (tmp_path / "on" / "weights.pt").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "seeds must be a whole number of at least 1, not 0"),
        ({"embedding_dim": 2.5}, "embedding_dim must be a whole number"),
        ({"embedding_std": -1.0}, "embedding_std must be a positive number"),
        ({"lr": "fast"}, "lr must be a positive number"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainError, match=words):
        runs.TrainOptions(**options)


def test_models_and_rows_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(GenotypeError, match="neither a file nor a name"):
        runs.train("dlmr", ROWS, tmp_path / "run", progress=False)
    with pytest.raises(GenotypeError, match="a model must be"):
        runs.train(3, ROWS, tmp_path / "run", progress=False)  # type: ignore[arg-type]
    with pytest.raises(BaselineError, match="--heads is no option of dlrm"):
        runs.train("dlrm", ROWS, tmp_path / "run", runs.TrainOptions(model_options={"heads": 2}), progress=False)
    with pytest.raises(RunError, match="the rows are missing"):
        runs.train("dlrm", out=tmp_path / "run", progress=False)
    with pytest.raises(DataError, match="data must be a folder"):
        runs.train("dlrm", 3, tmp_path / "run", progress=False)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="is the folder of no run"):
        runs.train(tmp_path, ROWS, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
