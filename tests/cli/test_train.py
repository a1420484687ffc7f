"""`nasrec train`: results on disk, reproducible, interruptible; bad rows are refused."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec
from nasrec import Genotype, baselines
from nasrec.data import synthesize, write_criteo_tsv
from nasrec.train import evaluate

TWIN = ("--data", "synth:frappe", "--rows", 2000, "--batch-size", 256)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return found


def test_results_on_disk(cli: Any, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = cli("train", own, *TWIN, "-o", out, "--seed", 2, "--epochs", 2)
    assert done.status == 0, done.err
    assert "little: 2 of 3 blocks are live" in done.out and "teacher on test" in done.out
    assert sorted(os.listdir(out)) == [
        "checkpoints", "config.toml", "genotype.json", "graph.ir", "metrics.csv", "metrics.jsonl", "model.py",
        "report.html", "report.json", "report.png", "weights.pt",
    ]  # fmt: skip
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["rows"] == 2 * 1600 and len(report["evaluations"]) == 2 and not report["interrupted"]
    assert report["config"]["seed"] == 2 and report["environment"]["packages"]["torch"] == torch.__version__

    # What was saved is what was scored.
    splits = synthesize("frappe", 2000, 2).log.split()
    model = nasrec.compile(Genotype.load(out / "genotype.json"), splits.train.features())
    model.load_state_dict(weights_of(out))
    assert evaluate(model, splits.test).log_loss == pytest.approx(report["scores"]["test"]["log_loss"], rel=1e-6)
    assert (out / "model.py").read_text(encoding="utf-8") == model.source
    assert f"{report['scores']['test']['log_loss']:.5f}" in done.out
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"{report['scores']['test']['auc']:.5f}" in page and "data:image/png;base64," in page


@pytest.mark.usefixtures("no_pictures")
def test_training_learns_and_repeats(cli: Any, tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        done = cli("train", "logistic_regression", *TWIN, "-o", tmp_path / name, "--json", "--epochs", 3)
        runs.append(done.json)
    first = [look["metrics"]["log_loss"] for look in runs[0]["evaluations"]]
    assert first == [look["metrics"]["log_loss"] for look in runs[1]["evaluations"]]
    assert runs[0]["data"]["sha256"] == runs[1]["data"]["sha256"]
    assert first[-1] < first[0]
    a, b = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.usefixtures("no_pictures")
def test_weights_are_where_training_starts(cli: Any, tmp_path: Path) -> None:
    cli("train", "logistic_regression", *TWIN, "-o", tmp_path / "a")
    still = ("--lr", 1e-30, "--weights", tmp_path / "a" / "weights.pt")
    assert cli("train", "logistic_regression", *TWIN, "-o", tmp_path / "b", *still, "--seed", 0).status == 0
    a, b = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.usefixtures("no_pictures")
def test_raw_criteo_file(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    write_criteo_tsv(synthesize("criteo", 1500, 1), path)
    found = cli("train", "logistic_regression", "--data", path, "-o", tmp_path / "run", "--json", "--rows", 1000).json
    assert found["data"]["rows"] == {"train": 800, "valid": 100, "test": 100}
    assert found["model"]["features"]["num_dense"] == 13
    assert "teacher_on_test" not in found["scores"]


def test_interrupt_keeps_what_was_done(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasrec.train import progress

    def interrupt(self: object, rows: int, loss: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.MeterProgress, "advance", interrupt)
    done = cli("train", "logistic_regression", *TWIN, "-o", tmp_path / "run")
    assert done.status == 130 and "interrupted" in done.out
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["interrupted"] and report["steps"] == 1 and "scores" not in report
    assert weights_of(tmp_path / "run").keys() == nasrec.compile_graph(
        baselines.build("logistic_regression", synthesize("frappe", 10, 0).log.features())
    ).state_dict().keys()  # fmt: skip


@pytest.mark.usefixtures("no_pictures")
def test_default_folder_is_named_after_the_model(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("train", "logistic_regression", *TWIN).status == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("logistic_regression-")


def test_bad_rows(cli: Any, tmp_path: Path) -> None:
    lr = ("train", "logistic_regression", "-o", tmp_path / "run")
    cli(*lr).fails_with("--data", "--help")
    cli(*lr, "--data", tmp_path / "none").fails_with("none: no such file", "synth:criteo")
    cli(*lr, "--data", "synth:movielens").fails_with("movielens", "criteo", "frappe")
    cli(*lr, "--data", "synth:frappe", "--kind", "frappe").fails_with("--kind")
    cli(*lr, "--data", "synth:frappe", "--rows", 5).fails_with("part", "more rows")
    cli(*lr, *TWIN, "--split", "sideways").fails_with("sideways", "time")
    path = tmp_path / "odd.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["a", "b"], [1, 2]])
    cli(*lr, "--data", path).fails_with("odd.csv", "not a known click log")
    assert not (tmp_path / "run").exists()


def test_bad_settings(cli: Any, own: Path, tmp_path: Path) -> None:
    cli("train", "logistic_regression", *TWIN, "--lr", "-1", "-o", tmp_path / "r").fails_with("lr must be", "-1")
    cli("train", "logistic_regression", *TWIN, "--lr", "fast").fails_with("--lr", "fast")
    cli("train", "logistic_regression", *TWIN, "--epochs", 0).fails_with("--epochs")
    cli("train", "logistic_regression", *TWIN, "--device", "abacus").fails_with("abacus", "cpu")
    cli("train", own, *TWIN, "--embedding-dim", 12, "-o", tmp_path / "r").fails_with("12")
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    cli("train", "logistic_regression", *TWIN, "-o", blocked / "run").fails_with("cannot be a folder")
