"""Exported files: equal to the model at any batch size, free of custom operators, whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec import Block, FeatureSpec, Genotype, baselines, export, presets
from nasrec.errors import ExportError
from nasrec.export import export_onnx, export_pt2

onnxruntime = pytest.importorskip("onnxruntime")

FEATURES = FeatureSpec(3, [7, 50, 2, 11], 16)
NO_DENSE = FeatureSpec(0, [7, 50, 2], 16)
BATCHES = (1, 2, 7, 33, 512)


def block(operators: tuple[str, ...], reads: tuple[int, ...], d2s: bool, fm: bool, width: int = 16) -> Block:
    return Block(operators, width, 5, reads, reads, reads, reads, d2s, fm)


GENOTYPES = {
    "every operator": Genotype(
        (
            block(("fc", "dot_product", "sigmoid_gating", "sum", "attention", "efc"), (0,), True, True),
            block(("sigmoid_gating", "attention"), (0, 1), False, True, 24),
            block(("sum", "dot_product", "efc"), (1, 2), True, False),
        )
    ),
    "no layer norm": Genotype((block(("fc", "dot_product", "efc"), (0,), True, True),), layer_norm=False),
}


def inputs(features: FeatureSpec, batch: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 + batch)
    ids = torch.stack([torch.randint(rows, (batch,), generator=generator) for rows in features.cardinalities], 1)
    return torch.randn(batch, features.num_dense, generator=generator, dtype=dtype), ids


def check_onnx(model: nn.Module, features: FeatureSpec, path: Path, batches: tuple[int, ...] = BATCHES) -> None:
    """The file against the model, without the exporter's own check."""
    session = onnxruntime.InferenceSession(str(path))
    assert [value.name for value in session.get_inputs()] == ["dense", "sparse"]
    assert [value.name for value in session.get_outputs()] == ["logit"]
    for batch in batches:
        dense, sparse = inputs(features, batch)
        (found,) = session.run(None, {"dense": dense.numpy(), "sparse": sparse.numpy()})
        assert found.shape == (batch,)
        np.testing.assert_allclose(found, model(dense, sparse).detach().numpy(), rtol=1e-4, atol=1e-4)


def check_pt2(model: nn.Module, features: FeatureSpec, path: Path, batches: tuple[int, ...] = BATCHES) -> None:
    program = torch.export.load(path).module()
    for batch in batches:
        dense, sparse = inputs(features, batch)
        torch.testing.assert_close(program(dense, sparse), model(dense, sparse), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "features"),
    [("every operator", FEATURES), ("every operator", NO_DENSE), ("no layer norm", FEATURES)],
    ids=["every operator", "no dense columns", "no layer norm"],
)
def test_genotypes(name: str, features: FeatureSpec, tmp_path: Path) -> None:
    model = nasrec.compile(GENOTYPES[name], features, seed=1)
    report = export_pt2(model, tmp_path / "m.pt2")
    assert report.format == "pt2" and report.size_bytes == (tmp_path / "m.pt2").stat().st_size
    check_pt2(model, features, tmp_path / "m.pt2")
    report = export_onnx(model, tmp_path / "m.onnx")
    assert report.batch_sizes == (1, 7, 512)
    assert report.max_difference <= 1e-4 * max(1, report.max_logit)
    check_onnx(model, features, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("dlrm", "wide_and_deep") else pytest.param(name, marks=pytest.mark.slow)
        for name in baselines.BASELINES
    ],
)
def test_baselines(name: str, tmp_path: Path) -> None:
    model = nasrec.compile_graph(baselines.build(name, FEATURES), seed=1)
    export_pt2(model, tmp_path / "m.pt2")
    check_pt2(model, FEATURES, tmp_path / "m.pt2")
    export_onnx(model, tmp_path / "m.onnx")
    check_onnx(model, FEATURES, tmp_path / "m.onnx")


def test_a_baseline_that_never_reads_its_empty_dense_input(tmp_path: Path) -> None:
    """The argument stays in the signature, of shape [B, 0]."""
    model = nasrec.compile_graph(baselines.build("logistic_regression", NO_DENSE), seed=1)
    export_onnx(model, tmp_path / "m.onnx")
    check_onnx(model, NO_DENSE, tmp_path / "m.onnx")
    export_pt2(model, tmp_path / "m.pt2")
    check_pt2(model, NO_DENSE, tmp_path / "m.pt2")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["criteo-full", "avazu-small"])
def test_published_genotypes(name: str, tmp_path: Path) -> None:
    features = presets.PRESETS[name].features(rows=50)
    model = nasrec.compile(presets.load(name), features, seed=1)
    export_onnx(model, tmp_path / "m.onnx")
    check_onnx(model, features, tmp_path / "m.onnx", (1, 7, 512))
    export_pt2(model, tmp_path / "m.pt2")
    check_pt2(model, features, tmp_path / "m.pt2", (1, 7, 512))


def small_model(seed: int = 1) -> nn.Module:
    return nasrec.compile(GENOTYPES["no layer norm"], FEATURES, seed=seed)


def test_float64_is_held_to_float64(tmp_path: Path) -> None:
    model = small_model().double()
    assert export_pt2(model, tmp_path / "m.pt2").max_difference < 1e-12
    assert export_onnx(model, tmp_path / "m.onnx").max_difference < 1e-9


def test_files_are_free_of_custom_operators(tmp_path: Path) -> None:
    import onnx

    model = small_model()
    export_onnx(model, tmp_path / "m.onnx")
    assert {node.domain for node in onnx.load(tmp_path / "m.onnx").graph.node} <= {""}
    export_pt2(model, tmp_path / "m.pt2")
    program = (
        "import sys, torch; m = torch.export.load(sys.argv[1]).module(); "
        "print(m(torch.ones(3, 3), torch.zeros(3, 4, dtype=torch.int64)).shape); assert 'nasrec' not in sys.modules"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "m.pt2")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "[3]" in done.stdout, done.stderr


def test_weights_of_the_file_are_those_of_the_model(tmp_path: Path) -> None:
    """Two seeds must not agree, or the comparisons above compare nothing."""
    export_onnx(small_model(1), tmp_path / "m.onnx")
    with pytest.raises(AssertionError):
        check_onnx(small_model(2), FEATURES, tmp_path / "m.onnx", (7,))


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = small_model().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_pt2(model, tmp_path / "m.pt2")
    assert model.training and all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_large_weights_go_to_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ONNX_FILE_LIMIT", 0)
    model = small_model()
    report = export_onnx(model, tmp_path / "m.onnx")
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "m.onnx.data"]
    assert report.size_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    check_onnx(model, FEATURES, tmp_path / "m.onnx")


@pytest.mark.parametrize("write", [export_onnx, export_pt2])
def test_disagreement_leaves_the_old_file(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model changes once it is written: the comparison must see it."""
    model = small_model()
    path = tmp_path / "model"
    path.write_bytes(b"old")
    compare = export._compare

    def comparing(exported: nn.Module, *rest: Any) -> Any:
        with torch.no_grad():
            exported.get_parameter("final.bias").add_(0.5)
        return compare(exported, *rest)

    monkeypatch.setattr(export, "_compare", comparing)
    with pytest.raises(ExportError, match="away from the model's"):
        write(model, path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["model"]


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.get_parameter("final.bias").fill_(torch.nan)
    with pytest.raises(ExportError, match="finite"):
        export_pt2(model, tmp_path / "m.pt2")
    assert os.listdir(tmp_path) == []


def test_models_that_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Linear was not made by nasrec\.compile"):
        export_onnx(nn.Linear(2, 2), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match="bfloat16"):
        export_pt2(small_model().bfloat16(), tmp_path / "m.pt2")
    with pytest.raises(ExportError, match=r"m\.pt2: cannot be written"):
        export_pt2(small_model(), tmp_path / "none" / "m.pt2")
    with pytest.raises(ExportError, match="file name"):
        export_pt2(small_model(), tmp_path)


def test_missing_packages_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"onnx, onnxscript, onnxruntime.*pip install 'nasrec\[onnx\]'"):
        export_onnx(small_model(), tmp_path / "m.onnx")


def test_ids_beyond_a_table_are_refused_by_the_runtimes(tmp_path: Path) -> None:
    """What the documentation promises of exported files, which carry no check of their own."""
    model = small_model()
    export_onnx(model, tmp_path / "m.onnx")
    export_pt2(model, tmp_path / "m.pt2")
    dense, sparse = inputs(FEATURES, 4)
    sparse[2, 1] = 50
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    with pytest.raises(Exception, match="indices element out of data bounds"):
        session.run(None, {"dense": dense.numpy(), "sparse": sparse.numpy()})
    with pytest.raises(IndexError):
        torch.export.load(tmp_path / "m.pt2").module()(dense, sparse)
