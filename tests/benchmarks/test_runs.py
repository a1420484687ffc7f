"""The benchmarks of whole models run, on small sizes, and write what they promise."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from benchmarks import common, compiled_model, supernet_memory, supernet_scoring, supernet_step, supernet_training


@pytest.fixture(autouse=True)
def _threads() -> Any:
    """Benchmarks set torch's threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> dict[str, Any]:
    target = tmp_path / "new" / "result.json"
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", str(target), "--rounds", "1", *words])
    module.main()
    result: dict[str, Any] = json.loads(target.read_text())
    return result


def test_compiled_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--genotypes", "kdd-full", "criteo-small", "--batch", "16", "--compile", "--threads", "1")
    result = run(compiled_model, monkeypatch, tmp_path, *words)
    assert result["machine"]["threads"] == 1 and "omp_wait_policy" in result["machine"]
    assert {"reference", "layer_norm", "floor", "peaks"} <= set(result["notes"])
    assert [(row["genotype"], row["pass"]) for row in result["rows"]] == [
        ("kdd-full", "forward"),
        ("kdd-full", "step"),
        ("criteo-small", "forward"),
        ("criteo-small", "step"),
    ]
    for row in result["rows"]:
        assert row["x_release"] == pytest.approx(row["release_ms"] / row["ours_ms"])
        assert row["inductor_ms"] is None
        assert row["of_floor"] == pytest.approx(row["ours_ms"] / row["floor_ms"])
    forward, step = result["rows"][:2]
    assert 0 < 2 * forward["floor_ms"] < step["floor_ms"]
    assert "OMP_WAIT_POLICY" in capsys.readouterr().out


def test_supernet_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("--blocks", "2", "--draws", "2", "--batch", "16", "--rows", "30")
    result = run(supernet_step, monkeypatch, tmp_path, *words)
    assert {name: len(paths) for name, paths in result["notes"]["paths"].items()} == {"full": 2, "small": 2}
    lines = {(row["space"], row["draw"]): row for row in result["rows"]}
    assert list(lines) == [(space, draw) for space in ("full", "small") for draw in ("0", "1", "mean", "median")]
    for space in ("full", "small"):
        for key in ("release_ms", "published_ms", "sliced_ms", "published_bf16_ms", "sliced_bf16_ms"):
            drawn = [lines[space, draw][key] for draw in ("0", "1")]
            assert lines[space, "mean"][key] == pytest.approx(sum(drawn) / 2)
        mean = lines[space, "mean"]
        assert mean["x_sliced"] == pytest.approx(mean["release_ms"] / mean["sliced_ms"])


def test_supernet_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("--blocks", "1", "--steps", "2", "--batch", "16", "--rows", "600", "--cardinality", "20", "--threads", "1")
    result = run(supernet_training, monkeypatch, tmp_path, *words)
    lines = {(row["space"], row["rival"]): row for row in result["rows"]}
    assert {space for space, _ in lines} == {"full", "small"}
    for space in ("full", "small"):
        release = lines[space, "release"]
        for rival in ("sliced", "published", "sliced_bf16", "published_bf16", "sliced_inline", "bare"):
            row = lines[space, rival]
            assert row["x_release"] == pytest.approx(release["ms_per_step"] / row["ms_per_step"])
            assert row["rows_per_s"] == pytest.approx(16e3 / row["ms_per_step"], rel=0.01)


@pytest.mark.slow
def test_supernet_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("--blocks", "1", "--fields", "3", "--rows", "50", "--steps", "4", "--batch", "8", "--threads", "1")
    with pytest.raises(SystemExit) as done:
        run(supernet_memory, monkeypatch, tmp_path, *words)
    assert done.value.code == 0
    result = json.loads((tmp_path / "new" / "result.json").read_text())
    assert [(row["part"], row["steps"]) for row in result["rows"]] == [("train", 2), ("resume", 2)]
    assert all(0.05 < float(row["peak_gib"]) < 4 for row in result["rows"])
    assert result["notes"]["verdict"].endswith("within 8 GiB")


def test_draws_are_fixed_and_of_the_published_kind() -> None:
    space = supernet_step.SPACES["full"](7, max_gate_inputs=1)
    drawn = supernet_step.draws(space, 12, 0)
    assert drawn == supernet_step.draws(space, 12, 0) and len(set(drawn)) == 12
    assert drawn[:4] == supernet_step.draws(space, 4, 0)
    blocks = [block for path in drawn for block in path.blocks]
    assert all(len(block.operators) == 2 and len(block.left_inputs) == len(block.right_inputs) == 1 for block in blocks)
    assert max(len(path.blocks[-1].dense_inputs) for path in drawn) > 4  # no cap on connections


def test_rounds_end_when_the_budget_is_spent() -> None:
    timings = common.interleaved({"one": lambda: None}, rounds=1000, budget_s=0.0)
    assert timings["one"].rounds == common.MIN_ROUNDS
    assert common.interleaved({"one": lambda: None}, rounds=5)["one"].rounds == 5


def test_slow_calls_are_warmed_up_twice_only() -> None:
    """Not for whole seconds before the first round."""
    calls = []
    common.interleaved({"one": lambda: calls.append(sum(range(10_000)))}, rounds=3, slice_s=1e-9)
    assert len(calls) == 2 + 3


def test_supernet_scoring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("--spaces", "small", "--blocks", "1", "--draws", "1", "--rows", "300", "--valid", "100", "--batch", "8")
    rivals = ("kept", "release tuned")
    target = tmp_path / "result.json"
    words = (*words, "--steps", "2", "--rivals", *rivals, "--json", str(target))
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    supernet_scoring.main()
    ours, theirs = json.loads(target.read_text())["rows"]
    assert (ours["rival"], theirs["rival"]) == rivals
    speedup = ours["genotypes_per_hour"] / theirs["genotypes_per_hour"]
    assert ours["x_release"] == pytest.approx(speedup, rel=0.01)
    assert theirs["x_release"] is None
