"""Quantised models in other runtimes: integers stay integers, and logits what they were."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nasrec
from nasrec import FeatureSpec, quant
from nasrec.baselines import build
from nasrec.compiler import CompiledModel
from nasrec.data import synthesize
from nasrec.errors import ExportError
from nasrec.export import export_onnx, export_pt2
from nasrec.layers import Quantizable
from nasrec_ir import GraphBuilder, ParamRef, TensorType

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

LOG = synthesize("criteo", 600, 0).log
FEATURES = FeatureSpec(LOG.schema.num_dense, LOG.split(by="random").train.features(8).cardinalities, 8)


def small_dlrm(scheme: quant.Scheme) -> CompiledModel:
    made = quant.quantize(nasrec.compile_graph(build("dlrm", FEATURES, bottom=(8,), hidden=(16,)), seed=0), scheme)
    quant.calibrate(made, LOG, quant.Calibration("max", rows=300))
    return made


def counted(path: Path) -> tuple[Counter[str], Any]:
    graph = onnx.load(str(path)).graph
    return Counter(node.op_type for node in graph.node), graph


def test_matrices_are_integers_and_operands_go_through_them(tmp_path: Path) -> None:
    model = small_dlrm(quant.Scheme(4, 8))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    exported = export_onnx(model, tmp_path / "m.onnx")
    assert exported.max_difference < 0.02
    ops, graph = counted(tmp_path / "m.onnx")
    products = sum(node.op == "linear" for node in model.graph)
    operands = sum(len(node.inputs) for node in model.graph if node.op == "linear")
    assert (ops["QuantizeLinear"], ops["DequantizeLinear"]) == (operands, operands + products)
    axes = [a.i for n in graph.node if n.op_type == "DequantizeLinear" for a in n.attribute if a.name == "axis"]
    assert axes == [0] * products
    held = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    matrices = [array for array in held if array.ndim == 2]
    assert len(matrices) == products and all(np.abs(array).max() == 7 for array in matrices)
    kept = {t.name: t.dims for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2}
    assert all("table" in name for name in kept), "no matrix is written as floats too"
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items()), "the model stays"
    assert "quantized_weight" not in vars(next(iter(model.modules())))


def test_an_operand_of_two_products_is_clipped_for_each(tmp_path: Path) -> None:
    b = GraphBuilder("twice")
    dense, sparse = b.input("dense", TensorType((3,))), b.input("sparse", TensorType((2,), "i64"))
    tables = {f"tables.{j}": ParamRef(f"embedding.tables.{j}", (5, 4)) for j in range(2)}
    flat = b.add("reshape", [b.add("embedding", [sparse], params=tables, dim=4)], shape=(8,))
    units = [b.add("linear", [dense], params={"weight": ParamRef(f"fc{j}.weight", (4, 3))}, out=4) for j in range(2)]
    final = b.add("linear", [*units, flat], params={"weight": ParamRef("final.weight", (1, 16))}, out=1)
    graph = b.finish(b.add("reshape", [final], id="logit", shape=()))
    model = quant.quantize(nasrec.compile_graph(graph, seed=0), quant.Scheme())
    for place, layer in enumerate(module for module in model.modules() if isinstance(module, Quantizable)):
        assert layer.act_scale is not None
        layer.act_scale.fill_(0.01 + 0.01 * place)
    assert export_onnx(model, tmp_path / "m.onnx").max_difference < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme",
    [quant.Scheme(12, 6, per_tensor=True), quant.Scheme(4, None)],
    ids=["16-bit integers, one scale", "weights alone"],
)
def test_other_schemes(tmp_path: Path, scheme: quant.Scheme) -> None:
    model = small_dlrm(scheme)
    most = 1e-4 if scheme.act_bits is None else 0.05
    assert export_onnx(model, tmp_path / "m.onnx").max_difference < most
    ops, _ = counted(tmp_path / "m.onnx")
    assert bool(ops["QuantizeLinear"]) is (scheme.act_bits is not None)
    assert export_pt2(model, tmp_path / "m.pt2").max_difference < most


@pytest.mark.slow
def test_a_genotype_with_attention(tmp_path: Path) -> None:
    genotype = nasrec.SearchSpace.full(2, (16,), (16,)).sample(np.random.default_rng(1))
    for scheme, most in ((quant.Scheme(8, 8), 0.2), (quant.Scheme(4, None), 1e-4)):
        model = quant.quantize(nasrec.compile(genotype, FeatureSpec(3, [10] * 4, 16), seed=0), scheme)
        for layer in model.modules():
            if isinstance(layer, Quantizable) and layer.act_scale is not None:
                layer.act_scale.fill_(0.03)
        assert any(node.op == "field_attention" for node in model.graph) is (scheme.act_bits is None)
        assert export_onnx(model, tmp_path / "m.onnx").max_difference < most
        ops, _ = counted(tmp_path / "m.onnx")
        assert ops["DequantizeLinear"] >= 10


@pytest.mark.slow
def test_scales_of_the_batch_are_computed_in_the_file(tmp_path: Path) -> None:
    """A genotype's own bits have no calibrated scales."""
    b = nasrec.SearchSpace.codesign(1, (16,), (16,)).sample(np.random.default_rng(0))
    model = nasrec.compile(b, FeatureSpec(3, [10] * 4, 8), seed=0)
    export_onnx(model, tmp_path / "m.onnx")
    ops, _ = counted(tmp_path / "m.onnx")
    assert ops["QuantizeLinear"] and ops["ReduceMax"]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    model = small_dlrm(quant.Scheme(4, 8))
    with pytest.raises(ExportError, match=r"float32 alone; export model\.float\(\)"):
        export_onnx(model.double(), tmp_path / "m.onnx")
    fresh = nasrec.compile_graph(model.graph, seed=0)
    with pytest.raises(ExportError, match="0 finite; check the model's weights"):
        export_pt2(fresh, tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())
