"""The compiled pairwise dot product against its definition, on every device, type and instruction set."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import extension, reference

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# Half a unit in the last place of the result for bfloat16, a few of the accumulation for the others.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2.0**-8}
TYPES = list(TOLERANCE)


def definition(x: torch.Tensor) -> torch.Tensor:
    """Straight from the definition, one pair at a time."""
    pairs = [(x[:, i] * x[:, j]).sum(1) for i in range(x.shape[1]) for j in range(i)]
    return torch.stack(pairs, dim=1) if pairs else x[:, :0].sum(2)


def check_forward_and_backward(*x: torch.Tensor) -> None:
    """Face and gradients on the parts of x equal the definition's in float64."""
    parts = [part.detach().requires_grad_() for part in x]
    exact_parts = [part.detach().double().requires_grad_() for part in x]
    out, exact = kernels.pairwise_dot(*parts), definition(torch.cat(exact_parts, 1))
    assert out.dtype == x[0].dtype and out.shape == exact.shape
    weight = torch.linspace(-1, 1, out.numel(), device=out.device, dtype=out.dtype).view_as(out)
    grads = torch.autograd.grad(out, parts, weight)
    exact_grads = torch.autograd.grad((exact * weight.double()).sum(), exact_parts, materialize_grads=True)
    tolerance = TOLERANCE[out.dtype]
    torch.testing.assert_close(out.double(), exact, rtol=tolerance, atol=tolerance)
    for grad, exact_grad in zip(grads, exact_grads, strict=True):
        torch.testing.assert_close(grad.double(), exact_grad, rtol=tolerance, atol=tolerance)


def sample(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def test_order_of_pairs(device: str) -> None:
    x = torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]], device=device)
    expected = [10.0, 100.0, 1000.0, 1000.0, 10000.0, 100000.0]  # (1,0) (2,0) (2,1) (3,0) (3,1) (3,2)
    assert kernels.pairwise_dot(x)[0].tolist() == expected
    assert reference.pairwise_dot(x)[0].tolist() == expected


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("batch", "rows", "channels"), [(3, 17, 16), (2, 46, 16), (5, 33, 20), (1, 9, 40), (2, 70, 3)])
def test_matches_definition(device: str, dtype: torch.dtype, batch: int, rows: int, channels: int) -> None:
    check_forward_and_backward(sample(batch, rows, channels, device=device, dtype=dtype))


@given(
    batch=st.integers(0, 4),
    rows=st.integers(0, 40),
    channels=st.integers(0, 35),
    dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 9),
)
def test_matches_definition_on_any_shape(batch: int, rows: int, channels: int, dtype: torch.dtype, seed: int) -> None:
    check_forward_and_backward(sample(batch, rows, channels, dtype=dtype, seed=seed))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    "rows", [(1, 45), (1, 8, 3), (0, 4, 0), (2, 0, 1, 3, 1, 2), (16, 16, 1), (0, 0), (1, 1)], ids=str
)
def test_rows_in_several_parts(device: str, dtype: torch.dtype, rows: tuple[int, ...]) -> None:
    for channels in (16, 5):
        check_forward_and_backward(*(sample(3, n, channels, device=device, dtype=dtype, seed=n) for n in rows))


def test_one_tensor_as_several_parts(device: str) -> None:
    x = sample(3, 4, 8, device=device).requires_grad_()
    (grad,) = torch.autograd.grad(kernels.pairwise_dot(x, x).sum(), x)
    (expected,) = torch.autograd.grad(definition(torch.cat([x, x], 1)).sum(), x)
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("shape", [(0, 5, 4), (3, 0, 4), (3, 1, 4), (3, 2, 4), (3, 4, 0), (0, 0, 0)])
def test_degenerate_shapes(device: str, shape: tuple[int, int, int]) -> None:
    check_forward_and_backward(sample(*shape, device=device))


def test_non_contiguous(device: str) -> None:
    x = sample(6, 5, 7, device=device)
    for view in (x.transpose(1, 2), x[::2], x[:, ::2], x[..., 1:], x[:1].expand(4, 5, 7), x.permute(2, 0, 1)):
        check_forward_and_backward(view)
        assert torch.equal(kernels.pairwise_dot(view), kernels.pairwise_dot(view.contiguous()))


def test_non_contiguous_gradient(device: str) -> None:
    x = sample(4, 6, 8, device=device).requires_grad_()
    (grad,) = torch.autograd.grad(kernels.pairwise_dot(x).sum(), x)  # an expanded scalar
    others = x.sum(1, keepdim=True) - x
    torch.testing.assert_close(grad, others)


def test_bfloat16_is_rounded_once_to_nearest_even(device: str) -> None:
    """Small integers sum exactly in float32, so the result is torch's own rounding of it, ties included."""
    x = torch.randint(-20, 21, (16, 20, 16), generator=torch.Generator().manual_seed(0)).to(device).float()
    exact = definition(x)
    assert bool((exact.bfloat16().float() != exact).any())
    assert torch.equal(kernels.pairwise_dot(x.bfloat16()), exact.bfloat16())


def test_threads_do_not_change_the_result() -> None:
    x, threads = sample(2048, 24, 16), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf = x.clone().requires_grad_()
            out = kernels.pairwise_dot(leaf)
            out.square().sum().backward()
            results.append((out.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    for out, grad in results[1:]:
        assert torch.equal(out, results[0][0]) and torch.equal(grad, results[0][1])


def test_non_finite_values_stay_with_their_pairs(device: str) -> None:
    for dtype in TYPES:
        x = torch.ones(2, 20, 8, device=device, dtype=dtype)
        x[0, 5, 3], x[0, 9, 0] = float("nan"), float("inf")
        out = kernels.pairwise_dot(x)
        torch.testing.assert_close(out, definition(x), equal_nan=True)
        assert bool(out[1].isfinite().all())


def test_gradcheck(device: str) -> None:
    x = sample(2, 5, 3, device=device, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(kernels.pairwise_dot, (x,))
    assert torch.autograd.gradgradcheck(kernels.pairwise_dot, (x,))
    parts = (x[:, :1].detach().requires_grad_(), x[:, 1:].detach().requires_grad_())
    assert torch.autograd.gradcheck(kernels.pairwise_dot, parts)
    assert torch.autograd.gradgradcheck(kernels.pairwise_dot, parts)


@needs_extension
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    x = sample(3, 6, 4, device=device, dtype=dtype)
    grad = sample(3, 15, device=device, dtype=dtype)
    parts = [x[:, :2].clone().requires_grad_(), x[:, 2:].clone().requires_grad_()]
    torch.library.opcheck(torch.ops.nasrec.pairwise_dot.default, (parts,))
    torch.library.opcheck(torch.ops.nasrec.pairwise_dot.default, ([x.transpose(1, 2).requires_grad_()],))
    torch.library.opcheck(torch.ops.nasrec.pairwise_dot_backward.default, (grad.requires_grad_(), parts))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(device: str, backend: str) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return kernels.pairwise_dot(torch.relu(x)).sum(1)

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    x = sample(4, 6, 8, device=device).requires_grad_()
    torch.testing.assert_close(compiled(x), model(x))
    (grad,) = torch.autograd.grad(compiled(x).sum(), x)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(grad, expected)


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return kernels.pairwise_dot(x)

    x = sample(4, 6, 8)
    program = torch.export.export(Model(), (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.pairwise_dot.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = sample(batch, 6, 8)
        assert torch.equal(program.module()(x), kernels.pairwise_dot(x))


@needs_extension
def test_use_reference_leaves_the_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[torch.Tensor, ...]] = []
    definition_of_kernel = reference.pairwise_dot
    monkeypatch.setattr(reference, "pairwise_dot", lambda *x: calls.append(x) or definition_of_kernel(*x))
    x = sample(2, 3, 4)
    kernels.pairwise_dot(x)
    assert not calls
    with kernels.use_reference(), kernels.use_reference():
        kernels.pairwise_dot(x)
    assert len(calls) == 1
    kernels.pairwise_dot(x)
    assert len(calls) == 1


def test_types_without_a_kernel_use_the_reference() -> None:
    x = sample(2, 5, 4).half()
    torch.testing.assert_close(kernels.pairwise_dot(x), definition(x.double()).half())


def test_wrong_shape_is_one_clear_error(device: str) -> None:
    with pytest.raises(KernelError, match=r"^pairwise_dot: x must be \[B, r, e\], got \[2, 3\]$"):
        kernels.pairwise_dot(torch.zeros(2, 3, device=device))
    x = torch.zeros(2, 3, 4, device=device)
    message = r"^pairwise_dot: operands must agree in batch and channels, got \[2, 3, 4\], \[2, 3, 3\]$"
    with pytest.raises(KernelError, match=message):
        kernels.pairwise_dot(x, x[..., 1:])
    with pytest.raises(KernelError, match=r"^pairwise_dot: needs at least one operand$"):
        kernels.pairwise_dot()


@needs_extension
def test_operator_checks_its_operands(device: str) -> None:
    """The operator itself, which exported programs call past the face, reads no memory that is not there."""
    forward, backward = torch.ops.nasrec.pairwise_dot, torch.ops.nasrec.pairwise_dot_backward
    x, grad = torch.zeros(2, 4, 3, device=device), torch.zeros(2, 6, device=device)
    with pytest.raises(RuntimeError, match=r"pairwise_dot: x must be \[B, r, e\], got \[4, 3\]"):
        forward([x[0]])
    with pytest.raises(RuntimeError, match=r"must agree in batch and channels, got \[2, 4, 3\] and \[1, 4, 3\]"):
        forward([x, x[1:]])
    with pytest.raises(RuntimeError, match="an operand must have the type of the first, got Double and Float"):
        forward([x, x.double()])
    with pytest.raises(RuntimeError, match="pairwise_dot: x must be float32, float64 or bfloat16, got Half"):
        forward([x.half()])
    with pytest.raises(RuntimeError, match="pairwise_dot: x must be float32, float64 or bfloat16, got Long"):
        forward([x.long()])
    with pytest.raises(
        RuntimeError,
        match=r"pairwise_dot_backward: grad must be \[2, 6\] for 4 rows, got \[2, 5\]",
    ):
        backward(grad[:, 1:], [x])
    with pytest.raises(RuntimeError, match="pairwise_dot_backward: grad must have the type of x, got Double and Float"):
        backward(grad.double(), [x])


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    shapes = ((3, 17, 16), (2, 46, 16), (2, 33, 20), (2, 7, 5), (1, 2, 1), (2, 70, 37))
    for dtype, shape in itertools.product(TYPES, shapes):
        check_forward_and_backward(sample(*shape, dtype=dtype))
