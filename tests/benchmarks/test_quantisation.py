"""The benchmark's table: pairs each quantised run with the float run of its seed, and leaves out what is not there."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import quantisation


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
    given: list[list[str]] = []
    monkeypatch.setattr(quantisation, "run", lambda words: given.append(list(words)))
    report(tmp_path / "floats" / "deepfm" / "seed-0", 0.1, 0.9)
    options = argparse.Namespace(
        runs=tmp_path / "q", floats=tmp_path / "floats", data="D", rows=None, options="", schemes=["mixed"],
        ways=["calibrated"], epochs=1,
    )  # fmt: skip
    for seed in (0, 1):
        quantisation.one_seed("deepfm", seed, options)
    (words,) = given  # seed 1 has no float model
    assert words[:2] == ["quantize", "deepfm"] and words[words.index("--weights") + 1].endswith("floats/deepfm/seed-0")
    assert words[words.index("--bits") + 1] == "deep.out=8" and words[words.index("--hidden") + 1] == "400,400,400"
    assert "--epochs" not in words and "--patience" not in words
