"""The compiled factorization machine against its definition, on every device, type and instruction set."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import extension

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2.0**-8}
TYPES = list(TOLERANCE)


def definition(x: Tensor) -> Tensor:
    """Twice the sum of the products of all pairs."""
    pairs = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i)]
    return 2 * torch.stack(pairs).sum(0) if pairs else x.sum(1) * 0


def sample(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def check_forward_and_backward(x: Tensor) -> None:
    """Value and gradient equal the definition's in float64; errors are relative to the terms that cancel."""
    leaf, exact_leaf = x.detach().requires_grad_(), x.detach().double().requires_grad_()
    out, exact = kernels.factorization_machine(leaf), definition(exact_leaf)
    assert out.dtype == x.dtype and out.shape == exact.shape
    weight = torch.arange(exact.numel(), device=x.device).sin().view_as(exact).to(x.dtype)
    (grad,) = torch.autograd.grad(out, leaf, weight)
    (exact_grad,) = torch.autograd.grad(exact, exact_leaf, weight.double(), materialize_grads=True)
    tolerance = TOLERANCE[x.dtype]
    cancelled = 1e-6 * float(x.double().square().sum(1).max()) if x.numel() else 0.0
    torch.testing.assert_close(out.double(), exact, rtol=tolerance, atol=tolerance + cancelled)
    torch.testing.assert_close(grad.double(), exact_grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(5, 26, 16), (3, 7, 33), (4, 170, 8), (1, 2, 1), (300, 5, 40)], ids=str)
def test_matches_definition(device: str, dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    check_forward_and_backward(sample(*shape, device=device, dtype=dtype))


@given(batch=st.integers(0, 4), fields=st.integers(0, 9), channels=st.integers(0, 40), dtype=st.sampled_from(TYPES))
def test_matches_definition_on_any_shape(batch: int, fields: int, channels: int, dtype: torch.dtype) -> None:
    check_forward_and_backward(sample(batch, fields, channels, dtype=dtype, seed=fields))


def test_cancellation_in_bfloat16(device: str) -> None:
    """The two terms are computed in float32: in bfloat16 nothing would be left of a small difference."""
    x = sample(8, 200, 4, device=device, dtype=torch.bfloat16)
    exact = definition(x.double())
    error = (kernels.factorization_machine(x).double() - exact).abs()
    assert bool((error <= 2.0**-8 * exact.abs() + 1e-3).all())


def test_non_contiguous(device: str) -> None:
    x = sample(6, 5, 7, device=device)
    for view in (x.transpose(1, 2), x[::2], x[:, ::2], x[..., 1:], x[:1].expand(4, 5, 7), x.permute(2, 0, 1)):
        check_forward_and_backward(view)
    leaf = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(kernels.factorization_machine(leaf).sum(), leaf)  # an expanded scalar
    torch.testing.assert_close(grad, 2 * (x.sum(1, keepdim=True) - x))


def test_threads_do_not_change_the_result() -> None:
    x, threads, results = sample(2048, 26, 16), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf = x.clone().requires_grad_()
            out = kernels.factorization_machine(leaf)
            results.append((out.detach(), *torch.autograd.grad(out.sum(), leaf)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_gradcheck(device: str) -> None:
    x = sample(2, 5, 3, device=device, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(kernels.factorization_machine, (x,))
    assert torch.autograd.gradgradcheck(kernels.factorization_machine, (x,))


@needs_extension
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    x = sample(3, 6, 4, device=device, dtype=dtype).requires_grad_()
    grad = sample(3, 4, device=device, dtype=dtype).requires_grad_()
    torch.library.opcheck(torch.ops.nasrec.factorization_machine.default, (x,))
    torch.library.opcheck(torch.ops.nasrec.factorization_machine_backward.default, (grad, x))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(device: str, backend: str) -> None:
    def model(x: Tensor) -> Tensor:
        return kernels.factorization_machine(torch.relu(x)).sum(1)

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    x = sample(4, 6, 8, device=device).requires_grad_()
    torch.testing.assert_close(compiled(x), model(x))
    torch.testing.assert_close(torch.autograd.grad(compiled(x).sum(), x), torch.autograd.grad(model(x).sum(), x))


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return kernels.factorization_machine(x)

    program = torch.export.export(Model(), (sample(4, 6, 8),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.factorization_machine.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = sample(batch, 6, 8)
        assert torch.equal(program.module()(x), kernels.factorization_machine(x))


def test_reference_serves_where_no_kernel_does(device: str) -> None:
    x = sample(4, 6, 8, device=device)
    with kernels.use_reference():
        torch.testing.assert_close(kernels.factorization_machine(x), definition(x))
    torch.testing.assert_close(kernels.factorization_machine(x.half()), definition(x.half().double()).half())


def test_wrong_shape_is_one_clear_error(device: str) -> None:
    with pytest.raises(KernelError, match=r"^factorization_machine: x must be \[B, f, e\], got \[2, 3\]$"):
        kernels.factorization_machine(torch.zeros(2, 3, device=device))


@needs_extension
def test_operators_check_their_operands(device: str) -> None:
    forward, backward = torch.ops.nasrec.factorization_machine, torch.ops.nasrec.factorization_machine_backward
    x, grad = torch.zeros(2, 4, 3, device=device), torch.zeros(2, 3, device=device)
    with pytest.raises(RuntimeError, match=r"factorization_machine: x must be \[B, f, e\], got \[4, 3\]"):
        forward(x[0])
    with pytest.raises(RuntimeError, match="factorization_machine: x must be float32, float64 or bfloat16, got Half"):
        forward(x.half())
    with pytest.raises(RuntimeError, match=r"factorization_machine_backward: grad must be \[2, 3\], got \[2, 2\]"):
        backward(grad[:, 1:], x)
    with pytest.raises(RuntimeError, match="grad must have the type of x, got Double and Float"):
        backward(grad.double(), x)


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, shape in itertools.product(TYPES, ((5, 26, 16), (3, 7, 33), (2, 1, 5), (1, 3, 64))):
        check_forward_and_backward(sample(*shape, dtype=dtype))
