"""The benchmark's table: pairs each quantised run with the float run of its seed, and leaves out what is not there."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import quantisation
from nasrec.runs import DataSource


def report(folder: Path, log_loss: float, auc: float) -> None:
    folder.mkdir(parents=True)
    found = {"scores": {"test": {"log_loss": log_loss, "auc": auc}}, "quantisation": {"bytes": {"quantised": 2048}}}
    (folder / "report.json").write_text(json.dumps(found))


def test_differences_are_to_the_float_run_of_the_seed(tmp_path: Path) -> None:
    for seed, loss in enumerate((0.5, 0.7)):
        report(tmp_path / "dlrm" / f"seed-{seed}" / "float", loss, 0.8)
        report(tmp_path / "dlrm" / f"seed-{seed}" / "W8A8-calibrated", loss + 0.01 + 0.02 * seed, 0.79)
    report(tmp_path / "dlrm" / "seed-2" / "W8A8-calibrated", 9.0, 0.5)  # without its float run
    options = argparse.Namespace(runs=tmp_path, floats=None, seeds=3, schemes=["W8A8", "W4A8"])
    plain, rounded = quantisation.rows_of("dlrm", options)
    assert (plain["bits"], plain["seeds"], plain["log_loss"], plain["difference"]) == ("float", 2, "0.60000", "-")
    assert (rounded["bits"], rounded["how"], rounded["seeds"], rounded["kib"]) == ("W8A8", "calibrated", 2, "2")
    assert rounded["difference"] == "+0.02000" and rounded["std"] == f"{0.02 / 2**0.5:.5f}"
    assert rounded["auc_difference"] == "-0.01000"
    assert quantisation.rows_of("deepfm", options) == []


def test_float_models_of_the_frappe_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(quantisation, "runs", SimpleNamespace(quantize=lambda *arguments: given.append(arguments)))
    monkeypatch.setattr(quantisation, "finish", lambda run: None)
    report(tmp_path / "floats" / "deepfm" / "seed-0", 0.1, 0.9)
    options = argparse.Namespace(
        runs=tmp_path / "q", floats=tmp_path / "floats", data="D", rows=None, options=[("batch_size", 64)],
        schemes=["mixed"], ways=["calibrated"], epochs=1,
    )  # fmt: skip
    for seed in (0, 1):
        quantisation.one_seed("deepfm", seed, options)
    ((model, rows, folder, chosen),) = given  # seed 1 has no float model
    assert (model, rows) == ("deepfm", DataSource("D")) and folder == tmp_path / "q/deepfm/seed-0/mixed-calibrated"
    assert chosen.weight_bits == 4 and chosen.bits == {"deep.out": 8} and not chosen.trained
    assert chosen.train.weights == os.fspath(tmp_path / "floats/deepfm/seed-0")
    assert chosen.train.model_options["hidden"] == (400, 400, 400) and chosen.train.embedding_dim == 10
    assert (chosen.train.batch_size, chosen.train.patience, chosen.train.seed) == (64, None, 0)


@pytest.mark.slow
def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A float model and what is made of it, through `nasrec.runs`; the second call makes nothing."""
    threads = torch.get_num_threads()
    words = ["quantisation", "--data", "synth:criteo", "--rows", "600", "--models", "dlrm", "--seeds", "1", "--schemes"]
    words += ["float", "mixed", "--runs", str(tmp_path / "runs"), "--json", str(tmp_path / "a.json")]
    words += ["--options", "bottom=[8]", "hidden=[8]", "embedding_dim=4", "batch_size=128"]
    monkeypatch.setattr(sys, "argv", words)
    quantisation.main()
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("weights.pt")}
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["name"] == "quantisation" and result["data"] == "synth:criteo" and result["machine"]["threads"]
    assert [(row["bits"], row["how"]) for row in result["rows"]] == [
        ("float", ""), ("float", "trained on"), ("mixed", "calibrated"), ("mixed", "and trained on"),
    ]  # fmt: skip
    mixed = json.loads((tmp_path / "runs/dlrm/seed-0/mixed-calibrated/report.json").read_text())["quantisation"]
    bits = {each["node"]: (each["weight_bits"], each["act_bits"]) for each in mixed["products"]}
    assert bits.pop("top.out") == (8, 8) and set(bits.values()) == {(4, 8)}
    assert len(made) == 4 and all((path.parent / "report.html").exists() for path in made)
    capsys.readouterr()
    quantisation.main()
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert "mixed" in capsys.readouterr().out
    torch.set_num_threads(threads)
