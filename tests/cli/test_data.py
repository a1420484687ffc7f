"""`nasrec data`: raw files to prepared folders and on to training; one line for whatever is wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nasrec.data.staging import Staging


def frappe(path: Path, rows: int = 600, bad: str | None = None) -> Path:
    rng = random.Random(0)
    header = "label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city"
    lines = [",".join([str(row % 2), *(str(rng.randrange(30)) for _ in range(10))]) for row in range(rows)]
    path.write_text("\n".join([header, *lines, *([bad] if bad else [])]) + "\n")
    return path


def test_prepare_show_compile_train(cli: Any, own: Path, tmp_path: Path) -> None:
    raw, out = frappe(tmp_path / "log.csv", bad="7,1,1,1,1,1,1,1,1,1,1"), tmp_path / "out"
    done = cli("data", "prepare", "--dataset", "frappe", raw, "-o", out)
    assert done.status == 0, done.err
    assert "600 rows" in done.out and "1 bad row left out (1 label)" in done.out
    assert f"{raw}:602: column 'label' is '7'" in done.out

    shown = cli("data", "show", out, "--check", "--json").json
    assert shown["parts"]["train"]["rows"] == 480 and shown["columns"][0]["rows"] == 32
    assert cli("data", "show", out).out == done.out
    assert cli("data", "prepare", "--dataset", "frappe", raw, "-o", out).out == done.out  # nothing left to do

    compiled = cli("compile", own, "--data", out, "--json").json
    assert compiled["features"]["cardinalities"] == [column["rows"] for column in shown["columns"]]

    trained = cli("train", own, "--data", out, "-o", tmp_path / "run", "--json", "--batch-size", 64)
    assert trained.status == 0, trained.err
    assert trained.json["data"]["rows"] == {"train": 480, "valid": 60, "test": 60}
    assert trained.json["data"]["sha256"]["train"] == f"{shown['checksum']}/train"
    assert json.loads((tmp_path / "run" / "report.json").read_text())["scores"]["test"]["rows"] == 60


def test_training_from_disk_is_training_from_memory(cli: Any, tmp_path: Path) -> None:
    raw, out = frappe(tmp_path / "log.csv"), tmp_path / "out"
    cli("data", "prepare", raw, "-o", out, "--table-rows", "none")
    lr = ("train", "logistic_regression", "--json", "--epochs", 2, "--batch-size", 50)
    one = cli(*lr, "--data", out, "-o", tmp_path / "a").json
    two = cli(*lr, "--data", raw, "-o", tmp_path / "b").json
    assert one["scores"] == two["scores"]


def test_synth(cli: Any, tmp_path: Path) -> None:
    done = cli("data", "synth", "--like", "avazu", "--rows", "2,000", "-o", tmp_path / "twin", "--seed", 3, "--json")
    assert done.json["synthetic"] and done.json["parts"]["test"]["rows"] == 200 and done.json["dense"] == []
    trained = cli("train", "logistic_regression", "--data", tmp_path / "twin", "-o", tmp_path / "run")
    assert trained.status == 0, trained.err
    cli("data", "synth", "--like", "movielens", "--rows", 10, "-o", tmp_path / "x").fails_with("movielens", "criteo")
    cli("data", "synth", "--like", "avazu", "-o", tmp_path / "x").fails_with("--rows", "--help")


def test_interrupt_keeps_what_is_done(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = frappe(tmp_path / "log.csv"), tmp_path / "out"
    real = Staging.record

    def record(self: Staging, step: str, **values: Any) -> None:
        real(self, step, **values)
        if step == "rank" and len(self.records) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(Staging, "record", record)
    command = ("data", "prepare", raw, "-o", out)
    done = cli(*command)
    assert done.status == 130 and done.out == ""
    assert "interrupted; what is done is kept" in done.err and "run the same command again" in done.err
    cli("train", "dlrm", "--data", out, "-o", tmp_path / "r").fails_with("not finished; run the same command again")
    cli("data", "show", out).fails_with("not finished")
    monkeypatch.undo()
    assert cli(*command).status == 0


def test_bad_usage(cli: Any, tmp_path: Path) -> None:
    raw, out = frappe(tmp_path / "log.csv"), tmp_path / "out"
    cli("data").fails_with("name an action", "prepare", "synth", "show")
    cli("data", "prepare", raw).fails_with("-o", "--help")
    prepare = ("data", "prepare", raw, "-o", out)
    cli(*prepare, "--dataset", "movielens").fails_with("movielens", "criteo, avazu, kdd, frappe")
    cli(*prepare, "--table-rows", "many").fails_with("--table-rows", "many")
    cli(*prepare, "--max-bad-rows", "-1").fails_with("--max-bad-rows", "-1")
    cli(*prepare, "--schema", tmp_path / "none.toml").fails_with("none.toml", "cannot be read")
    cli(*prepare, "--split", "given").fails_with("three files")
    cli(*prepare, "--fractions", 1, 0, 0).fails_with("three positive numbers")
    cli("data", "prepare", tmp_path / "nowhere", "-o", out).fails_with("nowhere: no such file")
    cli("data", "show", tmp_path).fails_with("holds no prepared data")
    assert not out.exists()
    cli("data", "prepare", frappe(tmp_path / "bad.csv", bad="7,1"), "-o", out, "--strict").fails_with("bad.csv:602: 2 ")
    done = cli("data", "prepare", raw, "-o", tmp_path / "done")
    assert done.status == 0
    cli("train", "dlrm", "--data", tmp_path / "done", "--rows", 5).fails_with("--rows belong", "leave them out")
