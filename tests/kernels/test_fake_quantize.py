"""Fake quantisation against its definition in numpy, and the gradients that pass through it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasrec.kernels.fake_quantize import (
    fake_quantize,
    fake_quantize_inputs,
    fake_quantize_weight,
    input_scale,
    weight_scale,
)
from nasrec_ir.quantize import largest_integer, quantize, scale_of


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_a_weight_is_rounded_as_defined(bits: int, per_tensor: bool) -> None:
    weight = normal(5, 9)
    scale = scale_of(weight.numpy(), bits, None if per_tensor else 1)
    found = fake_quantize_weight([weight[:, :4], weight[:, 4:]], bits, per_tensor=per_tensor)
    want = quantize(weight.numpy(), bits, scale)
    np.testing.assert_array_equal(torch.cat(found, dim=1).numpy(), want.values)
    assert np.abs(want.integers).max() == largest_integer(bits)
    rows = np.abs(want.integers).max(axis=1)
    assert (rows == largest_integer(bits)).all() is not per_tensor or bits == 2


def test_operands_share_one_scale(device: torch.device) -> None:
    a, b = normal(6, 3).to(device), 10 * normal(6, 2, 4, seed=1).to(device)
    found = fake_quantize_inputs([a, b], 4)
    scale = float(b.abs().max()) / 7
    for x, y in zip((a, b), found, strict=True):
        want = quantize(x.cpu().numpy(), 4, scale).values
        np.testing.assert_allclose(y.cpu().numpy(), want, rtol=1e-15)


def test_a_given_scale_clips_and_clipped_values_get_no_gradient(device: torch.device) -> None:
    x = torch.tensor([-9.0, -0.76, 0.2, 0.74, 3.4, 3.6], device=device, requires_grad=True)
    scale = torch.tensor([0.5], device=device)
    (y,) = fake_quantize_inputs([x], 4, scale)
    assert y.tolist() == [-3.5, -1.0, 0.0, 0.5, 3.5, 3.5]
    y.backward(torch.arange(1.0, 7.0, device=device))
    assert x.grad is not None and x.grad.tolist() == [0, 2, 3, 4, 5, 6]  # 3.6 / 0.5 rounds to 7: nothing was cut
    with torch.no_grad():
        assert torch.equal(fake_quantize(x, 4, scale), y)


def test_a_scale_of_its_own_lets_all_gradients_through() -> None:
    weight = normal(3, 4).requires_grad_()
    (found,) = fake_quantize_weight([weight], 2)
    found.backward(normal(3, 4, seed=1))
    assert torch.equal(weight.grad, normal(3, 4, seed=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_zeros_nothing_and_nan(dtype: torch.dtype) -> None:
    zero = torch.zeros(3, 4, dtype=dtype)
    assert torch.equal(fake_quantize_weight([zero], 4)[0], zero)
    tiny = torch.full((1, 4), 1e-45)
    assert torch.equal(fake_quantize_weight([tiny], 8)[0], torch.zeros(1, 4)), "too small to have a scale"
    for shape in ((0, 4), (4, 0)):
        empty = torch.zeros(shape, dtype=dtype)
        for per_tensor in (False, True):
            assert fake_quantize_weight([empty], 4, per_tensor=per_tensor)[0].shape == shape
        assert fake_quantize_inputs([empty, zero], 4)[0].shape == shape
    assert input_scale([empty], 4).item() == 1 and weight_scale([torch.zeros(2, 0)], 4).tolist() == [[1], [1]]
    broken = zero.clone()
    broken[1, 2] = torch.nan
    found = fake_quantize_inputs([broken, zero], 8)
    assert all(y.isnan().all() for y in found), "a NaN is not hidden"
    assert found[0].dtype == dtype


def test_half_precision_is_rounded_in_float32() -> None:
    x = normal(50).bfloat16()
    (y,) = fake_quantize_inputs([x], 8)
    (want,) = fake_quantize_inputs([x.float()], 8)
    assert y.dtype == torch.bfloat16 and torch.equal(y, want.bfloat16())


def test_compiled_code_has_the_same_gradients() -> None:
    def loss(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        (q,) = fake_quantize_inputs([x], 4, torch.tensor([0.3], dtype=x.dtype))
        return (q @ fake_quantize_weight([w], 4)[0].t()).square().sum()

    found = []
    for run in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        w, x = normal(3, 4).requires_grad_(), normal(7, 4, seed=1).requires_grad_()
        run(w, x).backward()
        found.append((w.grad, x.grad))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(eager, compiled)
