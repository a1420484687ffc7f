"""The settings of the leaderboard train, and the table says what their reports say."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import frappe
from benchmarks.frappe import SETTINGS, Setting
from nasrec import FeatureSpec
from nasrec.errors import DataError
from nasrec.runs import DataSource
from nasrec.runs.model import architecture_of

SHORT = {"max_steps": 2, "batch_size": 128}


def shortened(model: str, **options: Any) -> Setting:
    setting = SETTINGS[model]
    return replace(setting, options={**setting.options, **SHORT, **options})


@pytest.mark.parametrize("model", SETTINGS)
def test_every_setting_is_one_of_the_leaderboard(model: str) -> None:
    setting = SETTINGS[model]
    options = setting.train_options(3)
    config = options.config
    assert (config.seed, config.lr, config.clip_norm, config.warmup) == (3, 0.001, 10, 0)
    assert config.embedding_decay == setting.embedding_decay and config.weight_decay == 0
    assert (config.monitor, config.schedule, config.patience) == ("auc", "plateau", 2)
    assert options.embedding_std == 1e-4
    architecture = architecture_of(model).with_options(options.model_options)
    given = {name: value for name, value in setting.options.items() if name != "embedding_dim"}
    assert architecture.name == model and architecture.options == given
    assert options.embedding_dim is not None
    graph = architecture.graph(FeatureSpec(0, [5] * 10, options.embedding_dim))
    assert any(node.op == "batch_norm" for node in graph) == (setting in frappe.LEADERBOARD)


@pytest.mark.slow
def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seeds through the whole program; the second call trains nothing."""
    rows = DataSource("synth:frappe", rows=400)
    monkeypatch.setattr(frappe, "prepared", lambda data, folder: rows)
    monkeypatch.setitem(SETTINGS, "deepfm", shortened("deepfm", hidden=(8,)))
    words = ["frappe", "--data", "synth:frappe", "--models", "deepfm", "dlrm", "--runs", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "a.json"), "--models", "deepfm", "--seeds", "2"])
    frappe.main()
    table = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    (row,) = result["rows"]
    scores = [
        json.loads((tmp_path / "deepfm" / f"seed-{seed}" / "report.json").read_text())["scores"]["test"]["auc"]
        for seed in (0, 1)
    ]
    assert row["auc"] == pytest.approx(sum(scores) / 2) and row["seeds"] == 2
    assert row["auc_std"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert row["difference"] == pytest.approx(row["auc"] - 0.9842)
    assert f"{row['auc']:.4f}" in table and "deepfm" in table
    frappe.main()
    assert "finished before" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["frappe", "--show", "--runs", str(tmp_path)])
    frappe.main()
    shown = capsys.readouterr().out
    assert "deepfm" in shown and "dlrm" not in shown


def test_what_fails_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        frappe.train(SETTINGS["deepfm"], os.fspath(tmp_path / "none"), 0, tmp_path)


@pytest.mark.slow
def test_real_rows_are_prepared_and_learnt(tmp_path: Path) -> None:
    """One epoch of a narrow DeepFM on Frappe_x1 ranks far better than chance: the leaderboard's logs say 0.937."""
    source = os.environ.get("NASREC_DATA")
    if not source:
        pytest.skip("NASREC_DATA is not set: no folder with real click logs")
    data = frappe.prepared(source, tmp_path / "data")
    assert frappe.prepared(data, tmp_path / "other") == data
    setting = replace(SETTINGS["deepfm"], options=SETTINGS["deepfm"].options | {"hidden": (32,), "epochs": 1})
    frappe.train(setting, data, 0, tmp_path)
    (report,) = frappe.finished(tmp_path / "deepfm", 1)
    assert report["data"]["rows"] == {"train": 202_005, "valid": 57_722, "test": 28_860}
    assert report["scores"]["test"]["auc"] > 0.85
