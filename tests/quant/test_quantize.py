"""Quantised models: weights carried over, scales calibrated, the same on simulated crossbars, trained further."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import nasrec
from nasrec import presets, quant
from nasrec.baselines import build
from nasrec.codesign.onchip import stored_parameters
from nasrec.compiler import CompiledModel
from nasrec.data import synthesize
from nasrec.errors import QuantError
from nasrec.layers import Quantizable
from nasrec.quant.calibration import _least_error, _percentile
from nasrec.train import TrainConfig, train
from nasrec.train.prediction import evaluate
from nasrec_ir import interpret
from nasrec_pim import IDEAL, CrossbarModel, Hardware, map_graph

SPLITS = synthesize("criteo", 3000, 0).log.split(by="random")
FEATURES = SPLITS.train.features(16)


def trained(name: str = "dlrm") -> CompiledModel:
    graph = build("dlrm", FEATURES) if name == "dlrm" else nasrec.graph_of(presets.load(name), FEATURES)
    model = nasrec.compile_graph(graph, seed=0)
    train(model, SPLITS.train, SPLITS.valid, TrainConfig(max_steps=4, lr=0.02))
    return model


def rows(count: int = 32) -> list[torch.Tensor]:
    first = SPLITS.test.take(slice(count))
    return [torch.as_tensor(np.asarray(first.dense)).double(), torch.as_tensor(np.asarray(first.sparse)).long()]


@pytest.mark.parametrize("name", ["dlrm", "criteo-small", "criteo-full"])
def test_module_oracle_and_crossbars_agree(name: str) -> None:
    model = trained(name)
    small = quant.quantize(model, quant.Scheme(4, 8))
    scales = quant.calibrate(small, SPLITS.train, quant.Calibration("max", rows=500))
    layers = [m for m in small.modules() if isinstance(m, Quantizable)]
    assert len(scales) == len(layers) and all(scale > 0 for scale in scales.values())
    floats = evaluate(model, SPLITS.test)
    with quant.in_floats(small):
        assert evaluate(small, SPLITS.test).log_loss == pytest.approx(floats.log_loss, abs=1e-6)
    assert 1e-7 < abs(evaluate(small, SPLITS.test).log_loss / floats.log_loss - 1) < 0.05
    double, data = small.double(), rows()
    with torch.no_grad():
        logits = double(*data).numpy()
    parameters = stored_parameters(double)
    np.testing.assert_allclose(interpret(double.graph, parameters, data), logits, rtol=1e-9, atol=1e-11)
    chip = CrossbarModel(
        double.graph, map_graph(double.graph, Hardware.mnsim()), parameters, [x[:2] for x in data], nonideal=IDEAL
    )
    np.testing.assert_allclose(chip.quantized(data), logits, rtol=1e-9, atol=1e-11)


def test_more_bits_are_nearer_and_every_method_sets_its_range() -> None:
    model, data = trained(), rows(300)
    with torch.no_grad():
        exact = model.double()(*data)
    gaps: dict[Any, float] = {}
    for bits in (3, 5, 8):
        for method in ("max", "percentile", "mse"):
            small = quant.quantize(model, quant.Scheme(bits, bits))
            scales = quant.calibrate(small, SPLITS.train, quant.Calibration(method, percentile=99, rows=800))
            gaps[bits, method] = (small(*data) - exact).square().mean().item()
            if method == "max":
                largest = scales
            assert all(scale <= largest[name] * (1 + 1e-6) for name, scale in scales.items())
            assert method == "max" or scales != largest
    for method in ("max", "mse"):
        assert gaps[8, method] < gaps[5, method] < gaps[3, method]
    assert gaps[3, "mse"] < gaps[3, "max"], "with few bits the tails are better cut off"


def test_calibration_is_a_function_of_the_rows() -> None:
    model = trained()
    found = []
    for batch in (64, 700):
        small = quant.quantize(model, quant.Scheme(8, 8))
        found.append(quant.calibrate(small, SPLITS.train, quant.Calibration("mse", rows=700, batch_size=batch)))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert small.training == model.training


def test_ranges_by_hand() -> None:
    histogram = np.zeros(4096)
    histogram[:1024] = 1.0
    assert _percentile(histogram, 8.0, 50) == 1.0 and _percentile(histogram, 8.0, 100) == 2.0
    assert _least_error(histogram, 8.0, 8) == 2.0, "nothing lies beyond a quarter of the range"
    uniform = np.ones(4096)
    assert _least_error(uniform, 8.0, 8) > 7.9


def test_training_goes_on_in_few_bits() -> None:
    """What rounding to 3 bits costs, some steps of training regain; the float weights move."""
    model = trained()
    train(model, SPLITS.train, SPLITS.valid, TrainConfig(epochs=4, lr=0.05))
    small = quant.quantize(model, quant.Scheme(3, 3))
    quant.calibrate(small, SPLITS.train, quant.Calibration("mse", rows=800))
    before, scales = evaluate(small, SPLITS.train).log_loss, [b.clone() for b in small.buffers()]
    train(small, SPLITS.train, SPLITS.valid, TrainConfig(epochs=3, lr=0.02))
    assert evaluate(small, SPLITS.train).log_loss < before
    assert all(torch.equal(a, b) for a, b in zip(small.buffers(), scales, strict=True)), "scales stay"


def test_bfloat16_training_and_a_state_dict() -> None:
    small = quant.quantize(trained(), quant.Scheme(4, 8))
    quant.calibrate(small, SPLITS.train, quant.Calibration("max", rows=100))
    train(small, SPLITS.train, SPLITS.valid, TrainConfig(max_steps=2, precision="bfloat16"))
    again = nasrec.compile_graph(small.graph, seed=1)
    assert all(scale.isnan().all() for name, scale in again.named_buffers()), "not calibrated: nothing to rely on"
    again.load_state_dict(small.state_dict())
    dense, sparse = rows()
    assert torch.equal(again(dense.float(), sparse), small(dense.float(), sparse))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(QuantError, match=r"Linear was not made by nasrec\.compile"):
        quant.quantize(torch.nn.Linear(2, 2), quant.Scheme())  # type: ignore[arg-type]
    small = quant.quantize(nasrec.compile_graph(build("dlrm", FEATURES), seed=0), quant.Scheme())
    with torch.no_grad():
        next(p for p in small.parameters() if p.dim() == 2)[:] = torch.nan
    with pytest.raises(QuantError, match="is not finite in calibration"):
        quant.calibrate(small, SPLITS.train)
    for values, words in (
        ({"method": "guess"}, "one of max, percentile, mse"),
        ({"percentile": 0}, "percentile"),
        ({"rows": 0}, "rows must be"),
    ):
        with pytest.raises(QuantError, match=words):
            quant.Calibration(**values)  # type: ignore[arg-type]
