"""The compiled attention operator against the chain of its parts, on every device, type and instruction set."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import extension, reference

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# Rounding errors of the whole chain, relative to the largest entry of each result; bfloat16 is rounded once.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 2.0**-8}
TYPES = list(TOLERANCE)


def definition(x: torch.Tensor, p: list[torch.Tensor], heads: int, padded: int, eps: float) -> torch.Tensor:
    """The chain written out, zero fields and all, by torch.nn.functional's multi-head attention."""
    channels = x.shape[2]
    seen = torch.cat([x, x.new_zeros(len(x), padded, channels)], dim=1).transpose(0, 1)
    attended, _ = functional.multi_head_attention_forward(
        seen, seen, seen, channels, heads, p[0], p[1], None, None, False, 0.0, p[2], p[3], need_weights=False
    )
    h = functional.layer_norm(seen + attended, (channels,), p[4], p[5], eps)
    hidden = torch.relu(functional.linear(h, p[6], p[7]))
    y = functional.layer_norm(h + functional.linear(hidden, p[8], p[9]), (channels,), p[10], p[11], eps)
    return y.transpose(0, 1)[:, : x.shape[1]]


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> None:
    scale = float(want.detach().abs().max()) if want.numel() else 0.0
    torch.testing.assert_close(got.double(), want, rtol=0, atol=tolerance * max(scale, 1e-2))


def operands(
    batch: int,
    fields: int,
    channels: int,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    scale: float = 1.0,
) -> list[torch.Tensor]:
    """x and the twelve parameters, all at random."""
    generator = torch.Generator().manual_seed(seed)
    square = (channels, channels)
    shapes = [(batch, fields, channels), (3 * channels, channels), (3 * channels,), square]
    shapes += [(channels,)] * 3 + [square, (channels,), square, (channels,), (channels,), (channels,)]
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    drawn = [t * (scale * t.shape[1] ** -0.5 if t.dim() == 2 and t.numel() else 1.0) for t in drawn]
    return [t.to(device, dtype) for t in drawn]


def check_forward_and_backward(given: list[torch.Tensor], heads: int, padded: int = 0, eps: float = 1e-5) -> None:
    """Face and all gradients equal the definition's in float64."""
    leaves = [t.detach().requires_grad_() for t in given]
    exact_leaves = [t.detach().double().requires_grad_() for t in given]
    out = kernels.field_attention(leaves[0], leaves[1:], heads, padded=padded, eps=eps)
    exact = definition(exact_leaves[0], exact_leaves[1:], heads, padded, eps)
    assert out.dtype == given[0].dtype and out.shape == exact.shape
    weight = torch.linspace(-1, 1, out.numel(), device=out.device, dtype=out.dtype).view_as(out)
    grads = torch.autograd.grad(out, leaves, weight)
    exact_grads = torch.autograd.grad(exact, exact_leaves, weight.double())
    tolerance = TOLERANCE[out.dtype]
    close(out, exact, tolerance)
    for grad, exact_grad, leaf in zip(grads, exact_grads, leaves, strict=True):
        assert grad.dtype == leaf.dtype
        close(grad, exact_grad, tolerance)


# batch, fields, channels, heads, padded
SHAPES = [(3, 64, 16, 8, 0), (2, 16, 16, 8, 48), (2, 26, 16, 8, 6), (2, 15, 16, 8, 1), (3, 17, 12, 3, 0)]
SHAPES += [(2, 33, 40, 5, 7), (4, 5, 6, 6, 2), (2, 9, 20, 1, 3)]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("batch", "fields", "channels", "heads", "padded"), SHAPES)
def test_matches_definition(
    device: str, dtype: torch.dtype, batch: int, fields: int, channels: int, heads: int, padded: int
) -> None:
    check_forward_and_backward(operands(batch, fields, channels, device=device, dtype=dtype), heads, padded)


@given(
    batch=st.integers(1, 4),
    fields=st.integers(1, 40),
    heads=st.integers(1, 5),
    size=st.integers(1, 9),
    padded=st.integers(0, 40),
    seed=st.integers(0, 9),
)
def test_matches_definition_on_any_shape(
    batch: int, fields: int, heads: int, size: int, padded: int, seed: int
) -> None:
    given = operands(batch, fields, heads * size, dtype=torch.float64, seed=seed)
    check_forward_and_backward(given, heads, padded, eps=1e-3)


@pytest.mark.parametrize("shape", [(0, 5, 4), (3, 0, 4), (0, 0, 4)])
def test_degenerate_shapes(device: str, shape: tuple[int, int, int]) -> None:
    x, *parameters = (t.requires_grad_() for t in operands(*shape, device=device))
    out = kernels.field_attention(x, parameters, 2, padded=3)
    assert out.shape == shape
    for grad in torch.autograd.grad(out.sum(), [x, *parameters], allow_unused=True, materialize_grads=True):
        assert not bool(grad.any())


def test_no_channels(device: str) -> None:
    x, *parameters = operands(2, 3, 0, device=device)
    assert kernels.field_attention(x, parameters, 2).shape == (2, 3, 0)


def test_large_scores(device: str) -> None:
    for dtype in (torch.float32, torch.float64):
        given = operands(2, 40, 16, device=device, dtype=dtype)
        given[1] *= 8
        given[2] *= 8
        out = kernels.field_attention(given[0], given[1:], 8, padded=5)
        exact = definition(given[0].double(), [t.double() for t in given[1:]], 8, 5, 1e-5)
        close(out, exact, 100 * TOLERANCE[dtype])
    check_forward_and_backward(given, 8, padded=5)  # in float64


def test_padded_fields_are_fields_of_zeros(device: str) -> None:
    """As many as the published supernet masks, against the unpadded operator on the padded fields."""
    x, *parameters = operands(3, 16, 16, device=device)
    full = torch.cat([x, x.new_zeros(3, 48, 16)], dim=1)
    expected = kernels.field_attention(full, parameters, 8)[:, :16]
    torch.testing.assert_close(kernels.field_attention(x, parameters, 8, padded=48), expected, rtol=1e-5, atol=1e-5)


def test_non_contiguous(device: str) -> None:
    given = operands(6, 12, 16, device=device)
    x, parameters = given[0], given[1:]
    wide = torch.randn(6, 12, 40, generator=torch.Generator().manual_seed(1)).to(device)
    for view in (x[::2], x[:, ::2], wide[..., 4:20], x[:1].expand(4, 12, 16), wide[:, :, :16].flip(1)):
        check_forward_and_backward([view, *parameters], 8, padded=2)
    turned = [p.t().contiguous().t() for p in parameters]
    check_forward_and_backward([x, *turned], 8)


def test_threads_change_the_result_by_rounding_alone() -> None:
    """Nothing but the order in which the parameters' gradients are summed depends on the number of threads."""
    given, threads = operands(256, 24, 16), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 2):
            torch.set_num_threads(count)
            x, *parameters = (t.clone().requires_grad_() for t in given)
            out = kernels.field_attention(x, parameters, 8, padded=4)
            out.square().sum().backward()
            results.append((out.detach(), x.grad, [p.grad for p in parameters]))
    finally:
        torch.set_num_threads(threads)
    for out, grad, parameter_grads in results[1:]:
        assert torch.equal(out, results[0][0]) and torch.equal(grad, results[0][1])
        torch.testing.assert_close(parameter_grads, results[0][2], rtol=1e-4, atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(results[1][2], results[3][2], strict=True))


def test_non_finite_values_stay_in_their_sample(device: str) -> None:
    for dtype in TYPES:
        for bad in (float("nan"), float("inf")):
            x, *parameters = operands(2, 20, 16, device=device, dtype=dtype)
            x[0, 5, 3] = bad
            out = kernels.field_attention(x, parameters, 8, padded=3)
            assert bool(out[0].isnan().all()) and bool(out[1].isfinite().all())


def test_gradcheck(device: str) -> None:
    leaves = [t.requires_grad_() for t in operands(2, 3, 4, device=device, dtype=torch.float64)]

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return kernels.field_attention(x, parameters, 2, padded=2)

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves, atol=1e-4)


@needs_extension
@pytest.mark.parametrize(
    "dtype", [torch.float32, *(pytest.param(t, marks=pytest.mark.slow) for t in TYPES[1:])], ids=str
)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    forward, backward = torch.ops.nasrec.field_attention.default, torch.ops.nasrec.field_attention_backward.default
    x, *parameters = (t.requires_grad_() for t in operands(3, 6, 8, device=device, dtype=dtype))
    torch.library.opcheck(forward, (x, parameters, 4, 2, 1e-5))
    with torch.no_grad():
        out, mixed, reciprocals = forward(x, parameters, 4, 2, 1e-5)
    torch.library.opcheck(backward, (out.requires_grad_(), x, parameters, mixed, reciprocals, 4, 2, 1e-5))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_as_one_graph(device: str, backend: str) -> None:
    def model(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return kernels.field_attention(torch.relu(x), parameters, 2, padded=1).sum(1)

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    leaves = [t.requires_grad_() for t in operands(4, 6, 8, device=device)]
    torch.testing.assert_close(compiled(*leaves), model(*leaves))
    weight = torch.linspace(-1, 1, 32, device=device).view(4, 8)
    grads = torch.autograd.grad(compiled(*leaves), leaves, weight)
    torch.testing.assert_close(grads, torch.autograd.grad(model(*leaves), leaves, weight))


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.ParameterList(operands(1, 1, 8)[1:])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return kernels.field_attention(x, list(self.weights), 2, padded=1)

    model = Model()
    x = operands(4, 6, 8)[0]
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.field_attention.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = operands(batch, 6, 8)[0]
        assert torch.equal(program.module()(x), model(x))


@needs_extension
def test_use_reference_leaves_the_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    written = reference.field_attention
    monkeypatch.setattr(reference, "field_attention", lambda *a, **k: calls.append(a) or written(*a, **k))
    x, *parameters = operands(2, 3, 8)
    ours = kernels.field_attention(x, parameters, 2, padded=2)
    assert not calls
    with kernels.use_reference():
        torch.testing.assert_close(kernels.field_attention(x, parameters, 2, padded=2), ours)
    assert len(calls) == 1


def test_types_without_a_kernel_use_the_reference() -> None:
    x, *parameters = operands(2, 5, 8)
    exact = kernels.field_attention(x, parameters, 2)
    half = kernels.field_attention(x.half(), [p.half() for p in parameters], 2)
    torch.testing.assert_close(half.float(), exact, rtol=0.02, atol=0.02)


def test_wrong_operands_are_one_clear_error(device: str) -> None:
    x, *parameters = operands(2, 3, 8, device=device)
    cases = [
        (r"x must be \[B, f, e\], got \[3, 8\]", (x[0], parameters, 2), {}),
        ("heads must divide the channels, got 3 heads and 8 channels", (x, parameters, 3), {}),
        ("padded must be at least 0, got -1", (x, parameters, 2), {"padded": -1}),
        ("needs 12 parameters, got 11", (x, parameters[1:], 2), {}),
        (
            r"out_weight must be \[8, 8\] for x \[2, 3, 8\], got \[8\]",
            (x, [*parameters[:2], parameters[3], *parameters[3:]], 2),
            {},
        ),
    ]
    for message, arguments, options in cases:
        with pytest.raises(KernelError, match=f"^field_attention: {message}$"):
            kernels.field_attention(*arguments, **options)
        if extension.extension() is not None:  # the operator itself, which exported programs call past the face
            with pytest.raises(RuntimeError, match=f"field_attention: {message}"):
                torch.ops.nasrec.field_attention(*arguments, options.get("padded", 0), 1e-5)


@needs_extension
def test_operator_checks_its_operands(device: str) -> None:
    forward, backward = torch.ops.nasrec.field_attention, torch.ops.nasrec.field_attention_backward
    x, *parameters = operands(2, 4, 8, device=device)
    out, mixed, reciprocals = forward(x, parameters, 2, 0, 1e-5)
    with pytest.raises(RuntimeError, match="field_attention: x must be float32, float64 or bfloat16, got Half"):
        forward(x.half(), parameters, 2, 0, 1e-5)
    with pytest.raises(RuntimeError, match="field_attention: fc1_bias must have the type of x, got Double and Float"):
        forward(x, [*parameters[:7], parameters[7].double(), *parameters[8:]], 2, 0, 1e-5)
    with pytest.raises(
        RuntimeError, match=r"field_attention_backward: mixed must be \[2, 4, 8\] for x .* got \[2, 3, 8\]"
    ):
        backward(out, x, parameters, mixed[:, 1:], reciprocals, 2, 0, 1e-5)
    with pytest.raises(
        RuntimeError, match="field_attention_backward: mixed and reciprocals must be what the forward gave"
    ):
        backward(out, x, parameters, mixed, reciprocals.double(), 2, 0, 1e-5)


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, (batch, fields, channels, heads, padded) in itertools.product(TYPES, SHAPES):
        check_forward_and_backward(operands(batch, fields, channels, dtype=dtype), heads, padded)
