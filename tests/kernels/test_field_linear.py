"""The compiled linear map along the fields against its definition in float64: every device, type, instruction set."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import reference
from tests.kernels.test_linear import TOLERANCE, TYPES, Case, Operands, assert_near, needs_extension, sample


@dataclass(frozen=True)
class FieldCase(Case):
    """Fields of the inputs and of the weight's pieces; the rest as in `Case`, and the channels of an embedding."""

    channels: int = 16


CASES = [
    FieldCase((3, 4), (2, 5), batch=5, out=6, keep=4, activation="sigmoid", channels=3),
    FieldCase((5,), (5,), batch=1, out=1, channels=1),
    FieldCase((5, 0, 2), (0, 7, 0), batch=9, out=3, norm=False, bias=False, activation="none", channels=4),
    FieldCase((0,), (0,), batch=4, out=5, channels=2),  # no fields: the bias alone
    FieldCase((3,), (3,), batch=4, out=5, keep=0, channels=2),
    FieldCase((3,), (1, 1, 1), batch=4, out=0, norm=False, channels=2),
    FieldCase((3, 2), (5,), batch=0, out=4, channels=3),
    FieldCase((3, 2), (5,), batch=3, out=4, channels=0),
    FieldCase((26,), (26,), batch=50, out=64),
    FieldCase((26, 13, 9), (20, 28), batch=130, out=48, keep=33),  # the batch is divided among threads
    FieldCase((17,), (9, 8), batch=33, out=17, activation="none"),
    FieldCase((26,), (26,), batch=40, out=8, norm=False, activation="none"),
    FieldCase((12, 1), (13,), batch=35, out=33, keep=20, norm=False),
    FieldCase((12, 1), (13,), batch=21, out=35, channels=10, activation="sigmoid"),
    FieldCase((9,), (9,), batch=30, out=18, channels=8),
    FieldCase((9,), (4, 5), batch=7, out=20, channels=32),
    FieldCase((9, 2), (11,), batch=5, out=20, channels=37),
    FieldCase((9, 2), (11,), batch=4, out=20, channels=64, keep=7),
    FieldCase((7, 2), (9,), batch=3, out=10, channels=203, norm=False, activation="sigmoid"),
]


def operands(case: FieldCase, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Operands:
    """Random operands; inputs and pieces are slices of wider tensors, as a supernet's are."""
    seeds = itertools.count()

    def draw(*shape: int) -> Tensor:
        return sample(*shape, device=device, dtype=dtype, seed=next(seeds))

    scale = max(1, sum(case.widths)) ** -0.5
    return Operands(
        [draw(case.batch, fields + 3, case.channels)[:, 1 : 1 + fields] for fields in case.widths],
        [scale * draw(case.out + 2, width + 3)[: case.out, 1 : 1 + width] for width in case.pieces],
        draw(case.out) if case.bias else None,
        (1 + draw(case.out), 1 + draw(case.out)) if case.norm else None,
    )


def ours(case: FieldCase, given: Operands) -> Tensor:
    return kernels.field_linear(
        given.inputs,
        given.pieces,
        given.bias,
        norm=given.norm,
        eps=1e-3,
        activation=case.activation,
        keep=case.keep,
    )


def definition(case: FieldCase, given: Operands, positive: Tensor | None = None) -> Tensor:
    """Straight from the definition, in the operands' own precision; `positive` says which results relu lets through."""
    z = torch.einsum("bkc,ok->boc", torch.cat(given.inputs, 1), torch.cat(given.pieces, 1))
    if given.bias is not None:
        z = z + given.bias[:, None]
    if given.norm is not None:
        gain, offset = (vector[:, None] for vector in given.norm)
        distance = z - z.mean(1, keepdim=True)
        z = distance * (distance.square().mean(1, keepdim=True) + 1e-3).rsqrt() * gain + offset
    z = z[:, : case.keep]
    if case.activation == "relu" and positive is not None:
        return torch.where(positive, z, 0)
    return {"none": lambda z: z, "relu": torch.relu, "sigmoid": torch.sigmoid}[case.activation](z)


def check(case: FieldCase, given: Operands) -> None:
    """Face and all gradients equal the definition's in float64."""
    leaves = [tensor.detach().requires_grad_() for tensor in given.all()]
    exact_leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    y = ours(case, given.like(leaves))
    exact = definition(case, given.like(exact_leaves), positive=y > 0)  # rounding may move a result across zero
    assert y.dtype == leaves[0].dtype and y.shape == exact.shape and y.is_contiguous()
    grad = sample(*y.shape, device=str(y.device), dtype=y.dtype, seed=99)
    found = torch.autograd.grad(y, leaves, grad)
    expected = torch.autograd.grad(exact, exact_leaves, grad.double(), materialize_grads=True)
    tolerance = TOLERANCE[y.dtype]
    assert_near(y, definition(case, given.like(exact_leaves)), tolerance)
    for leaf, one, other in zip(leaves, found, expected, strict=True):
        assert one.shape == leaf.shape and one.is_contiguous()
        assert_near(one, other, tolerance)
    with torch.no_grad():
        assert torch.equal(ours(case, given), y)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_definition(device: str, dtype: torch.dtype, case: FieldCase) -> None:
    check(case, operands(case, device, dtype))


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 20),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 70),
    st.sampled_from(["none", "relu", "sigmoid"]),
    st.booleans(),
    st.booleans(),
)
def test_matches_definition_for_any_shape(
    fields: list[int],
    cuts: int,
    batch: int,
    out: int,
    keep: int,
    channels: int,
    activation: str,
    norm: bool,
    bias: bool,
) -> None:
    columns = sum(fields)
    inner = sorted({columns * (i + 1) // (cuts + 1) for i in range(cuts)})
    pieces = tuple(stop - start for start, stop in itertools.pairwise([0, *inner, columns]))
    norm = norm and out > 0
    case = FieldCase(tuple(fields), pieces, batch, out, min(keep, out), activation, norm, bias, channels)
    check(case, operands(case, dtype=torch.float64))


def test_a_field_stays_in_its_channel(device: str) -> None:
    """One field of one sample, in one channel, reaches its weights' column there and nothing else."""
    weight = sample(5, 7, device=device)
    x = torch.zeros(4, 7, 6, device=device)
    x[2, 3, 4] = 2
    expected = torch.zeros(4, 5, 6, device=device)
    expected[2, :, 4] = 2 * weight[:, 3]
    torch.testing.assert_close(kernels.field_linear([x[:, :2], x[:, 2:]], weight), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_norm_of_nearly_equal_rows(device: str, dtype: torch.dtype) -> None:
    """Rows whose common part is much larger than their differences lose no more digits than the product itself."""
    x = sample(6, 9, 16, device=device, dtype=dtype)
    weight = 100 + sample(12, 9, device=device, dtype=dtype, seed=1)
    bias = 1000 + sample(12, device=device, dtype=dtype, seed=2)
    norm = (torch.ones(12, device=device, dtype=dtype), torch.zeros(12, device=device, dtype=dtype))
    y = kernels.field_linear([x], weight, bias, norm=norm)
    exact = reference.field_linear(
        [x.double()], weight.double(), bias.double(), norm=(norm[0].double(), norm[1].double())
    )
    tolerance = 3e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(y.double(), exact, rtol=tolerance, atol=tolerance)


def test_norm_is_over_all_rows_before_the_cut(device: str) -> None:
    """Rows behind `keep` shift the statistics, and so have gradients."""
    case = FieldCase((4,), (4,), batch=6, out=5, keep=2, activation="none", channels=3)
    given_ = operands(case, device, torch.float64)
    weight = given_.pieces[0].detach().clone().requires_grad_()
    y = ours(case, Operands(given_.inputs, [weight], given_.bias, given_.norm))
    assert y.shape == (6, 2, 3)
    (grad,) = torch.autograd.grad(y.square().sum(), weight)
    assert grad[2:].abs().min() > 0
    y = kernels.field_linear(given_.inputs, weight, given_.bias, keep=2)
    (grad,) = torch.autograd.grad(y.square().sum(), weight)
    assert grad[:2].abs().min() > 0 and not grad[2:].any()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("channels", [5, 16])
def test_strange_strides(device: str, dtype: torch.dtype, channels: int) -> None:
    """Broadcast, transposed and skipping operands are read as what they show."""
    case = FieldCase((4, 6, 2, 1), (8, 5), batch=7, out=5, channels=channels)
    base = operands(replace(case, widths=(1, 1, 1, 1), pieces=(8, 1)), device, dtype)
    inputs = [
        base.inputs[0][:1].expand(7, 4, channels),
        sample(channels, 6, 7, device=device, dtype=dtype).permute(2, 1, 0),
        sample(14, 4, channels, device=device, dtype=dtype)[::2, ::2],
        sample(7, 1, 2 * channels, device=device, dtype=dtype)[..., ::2],
    ]
    pieces = [sample(8, 5, device=device, dtype=dtype).T, base.pieces[1].expand(5, 5)]
    check(case, Operands(inputs, pieces, base.bias, base.norm))


def test_gradient_of_any_strides(device: str) -> None:
    """An expanded scalar, a transposed gradient, and one that holds every second row."""
    case = FieldCase((6,), (6,), batch=5, out=8, activation="sigmoid")
    given_ = operands(case, device, torch.float64)
    leaves = [t.detach().requires_grad_() for t in given_.all()]
    y = ours(case, given_.like(leaves))
    for grad in (
        torch.ones((), device=device).double().expand(y.shape),
        sample(16, 8, 5, device=device).double().permute(2, 1, 0),
        sample(5, 16, 16, device=device).double()[:, ::2],
    ):
        found = torch.autograd.grad(y, leaves, grad, retain_graph=True)
        expected = torch.autograd.grad(y, leaves, grad.contiguous(), retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("case", [case for case in CASES if case.batch * case.out * case.channels <= 100], ids=str)
def test_gradcheck(device: str, case: FieldCase) -> None:
    given_ = operands(case, device, torch.float64)
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given_.all()]
    for one in (case, replace(case, activation="sigmoid")):
        assert torch.autograd.gradcheck(lambda *t, one=one: ours(one, given_.like(list(t))), leaves)


def test_gradients_of_gradients(device: str) -> None:
    case = FieldCase((3, 2), (4, 1), batch=2, out=4, keep=3, activation="sigmoid", channels=2)
    given_ = operands(case, device, torch.float64)
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given_.all()]
    assert torch.autograd.gradgradcheck(lambda *t: ours(case, given_.like(list(t))), leaves)


def test_only_what_is_needed_is_computed(device: str) -> None:
    case = CASES[0]
    given_ = operands(case, device, torch.float64)
    expected = [t.detach().clone().requires_grad_() for t in given_.all()]
    definition(case, given_.like(expected)).sum().backward()
    for chosen in range(len(expected)):
        leaves = [t.detach().clone() for t in given_.all()]
        leaves[chosen].requires_grad_()
        ours(case, given_.like(leaves)).sum().backward()
        assert [t.grad is not None for t in leaves] == [i == chosen for i in range(len(leaves))]
        assert_near(leaves[chosen].grad, expected[chosen].grad, 1e-12)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("channels", [10, 16])
def test_threads_change_nothing_but_the_order_of_sums(dtype: torch.dtype, channels: int) -> None:
    case = FieldCase((13, 7), (9, 11), batch=250, out=24, keep=20, channels=channels)
    before = torch.get_num_threads()
    forwards = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            check(case, operands(case, dtype=dtype))
            results = []
            for _ in range(2):
                given_ = operands(case, dtype=dtype)
                leaves = [t.detach().requires_grad_() for t in given_.all()]
                y = ours(case, given_.like(leaves))
                results.append([y, *torch.autograd.grad(y.sum(), leaves)])
            assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
            forwards.append(results[0][0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(forwards[0], forwards[1]) and torch.equal(forwards[0], forwards[2])


def test_non_finite_values_stay_in_their_sample_and_channel(device: str) -> None:
    for dtype in TYPES:
        x = torch.ones(5, 6, 10, device=device, dtype=dtype)
        x[1, 5, 3] = float("nan")
        weight = sample(7, 6, device=device, dtype=dtype)
        norm = (torch.ones(7, device=device, dtype=dtype), torch.ones(7, device=device, dtype=dtype))
        y = kernels.field_linear([x], weight, norm=norm, activation="relu")
        assert bool(y[1, :, 3].isnan().all())
        y[1, :, 3] = 0
        assert bool(y.isfinite().all())


@needs_extension
@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[6]], ids=str)
def test_opcheck(device: str, case: FieldCase) -> None:
    given_ = operands(case, device)
    gain, offset = given_.norm or (None, None)
    keep = -1 if case.keep is None else case.keep
    code = {"none": 0, "relu": 1, "sigmoid": 2}[case.activation]
    forward, backward = torch.ops.nasrec.field_linear.default, torch.ops.nasrec.field_linear_backward.default
    leaves = given_.like([t.detach().requires_grad_() for t in given_.all()])
    norm = leaves.norm or (None, None)
    for save in (True, False):
        tests = (
            "test_schema",
            "test_faketensor",
            *(("test_autograd_registration", "test_aot_dispatch_dynamic") * save),
        )
        chosen, vectors = (leaves, norm) if save else (given_, (gain, offset))
        arguments = (chosen.inputs, chosen.pieces, chosen.bias, *vectors, 1e-5, code, keep, save)
        torch.library.opcheck(forward, arguments, test_utils=tests)
    y, normalized, rstd = forward(given_.inputs, given_.pieces, given_.bias, gain, offset, 1e-5, code, keep, True)
    needs = [True, *(len(given_.inputs) + len(given_.pieces) - 1) * [False], True, gain is not None, False]
    torch.library.opcheck(backward, (y, given_.inputs, given_.pieces, gain, y, normalized, rstd, code, needs))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
def test_compiles_as_one_graph(device: str, backend: str, case: FieldCase) -> None:
    def model(*tensors: Tensor) -> Tensor:
        return 2 * ours(case, given_.like(list(tensors)))

    given_ = operands(case, device)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    leaves = [t.detach().requires_grad_() for t in given_.all()]
    torch.testing.assert_close(compiled(*leaves), model(*leaves))
    found = torch.autograd.grad(compiled(*leaves).sum(), leaves)
    expected = torch.autograd.grad(model(*leaves).sum(), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*leaves), model(*leaves))


@needs_extension
def test_exported_program_keeps_the_operator() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(sample(6, 9))

        def forward(self, x: Tensor) -> Tensor:
            return kernels.field_linear([x, x[:, :1]], self.weight, activation="relu", keep=4)

    model, x = Model(), sample(4, 8, 5)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.field_linear.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = sample(batch, 8, 5)
        assert torch.equal(program.module()(x), model(x))


@needs_extension
def test_use_reference_leaves_the_kernel_out() -> None:
    profile = torch.profiler.profile
    x, weight = sample(2, 3, 4), sample(5, 3)
    with profile() as with_kernel:
        kernels.field_linear([x], weight)
    with profile() as without, kernels.use_reference():
        kernels.field_linear([x], weight)
    assert "nasrec::field_linear" in {event.key for event in with_kernel.key_averages()}
    assert "nasrec::field_linear" not in {event.key for event in without.key_averages()}


X, W = torch.zeros(2, 3, 4), torch.zeros(5, 6)
ERRORS = [
    ("field_linear: needs at least one input", lambda d: kernels.field_linear([], W.to(d))),
    ("field_linear: needs at least one piece of the weight", lambda d: kernels.field_linear([X.to(d)], [])),
    (
        r"field_linear: inputs must be \[B, f, e\], got \[2, 3\]",
        lambda d: kernels.field_linear([X.to(d)[..., 0]], W.to(d)),
    ),
    (
        r"field_linear: inputs must agree in all but axis 1, got \[2, 3, 4\], \[2, 3, 2\]",
        lambda d: kernels.field_linear([X.to(d), X.to(d)[..., :2]], W.to(d)),
    ),
    (
        r"field_linear: weight must be \[out, 3\] for inputs \[2, 3, 4\], got \[5, 6\]",
        lambda d: kernels.field_linear([X.to(d)], W.to(d)),
    ),
    (
        r"field_linear: bias must be \[5\], got \[4\]",
        lambda d: kernels.field_linear(2 * [X.to(d)], W.to(d), torch.zeros(4, device=d)),
    ),
    (
        r"field_linear: norm_weight must be \[5\], got \[6\]",
        lambda d: kernels.field_linear(2 * [X.to(d)], W.to(d), norm=(W.to(d)[0], W.to(d)[0])),
    ),
    (
        "field_linear: activation must be one of none, relu, sigmoid, got 'tanh'",
        lambda d: kernels.field_linear(2 * [X.to(d)], W.to(d), activation="tanh"),
    ),
    (
        r"field_linear: keep must lie in 0\.\.5, got 6",
        lambda d: kernels.field_linear(2 * [X.to(d)], W.to(d), keep=6),
    ),
]


@pytest.mark.parametrize("plain", [False, True], ids=["kernels", "reference"])
@pytest.mark.parametrize(("message", "call"), ERRORS, ids=[message for message, _ in ERRORS])
def test_wrong_operands_are_one_clear_error(
    device: str, plain: bool, message: str, call: Callable[[str], Tensor]
) -> None:
    with kernels.use_reference() if plain else contextlib.nullcontext(), pytest.raises(KernelError) as raised:
        call(device)
    assert re.fullmatch(message, str(raised.value))


@needs_extension
def test_operators_check_their_operands(device: str) -> None:
    """The operators themselves, which exported programs call past the face, read no memory that is not there."""
    forward, backward = torch.ops.nasrec.field_linear, torch.ops.nasrec.field_linear_backward
    x, w, vector, none = (t.to(device) for t in (X, W[:, :3], torch.zeros(5), torch.zeros(0)))
    with pytest.raises(RuntimeError, match="field_linear: inputs must be float32, float64 or bfloat16, got Long"):
        forward([x.long()], [w], None, None, None, 1e-5, 0, -1, True)
    grad, needs = torch.zeros(2, 5, 4, device=device), 5 * [True]
    with pytest.raises(RuntimeError, match=r"field_linear_backward: grad must be like .*, got \[2, 5, 3\]"):
        backward(grad[..., :3], [x], [w], None, none, none, none, 0, needs)
    with pytest.raises(RuntimeError, match=r"field_linear_backward: y must be \[2, 5, 4\], got \[2, 3, 4\]"):
        backward(grad, [x], [w], None, x, none, none, 1, needs)
    with pytest.raises(
        RuntimeError, match=r"field_linear_backward: normalized and rstd must be .* got \[0\] and \[0\]"
    ):
        backward(grad, [x], [w], vector, none, none, none, 0, needs)


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, case in itertools.product(TYPES, CASES):
        check(case, operands(case, dtype=dtype))
