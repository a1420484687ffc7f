"""The compiled self-attention against its definition, on every device, type and instruction set."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import extension, reference

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# A unit in the last place of the result for bfloat16, a few of the accumulation for the others, relative to the
# largest entry: entries are sums that may cancel.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14, torch.bfloat16: 2.0**-7}
TYPES = list(TOLERANCE)


def definition(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Straight from the definition, one head at a time."""
    channels = qkv.shape[2] // 3
    size = channels // heads
    out = []
    for head in range(heads):
        at = head * size
        q, k, v = (qkv[:, :, start + at : start + at + size] for start in (0, channels, 2 * channels))
        out.append(torch.softmax(q @ k.transpose(1, 2) / math.sqrt(size), dim=2) @ v)
    return torch.cat(out, dim=2)


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> None:
    scale = float(want.detach().abs().max()) if want.numel() else 0.0
    torch.testing.assert_close(got.double(), want, rtol=0, atol=tolerance * max(scale, 1e-3))


def check_forward_and_backward(qkv: torch.Tensor, heads: int, slack: float = 1) -> None:
    """Face and gradient on qkv equal the definition's in float64."""
    qkv = qkv.detach().requires_grad_()
    exact_qkv = qkv.detach().double().requires_grad_()
    out, exact = kernels.self_attention(qkv, heads), definition(exact_qkv, heads)
    assert out.dtype == qkv.dtype and out.shape == exact.shape
    weight = torch.linspace(-1, 1, out.numel(), device=qkv.device, dtype=qkv.dtype).view_as(out)
    (grad,) = torch.autograd.grad(out, qkv, weight)
    (exact_grad,) = torch.autograd.grad((exact * weight.double()).sum(), exact_qkv, materialize_grads=True)
    close(out, exact, slack * TOLERANCE[qkv.dtype])
    close(grad, exact_grad, slack * TOLERANCE[qkv.dtype])


def sample(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


SHAPES = [(3, 64, 8, 2), (2, 16, 8, 2), (2, 33, 8, 2), (2, 48, 4, 4), (5, 9, 3, 1), (2, 20, 2, 8), (1, 70, 3, 5)]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("batch", "fields", "heads", "size"), SHAPES)
def test_matches_definition(device: str, dtype: torch.dtype, batch: int, fields: int, heads: int, size: int) -> None:
    check_forward_and_backward(sample(batch, fields, 3 * heads * size, device=device, dtype=dtype), heads)


@given(
    batch=st.integers(0, 4),
    fields=st.integers(0, 40),
    heads=st.integers(1, 5),
    size=st.integers(1, 20),
    dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 9),
)
def test_matches_definition_on_any_shape(
    batch: int, fields: int, heads: int, size: int, dtype: torch.dtype, seed: int
) -> None:
    check_forward_and_backward(sample(batch, fields, 3 * heads * size, dtype=dtype, seed=seed), heads)


@pytest.mark.parametrize("shape", [(0, 5, 12), (3, 0, 12), (3, 1, 12), (3, 4, 0), (0, 0, 0)])
def test_degenerate_shapes(device: str, shape: tuple[int, int, int]) -> None:
    check_forward_and_backward(sample(*shape, device=device), 2)


def test_non_contiguous(device: str) -> None:
    x = sample(6, 12, 24, device=device)
    for view in (x.transpose(1, 2), x[::2], x[:, ::2], x[..., 12:], x[:1].expand(4, 12, 24), x.permute(2, 0, 1)):
        check_forward_and_backward(view, 2)
        assert torch.equal(kernels.self_attention(view, 2), kernels.self_attention(view.contiguous(), 2))


def test_non_contiguous_gradient(device: str) -> None:
    """An expanded scalar: the weights of each query sum to one, so every value counts as often as there are queries."""
    qkv = sample(4, 6, 24, device=device).requires_grad_()
    (grad,) = torch.autograd.grad(kernels.self_attention(qkv, 4).sum(), qkv)
    torch.testing.assert_close(grad[..., 16:].sum(1), torch.full((4, 8), 6.0, device=device))


@pytest.mark.parametrize("scale", [20.0, 1e3, 1e5])
def test_large_scores(device: str, scale: float) -> None:
    """Far beyond what exp takes: rounding errors of the scores grow with them, values do not overflow."""
    for dtype in (torch.float32, torch.float64):
        qkv = sample(2, 40, 48, device=device, dtype=dtype)
        qkv[..., :32] *= scale**0.5
        check_forward_and_backward(qkv, 8, slack=20 * scale)


@pytest.mark.parametrize("magnitude", [1e10, 1e18])
def test_scores_near_the_largest_number_pick_the_greatest(device: str, magnitude: float) -> None:
    qkv = sample(2, 40, 48, device=device)
    qkv[..., :32] = (qkv[..., :32].sign() + qkv[..., :32]) * magnitude
    out = kernels.self_attention(qkv, 8)
    assert bool(out.isfinite().all())
    close(out, definition(qkv.double(), 8), 1e-4)


def test_small_gradients_are_not_lost(device: str) -> None:
    qkv = (2 * sample(2, 40, 48, device=device)).requires_grad_()
    out = kernels.self_attention(qkv, 8)
    (grad,) = torch.autograd.grad(out, qkv, torch.ones_like(out).cumsum(1), retain_graph=True)
    (small,) = torch.autograd.grad(out, qkv, 1e-24 * torch.ones_like(out).cumsum(1))
    close(1e24 * small.double(), grad.double(), 1e-5)


def test_non_finite_values_spread_as_in_the_definition(device: str) -> None:
    for dtype in TYPES:
        for place in (3, 20, 40):  # a query, a key, a value
            for bad in (float("nan"), float("inf"), -float("inf")):
                qkv = sample(3, 20, 48, device=device, dtype=dtype)
                qkv[0, 5, place] = bad
                out, exact = kernels.self_attention(qkv, 8), definition(qkv.double(), 8)
                assert torch.equal(out.isnan(), exact.isnan())
                torch.testing.assert_close(out.double(), exact, equal_nan=True, rtol=0.02, atol=0.02)


def test_threads_do_not_change_the_result() -> None:
    x, threads = sample(256, 24, 48), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf = x.clone().requires_grad_()
            out = kernels.self_attention(leaf, 8)
            out.square().sum().backward()
            results.append((out.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    for out, grad in results[1:]:
        assert torch.equal(out, results[0][0]) and torch.equal(grad, results[0][1])


def test_gradcheck(device: str) -> None:
    qkv = sample(2, 5, 12, device=device, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kernels.self_attention(x, 2), (qkv,))
    assert torch.autograd.gradgradcheck(lambda x: kernels.self_attention(x, 2), (qkv,))


@needs_extension
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    forward, backward = torch.ops.nasrec.self_attention.default, torch.ops.nasrec.self_attention_backward.default
    qkv = sample(3, 6, 24, device=device, dtype=dtype)
    torch.library.opcheck(forward, (qkv.clone().requires_grad_(), 4))
    torch.library.opcheck(forward, (sample(3, 24, 6, device=device, dtype=dtype).transpose(1, 2).requires_grad_(), 4))
    out, reciprocals = forward(qkv, 4)
    grad = sample(3, 6, 8, device=device, dtype=dtype)
    torch.library.opcheck(backward, (grad.requires_grad_(), qkv.clone().requires_grad_(), out, reciprocals, 4))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(device: str, backend: str) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return kernels.self_attention(torch.relu(x), 2).sum(1)

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    x = sample(4, 6, 12, device=device).requires_grad_()
    torch.testing.assert_close(compiled(x), model(x))
    (grad,) = torch.autograd.grad(compiled(x).sum(), x)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(grad, expected)


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return kernels.self_attention(x, 2)

    program = torch.export.export(Model(), (sample(4, 6, 12),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.self_attention.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = sample(batch, 6, 12)
        assert torch.equal(program.module()(x), kernels.self_attention(x, 2))


@needs_extension
def test_use_reference_leaves_the_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.Tensor] = []
    written = reference.self_attention
    monkeypatch.setattr(reference, "self_attention", lambda x, *rest: calls.append(x) or written(x, *rest))
    x = sample(2, 3, 12)
    kernels.self_attention(x, 2)
    assert not calls
    with kernels.use_reference():
        kernels.self_attention(x, 2)
    assert len(calls) == 1


def test_types_without_a_kernel_use_the_reference() -> None:
    x = sample(2, 5, 12).half()
    torch.testing.assert_close(kernels.self_attention(x, 2).double(), definition(x.double(), 2), rtol=0.01, atol=0.01)


def test_wrong_operands_are_one_clear_error(device: str) -> None:
    with pytest.raises(KernelError, match=r"^self_attention: qkv must be \[B, f, 3e\], got \[2, 3, 4\]$"):
        kernels.self_attention(torch.zeros(2, 3, 4, device=device), 2)
    message = "^self_attention: heads must divide the channels, got 0 heads and 4 channels$"
    with pytest.raises(KernelError, match=message):
        kernels.self_attention(torch.zeros(2, 3, 12, device=device), 0)


@needs_extension
def test_operator_checks_its_operands(device: str) -> None:
    """The operator itself, which exported programs call past the face, reads no memory that is not there."""
    forward, backward = torch.ops.nasrec.self_attention, torch.ops.nasrec.self_attention_backward
    qkv = torch.zeros(2, 4, 12, device=device)
    out, reciprocals = forward(qkv, 2)
    with pytest.raises(RuntimeError, match=r"self_attention: qkv must be \[B, f, 3e\], got \[4, 12\]"):
        forward(qkv[0], 2)
    with pytest.raises(RuntimeError, match="self_attention: heads must divide the channels, got 3 heads and 4"):
        forward(qkv, 3)
    with pytest.raises(RuntimeError, match="self_attention: qkv must be float32, float64 or bfloat16, got Half"):
        forward(qkv.half(), 2)
    with pytest.raises(
        RuntimeError,
        match=r"self_attention_backward: grad must be \[2, 4, 4\] for qkv \[2, 4, 12\] and 2 heads, got \[2, 4, 3\]",
    ):
        backward(out[..., 1:], qkv, out, reciprocals, 2)
    with pytest.raises(RuntimeError, match=r"self_attention_backward: reciprocals must be \[2, 2, 4\]"):
        backward(out, qkv, out, reciprocals[:, :1], 2)
    with pytest.raises(RuntimeError, match="self_attention_backward: grad must have the type of qkv, got Double"):
        backward(out.double(), qkv, out, reciprocals, 2)
    with pytest.raises(RuntimeError, match="self_attention_backward: reciprocals must be what the forward gave"):
        backward(out, qkv, out, reciprocals.double(), 2)


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, (batch, fields, heads, size) in itertools.product(TYPES, SHAPES):
        x = sample(batch, fields, 3 * heads * size, dtype=dtype)
        check_forward_and_backward(x, heads)
        check_forward_and_backward(6 * x, heads, slack=40)
