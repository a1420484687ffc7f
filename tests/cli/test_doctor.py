"""`nasrec doctor`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nasrec import kernels
from nasrec.cli.commands import doctor


def test_text_names_versions_and_kernels(cli: Any) -> None:
    done = cli("doctor")
    assert (done.status, done.err) == (0, "")
    assert torch.__version__ in done.out
    assert "pairwise_dot" in done.out and "linear" in done.out


def test_json(cli: Any) -> None:
    found = cli("doctor", "--json").json
    rows = {(row["operation"], row["device"]): row for row in found["kernels"]}
    assert {operation for operation, _ in rows} == set(kernels.__all__) - {"use_reference"}
    assert all(row["kernel"] or row["reason"] for row in rows.values())
    assert found["environment"]["packages"]["torch"] == torch.__version__
    assert set(found["optional_packages"]) >= {"onnx", "onnxruntime", "onnxscript", "safetensors"}


def test_a_missing_torch_is_a_finding(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = doctor.examine() | {"torch_problem": "No module named 'torch'", "build": None, "kernels": []}
    monkeypatch.setattr(doctor, "examine", lambda: report)
    done = cli("doctor")
    assert done.status == 0 and "cannot be imported: No module named 'torch'" in done.out
