"""`nasrec demo`: the main job in a tiny configuration."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from nasrec.data import synthesize, write_criteo_tsv
from nasrec.runs.demo import entropy


@pytest.fixture
def tiny(own: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("--genotype", own, "--rows", 2000, "--epochs", 1, "-o", tmp_path / "demo")


def test_does_the_whole_job(cli: Any, tiny: Any, tmp_path: Path) -> None:
    done = cli("demo", *tiny)
    assert done.status == 0, done.err
    assert "little: 2 of 3 blocks are live (0 and 2)" in done.out
    for line in ("always the click rate", "logistic_regression", "dlrm", "little", "teacher: best possible"):
        assert f"\n{line}  " in done.out
    folder = tmp_path / "demo"
    assert sorted(os.listdir(folder)) == [
        "baselines", "curves.png", "little.pt", "little.py", "little.svg", "report.json"
    ]  # fmt: skip
    assert sorted(os.listdir(folder / "baselines")) == ["dlrm.pt", "logistic_regression.pt"]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(folder / "little.svg")
    compile((folder / "little.py").read_text(encoding="utf-8"), "little.py", "exec")


def test_a_name_that_is_a_path_stays_a_name(cli: Any, own: Path, tiny: Any, tmp_path: Path) -> None:
    value = json.loads(own.read_text(encoding="utf-8"))
    own.write_text(json.dumps(value | {"name": "../../dlrm"}), encoding="utf-8")
    before = sorted(os.listdir(tmp_path))
    assert cli("demo", *tiny).status == 0
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "demo"])
    assert {"dlrm.py", "dlrm.pt", "dlrm.svg"} <= set(os.listdir(tmp_path / "demo"))
    assert len(list((tmp_path / "demo" / "baselines").iterdir())) == 2


def test_report_agrees_with_the_rows(cli: Any, tiny: Any) -> None:
    report = cli("demo", *tiny, "--json", "--seed", 3).json
    synthetic = synthesize("criteo", 2000, 3)
    splits = synthetic.log.split()
    assert report["data"]["rows"] == {"train": 1600, "valid": 200, "test": 200}
    assert [model["name"] for model in report["models"]] == ["little", "logistic_regression", "dlrm"]
    assert report["click_rate_entropy"] == pytest.approx(entropy(splits.test.click_rate))
    for model in report["models"]:
        # Trained in the same way: only how fast each learns may differ.
        same = {key: value for key, value in model["config"].items() if key not in ("optimizer", "lr")}
        assert same == {key: report["config"][key] for key in same}
        assert model["rows"] == 1600
        assert model["test"]["rows"] == 200
        assert model["test"]["log_loss"] > report["teacher"]["log_loss"]
        assert len(model["evaluations"]) >= 4
    assert report["model"]["live_blocks"] == [0, 2]


def test_real_rows_by_environment(cli: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_criteo_tsv(synthesize("criteo", 1500, 5), folder / "train.txt")
    with gzip.open(folder / "criteo_sample.tsv.gz", "wb") as sample:
        write_criteo_tsv(synthesize("criteo", 1000, 6), folder / "plain")
        sample.write((folder / "plain").read_bytes())
    (folder / "plain").unlink()
    shutil.copy(folder / "train.txt", folder / "train.csv")
    monkeypatch.setenv("NASREC_DATA", str(folder))
    report = cli("demo", *tiny, "--json").json
    assert "criteo_sample.tsv.gz" in report["data"]["source"] and report["teacher"] is None
    assert report["data"]["rows"]["train"] == 800
    explicit = cli("demo", *tiny, "--json", "--data", folder / "train.txt").json
    assert "train.txt" in explicit["data"]["source"]


def test_bad_input(cli: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("demo", "--genotype", "nope").fails_with("nope", "criteo-full")
    cli("demo", *tiny, "--data", tmp_path / "none").fails_with("none: no such file")
    monkeypatch.setenv("NASREC_DATA", str(tmp_path / "gone"))
    cli("demo", *tiny).fails_with("gone: no such file")
    monkeypatch.delenv("NASREC_DATA")
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    cli("demo", *tiny, "-o", blocked).fails_with("cannot be a folder")


def test_interrupt_keeps_what_was_done(own: Path, tmp_path: Path) -> None:
    """A real Ctrl-C, while the second model or a later one trains."""
    folder = tmp_path / "demo"
    args = ["demo", "--genotype", str(own), "--rows", "4000", "--epochs", "500", "-o", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "nasrec", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:  # a line of progress: training has begun
        if line.startswith("little: epoch 1"):
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["interrupted"] and report["models"][0]["steps"] > 0 and report["models"][0]["test"] is None
    assert (folder / "little.pt").exists() and "interrupted" in out


def test_entropy_of_a_click_rate() -> None:
    assert entropy(0.5) == pytest.approx(math.log(2))
    assert entropy(0.25) == pytest.approx(0.5623351446)
