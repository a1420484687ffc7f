"""bfloat16 in forward and backward: close to float32, small updates add up, tables are not rounded as a whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec.baselines import build
from nasrec.layers import Embedding
from nasrec.train import TrainConfig, evaluate, train
from nasrec.train.precision import in_precision

BFLOAT16 = TrainConfig(precision="bfloat16")


@pytest.mark.parametrize("name", ["dlrm", "deepfm with batch norm", "dcn_v2", "kdd-small"])
def test_curves_stay_close(small, name: str) -> None:
    """The difference between the precisions is small against what training gains."""
    features = small.schema.features(8)
    options = {"batch_norm": True} if "norm" in name else {}
    curves = []
    for precision in ("float32", "bfloat16"):
        if "-" in name:
            model: nn.Module = nasrec.compile(nasrec.presets.load(name), small.schema.features(16), seed=0)
        else:
            model = nasrec.compile_graph(build(name.split()[0], features, **options), seed=0)
        config = TrainConfig(batch_size=200, precision=precision, optimizer="adam", lr=0.005, log_every=3)
        result = train(model, small.train.take(slice(0, 2_400)), small.valid, config)
        assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
        curves.append([point.loss for point in result.history] + [result.evaluations[-1].metrics.log_loss])
    gained = curves[0][0] - curves[0][-1]
    assert gained > 0.02
    assert max(abs(a - b) for a, b in zip(*curves, strict=True)) < max(0.25 * gained, 0.02)
    assert curves[0] != curves[1]


def test_gradients_are_float32_and_those_of_rounded_weights(small) -> None:
    model = nasrec.compile_graph(build("dlrm", small.schema.features(8)), seed=0)
    dense, sparse, label = next(small.train.batches(100))

    def gradients(forward: object) -> dict[str, Tensor]:
        model.zero_grad()
        logits = forward(dense, sparse)  # type: ignore[operator]
        assert logits.dtype == (torch.float32 if forward is model else torch.bfloat16)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), label).backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    with in_precision(model, BFLOAT16) as forward:
        rounded = gradients(forward)
    exact = gradients(model)
    for name, grad in rounded.items():
        assert grad.dtype == torch.float32 and grad.shape == exact[name].shape
        assert nn.functional.cosine_similarity(grad.flatten(), exact[name].flatten(), dim=0) > 0.99, name
    assert any(not torch.equal(rounded[name], exact[name]) for name in exact)


def test_updates_too_small_for_bfloat16_add_up(small, make_lr) -> None:
    model = make_lr(small.schema)
    nn.init.constant_(model.bias, 1.0)
    config = TrainConfig(precision="bfloat16", optimizer="adam", lr=1e-5, warmup=0.0, schedule="constant", epochs=2)
    train(model, small.train, None, config)
    assert 1e-5 < 1.0 - float(model.bias.detach()) < 1e-3  # the step next to 1 in bfloat16 is 0.004


def test_tables_are_looked_up_before_they_are_rounded(small, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nasrec.compile_graph(build("deepfm", small.schema.features(8)), seed=0)
    tables = [table for module in model.modules() if isinstance(module, Embedding) for table in module.tables]
    seen: list[torch.dtype] = []
    real = nasrec.kernels.embedding

    def embedding(ids: Tensor, given: list[Tensor], **options: bool) -> Tensor:
        seen.extend(table.dtype for table in given)
        assert all(any(table is own for own in tables) for table in given)
        return real(ids, given, **options)

    monkeypatch.setattr(nasrec.kernels, "embedding", embedding)
    dense, sparse, _ = next(small.train.batches(50))
    with in_precision(model, BFLOAT16) as forward:
        forward(dense, sparse)
        assert evaluate(model, small.valid) == pytest.approx(evaluate(model, small.valid))
        assert model.eval()(dense, sparse).dtype == torch.float32
    assert set(seen) == {torch.float32}
    assert model.train()(dense, sparse).dtype == torch.float32  # nothing is left behind


def test_sparse_gradients_and_shared_weights(small) -> None:
    model = nasrec.compile_graph(build("deepfm", small.schema.features(4)), seed=0)
    config = TrainConfig(precision="bfloat16", sparse_embeddings=True, batch_size=200)
    result = train(model, small.train, small.valid, config)
    assert result.history[-1].loss < result.history[0].loss or result.evaluations[0].metrics.auc > 0.5

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(13, 13)
            self.two = nn.Linear(13, 13)
            self.two.weight = self.one.weight

        def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
            assert self.one.weight.dtype == self.two.weight.dtype
            logits: Tensor = self.two(self.one(dense)).sum(1)
            return logits

    tied = Tied()
    train(tied, small.train, None, TrainConfig(precision="bfloat16", lr=0.01))
    assert tied.one.weight is tied.two.weight and tied.one.weight.dtype == torch.float32


def test_on_each_device(small, device: str) -> None:
    model = nasrec.compile_graph(build("dlrm", small.schema.features(8)), seed=0).to(device)
    result = train(model, small.train, small.valid, TrainConfig(precision="bfloat16", batch_size=200))
    assert result.best is not None and result.best.metrics.log_loss < 0.7
