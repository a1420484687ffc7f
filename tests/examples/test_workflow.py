"""The workflow on a DataFrame, in reduced form: everything in it is called, and every result is a score."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nasrec import runs
from nasrec.baselines import BASELINES
from nasrec.data import synthesize

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "workflow.py"


def test_it_is_short() -> None:
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.slow
def test_the_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("workflow", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.workflow(synthesize("frappe", 2500).log.to_frame(), tmp_path, evaluations=8)
    assert list(found) == [*BASELINES, "searched", "in 8 bits", "pruned", "on a chip"]
    assert all(0.3 < value < 2.0 for value in found.values())  # of models that saw 2,000 rows once
    assert "uJ a sample" in capsys.readouterr().out
    search = runs.load(tmp_path / "search")
    assert isinstance(search, runs.SearchRun) and search.chosen is not None
    assert search.chosen.scores["test"]["log_loss"] == found["searched"]
    for name, folder in (("dlrm", "dlrm"), ("in 8 bits", "quantized")):
        assert runs.load(tmp_path / folder).report["scores"]["test"]["log_loss"] == found[name]
    pruned = runs.load(tmp_path / "pruned")
    assert isinstance(pruned, runs.PruneRun) and pruned.rounds[-1].scores["test"]["log_loss"] == found["pruned"]
