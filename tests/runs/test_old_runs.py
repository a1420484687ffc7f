"""Run folders of version 0.1.0: the same command goes on with what was interrupted and shows what was finished."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasrec.cli import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs-0.1"
RUNS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "runs.json").read_text(encoding="utf-8"))
NEEDS = {"search-interrupted": "supernet-finished", "search-retrained": "supernet-finished", "quantize": "train-seeds"}

Unpack = Callable[[str], Path]


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """`unpack(name)` puts a run, and what its command reads, into the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASREC_DATA", raising=False)

    def run(name: str) -> Path:
        for archive in ("data", name, *([NEEDS[name]] if name in NEEDS else [])):
            with tarfile.open(GOLDEN / f"{archive}.tar.xz") as tar:
                tar.extractall(tmp_path, filter="data")
        return tmp_path / name

    return run


def place_of(path: Path, folder: Path) -> str:
    """Where a file lies; the chosen model of a search has moved up in its folder."""
    return str(path.relative_to(folder)).replace("retrain/chosen/", "chosen/")


def points_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Lines of curves and journals by file, without what depends on the clock."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found[place_of(path, folder)] = [
            {key: value for key, value in line.items() if key not in ("rows_per_s", "seconds")} for line in lines
        ]
    return found


def weights_of(folder: Path) -> dict[str, bytes]:
    return {place_of(path, folder): path.read_bytes() for path in sorted(folder.rglob("*.pt"))}


def end_of(report: dict[str, Any]) -> dict[str, Any]:
    """What `runs.json` says of a run's end, from its report."""

    def scores(parts: dict[str, Any], *names: str) -> dict[str, Any]:
        def mean(value: Any) -> float:
            return value["mean"] if isinstance(value, dict) else value

        return {part: {score: mean(parts[part][score]) for score in ("log_loss", "auc")} for part in names}

    if report["command"] == "supernet train":
        return scores({"valid": report["best_valid"]["metrics"]}, "valid")
    if report["command"] == "search":
        best = {"number": report["best"]["number"], "log_loss": report["best"]["values"]["log_loss"]}
        found = {"best": best, "evaluations": report["evaluations"]}
        return found | (scores(report["retrain"]["scores"], "test") if report.get("retrain") else {})
    if report["command"] == "prune":
        rounds = [(one["macs"], one["scores"]["test"]["log_loss"]) for one in report["rounds"]]
        return {"rounds": [{"macs": macs, "log_loss": log_loss} for macs, log_loss in rounds]}
    return scores(report["scores"], "valid", "test")


def assert_near(found: Any, wanted: Any, tolerance: float) -> None:
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_near(found[key], value, tolerance)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_near(one, other, tolerance)
    else:
        assert found == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("name", [name for name in RUNS if RUNS[name]["interrupted"]])
def test_an_interrupted_run_goes_on(unpack: Unpack, name: str) -> None:
    """Earlier points stay, later ones follow, and the end is the one of the version that began it, as far as another
    number of threads or another processor, which rounds otherwise, comes to the same place after all steps."""
    folder = unpack(name)
    before = points_of(folder)
    assert main(RUNS[name]["command"].split()) == 0
    after = points_of(folder)
    assert all(after[path][: len(lines)] == lines for path, lines in before.items())
    assert sum(map(len, after.values())) > sum(map(len, before.values()))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert not report.get("interrupted", False)
    assert_near(end_of(report), RUNS[name]["ends_with"], 0.02)


@pytest.mark.parametrize("name", [name for name in RUNS if not RUNS[name]["interrupted"]])
def test_a_finished_run_is_shown(unpack: Unpack, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unpack(name)
    points, weights = points_of(folder), weights_of(folder)
    assert main([*RUNS[name]["command"].split(), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert_near(end_of(report), RUNS[name]["ends_with"], 1e-12)
    assert points_of(folder) == points and weights_of(folder) == weights


@pytest.mark.parametrize("name", [name for name in RUNS if not RUNS[name]["interrupted"]])
def test_its_page_can_be_drawn(unpack: Unpack, name: str) -> None:
    folder = unpack(name)
    assert not (folder / "report.html").exists()
    assert main(["report", name]) == 0
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("change", ["--batch-size 32", "--seed 5", "--embedding-dim 8"])
def test_another_run_is_still_told_apart(unpack: Unpack, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    unpack("train-interrupted")
    assert main([*RUNS["train-interrupted"]["command"].split(), *change.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nasrec: ") and error.count("\n") == 1 and "holds a run" in error
