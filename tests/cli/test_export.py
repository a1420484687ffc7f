"""`nasrec export`: files that other runtimes read, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nasrec
from nasrec import FeatureSpec, Genotype

FEATURES = FeatureSpec(3, [11] * 4)


def test_onnx_with_given_weights(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    weights, path = tmp_path / "w.pt", tmp_path / "model.onnx"
    cli("compile", own, *columns, "--save-weights", weights, "--seed", 5)
    done = cli("export", own, *columns, "--format", "onnx", "-o", path, "--weights", weights)
    assert (done.status, done.err) == (0, ""), done
    assert "batch sizes 1, 7 and 512" in done.out and "initial" not in done.out
    model = nasrec.compile(Genotype.load(own), FEATURES, seed=5)
    dense, sparse = torch.randn(4, 3), torch.randint(11, (4, 4))
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(["logit"], {"dense": dense.numpy(), "sparse": sparse.numpy()})
    np.testing.assert_allclose(found, model(dense, sparse).detach().numpy(), atol=1e-4)


def test_pt2_json(cli: Any, tmp_path: Path, columns: Any) -> None:
    path = tmp_path / "model.pt2"
    found = cli("export", "logistic_regression", *columns, "--format", "pt2", "-o", path, "--json").json
    assert found["batch_sizes"] == [1, 7, 512] and found["max_difference"] < 1e-5
    assert found["size_bytes"] == path.stat().st_size
    program = torch.export.load(path).module()
    assert program(torch.randn(2, 3), torch.randint(11, (2, 4))).shape == (2,)


def test_usage(cli: Any, tmp_path: Path, columns: Any) -> None:
    cli("export", "dlrm", *columns, "-o", tmp_path / "x").fails_with("--format", "--help")
    cli("export", "dlrm", *columns, "--format", "onnx").fails_with("-o", "--help")
    cli("export", "dlrm", *columns, "--format", "tflite", "-o", "x").fails_with("tflite", "onnx", "pt2")
    missing = tmp_path / "none" / "x.pt2"
    cli("export", "dlrm", *columns, "--format", "pt2", "-o", missing).fails_with("x.pt2: cannot be written")
    assert os.listdir(tmp_path) == []
