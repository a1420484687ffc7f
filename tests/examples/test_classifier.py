"""The example of a classifier, in reduced form."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "classifier.py"


def test_the_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("classifier", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    accuracy = module.main(tmp_path / "model", rows=2000, time_limit_s=0.01)
    assert 0.5 < accuracy <= 1 and (tmp_path / "model" / "classifier.json").is_file()
    told = capsys.readouterr().out
    assert "valid_log_loss" in told and "logistic_regression" in told and "click" in told
