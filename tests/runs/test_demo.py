"""`nasrec.runs.demo`: what it gives and tells, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nasrec import Block, Genotype, runs
from nasrec.errors import NasrecError, RunError, TrainError
from nasrec.reports.demo import draw
from nasrec.runs import DataSource, DemoOptions, DemoRun

BLOCK = Block(("fc", "efc"), 16, 4, (0,), (0,), (0,), (0,), False, True)
LITTLE = Genotype((BLOCK,), name="little")
ROWS = DataSource("synth:criteo", rows=1500)
QUICK = DemoOptions(epochs=1, seed=3)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return runs.demo(LITTLE, ROWS, tmp_path_factory.mktemp("demo"), QUICK, progress=False)


def test_what_it_gives(found: DemoRun) -> None:
    assert not found.interrupted and [one.name for one in found.models] == ["little", "logistic_regression", "dlrm"]
    assert [(one.optimizer, one.lr) for one in found.models] == [("adam", 0.01), ("adagrad", 0.1), ("adam", 0.002)]
    for one in found.models:
        assert one.test is not None and one.test["rows"] == 150
        assert one.test["log_loss"] > found.teacher["log_loss"]
    assert 0.3 < found.entropy < 0.7
    assert runs.load(found.folder) == found
    left = sorted(os.listdir(found.folder))
    assert left == ["baselines", "little.pt", "little.py", "little.svg", "report.json"]


def test_it_is_no_run_of_one_model(found: DemoRun) -> None:
    with pytest.raises(RunError, match="holds models of a demonstration"):
        runs.open_run(found.folder)


def test_its_picture(found: DemoRun) -> None:
    assert draw(found).read_bytes().startswith(b"\x89PNG")


def test_the_same_again(found: DemoRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events: list[runs.Event] = []
    again = runs.demo(LITTLE, ROWS, tmp_path, QUICK, progress=events.append)
    assert [one.test for one in again.models] == [one.test for one in found.models]
    assert capfd.readouterr() == ("", "")
    labels = [*dict.fromkeys(event.label for event in events)]
    assert labels == ["", "little", "logistic_regression", "dlrm"]
    assert any("little.svg" in event.text for event in events) and any("one pass" in event.text for event in events)


def test_rows_by_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("NASREC_DATA", str(tmp_path / "gone"))
    with pytest.raises(NasrecError, match="gone: no such file"):
        runs.demo(LITTLE, out=tmp_path / "demo", progress=False)


def test_passes_follow_from_the_rows() -> None:
    assert DemoOptions().config(160_000).epochs == 1 and DemoOptions().config(40_000).epochs == 4
    assert DemoOptions().config(100).epochs == 5 and DemoOptions(epochs=7).config(100).epochs == 7


def test_what_it_refuses(tmp_path: Path) -> None:
    for options, words in (
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(TrainError, match=words):
            DemoOptions(**options)
    (tmp_path / "report.json").write_text('{"command": "train"}')
    with pytest.raises(TrainError, match="holds what 'nasrec train' found"):
        runs.demo(LITTLE, ROWS, tmp_path, QUICK, progress=False)
    with pytest.raises(NasrecError, match="nope"):
        runs.demo("nope", ROWS, tmp_path / "demo", QUICK, progress=False)
