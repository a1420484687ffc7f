"""The compiled linear operator against its definition in float64, on every device, type and instruction set."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nasrec import kernels
from nasrec.errors import KernelError
from nasrec.kernels import extension, reference

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# Of the norm of a result or gradient: bfloat16 rounds operands and the gradient before the products.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-12, torch.bfloat16: 2.0**-7}
TYPES = list(TOLERANCE)


@dataclass(frozen=True)
class Case:
    """Widths of the inputs and of the weight's pieces, batch and rows, and what follows the product."""

    widths: tuple[int, ...]
    pieces: tuple[int, ...]
    batch: int
    out: int
    keep: int | None = None
    activation: str = "relu"
    norm: bool = True
    bias: bool = True


CASES = [
    Case((3, 4), (2, 5), batch=5, out=6, keep=4, activation="sigmoid"),
    Case((5,), (5,), batch=1, out=1),
    Case((5, 0, 2), (0, 7, 0), batch=9, out=3, norm=False, bias=False, activation="none"),
    Case((0,), (0,), batch=4, out=5),  # no columns: the bias alone
    Case((3,), (3,), batch=4, out=5, keep=0),
    Case((3,), (1, 1, 1), batch=4, out=0, norm=False),
    Case((3, 2), (5,), batch=0, out=4),
    Case((40, 9), (20, 29), batch=300, out=64, keep=33, norm=False, activation="sigmoid"),
    Case((35, 51, 13), (60, 39), batch=512, out=256, keep=200),  # the batch is divided among threads
    Case((700, 100), (800,), batch=3, out=300, keep=256),  # so are rows and columns of the weight
    Case((17,), (17,), batch=600, out=1, norm=False, activation="none"),
    *(Case((70, 13), (83,), batch=batch, out=99, keep=90) for batch in (1, 2, 4)),  # too few rows to pack the weight
]


@dataclass(frozen=True)
class Operands:
    """What a call is given, in one order: inputs, pieces of the weight, bias, gain and offset."""

    inputs: list[Tensor]
    pieces: list[Tensor]
    bias: Tensor | None
    norm: tuple[Tensor, Tensor] | None

    def all(self) -> list[Tensor]:
        vectors = [] if self.bias is None else [self.bias]
        return [*self.inputs, *self.pieces, *vectors, *(self.norm or ())]

    def like(self, tensors: list[Tensor]) -> Operands:
        """The same with other tensors, in the order of `all`."""
        left = iter(tensors)
        return Operands(
            [next(left) for _ in self.inputs],
            [next(left) for _ in self.pieces],
            None if self.bias is None else next(left),
            None if self.norm is None else (next(left), next(left)),
        )


def sample(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def operands(case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Operands:
    """Random operands; inputs and pieces are slices of wider tensors, as a supernet's are."""
    seeds = itertools.count()

    def slice_of(rows: int, width: int) -> Tensor:
        return sample(rows, width + 3, device=device, dtype=dtype, seed=next(seeds))[:, 1 : 1 + width]

    scale = max(1, sum(case.widths)) ** -0.5
    return Operands(
        [slice_of(case.batch, width) for width in case.widths],
        [scale * slice_of(case.out + 2, width)[: case.out] for width in case.pieces],
        sample(case.out, device=device, dtype=dtype, seed=next(seeds)) if case.bias else None,
        tuple(1 + sample(case.out, device=device, dtype=dtype, seed=next(seeds)) for _ in range(2))
        if case.norm
        else None,
    )


def ours(case: Case, given: Operands) -> Tensor:
    return kernels.linear(
        given.inputs,
        given.pieces,
        given.bias,
        norm=given.norm,
        eps=1e-3,
        activation=case.activation,
        keep=case.keep,
    )


def definition(case: Case, given: Operands, positive: Tensor | None = None) -> Tensor:
    """Straight from the definition, in the operands' own precision; `positive` says which results relu lets through."""
    z = torch.cat(given.inputs, 1) @ torch.cat(given.pieces, 1).T
    if given.bias is not None:
        z = z + given.bias
    if given.norm is not None:
        distance = z - z.mean(1, keepdim=True)
        z = distance * (distance.square().mean(1, keepdim=True) + 1e-3).rsqrt() * given.norm[0] + given.norm[1]
    z = z[:, : case.keep]
    if case.activation == "relu" and positive is not None:
        return torch.where(positive, z, 0)
    return {"none": lambda z: z, "relu": torch.relu, "sigmoid": torch.sigmoid}[case.activation](z)


def check(case: Case, given: Operands) -> None:
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


def assert_near(one: Tensor, exact: Tensor, tolerance: float) -> None:
    """The whole by its norm; a gradient that cancels to nothing has no relative size."""
    distance = (one.double() - exact).norm().item()
    assert distance <= tolerance * (exact.norm().item() + exact.numel() ** 0.5), f"{distance} of {exact.norm()}"


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_definition(device: str, dtype: torch.dtype, case: Case) -> None:
    check(case, operands(case, device, dtype))


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 20),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from(["none", "relu", "sigmoid"]),
    st.booleans(),
    st.booleans(),
)
def test_matches_definition_for_any_shape(
    widths: list[int], cuts: int, batch: int, out: int, keep: int, activation: str, norm: bool, bias: bool
) -> None:
    columns = sum(widths)
    inner = sorted({columns * (i + 1) // (cuts + 1) for i in range(cuts)})
    pieces = tuple(stop - start for start, stop in itertools.pairwise([0, *inner, columns]))
    case = Case(tuple(widths), pieces, batch, out, min(keep, out), activation, norm, bias)
    check(case, operands(case, dtype=torch.float64))


def test_norm_is_over_all_rows_before_the_cut(device: str) -> None:
    """Rows behind `keep` shift the statistics, and so have gradients."""
    case = Case((4,), (4,), batch=6, out=5, keep=2, activation="none")
    given_ = operands(case, device, torch.float64)
    weight = given_.pieces[0].detach().clone().requires_grad_()
    y = ours(case, Operands(given_.inputs, [weight], given_.bias, given_.norm))
    assert y.shape == (6, 2)
    (grad,) = torch.autograd.grad(y.square().sum(), weight)
    assert grad[2:].abs().min() > 0
    (grad,) = torch.autograd.grad(kernels.linear(given_.inputs, weight, given_.bias, keep=2).square().sum(), weight)
    assert grad[:2].abs().min() > 0 and not grad[2:].any()


def test_strange_strides(device: str) -> None:
    """Broadcast, transposed, reversed and scalar-expanded operands are read as what they show."""
    case = Case((4, 6, 1), (8, 3), batch=7, out=5)
    base = operands(case, device, torch.float64)
    inputs = [base.inputs[0][:1].expand(7, 4), sample(6, 7, device=device).double().T, base.inputs[1][:, 2:3]]
    pieces = [sample(8, 5, device=device).double().T, base.pieces[1][:1].expand(5, 3)]
    check(case, Operands(inputs, pieces, base.bias, base.norm))
    y = ours(case, (given_ := Operands(inputs, [p.clone().requires_grad_() for p in pieces], base.bias, base.norm)))
    exact = definition(case, given_)
    for one, other in zip(
        torch.autograd.grad(y.sum(), given_.pieces), torch.autograd.grad(exact.sum(), given_.pieces), strict=True
    ):
        assert_near(one, other, 1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case.batch * case.out <= 60], ids=str)
def test_gradcheck(device: str, case: Case) -> None:
    given_ = operands(case, device, torch.float64)
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given_.all()]
    smooth = Case(**{**case.__dict__, "activation": "sigmoid"})
    assert torch.autograd.gradcheck(lambda *t: ours(smooth, given_.like(list(t))), leaves)
    assert torch.autograd.gradcheck(lambda *t: ours(case, given_.like(list(t))), leaves)


def test_gradients_of_gradients(device: str) -> None:
    case = Case((3, 2), (4, 1), batch=3, out=4, keep=3, activation="sigmoid")
    given_ = operands(case, device, torch.float64)
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given_.all()]
    assert torch.autograd.gradgradcheck(lambda *t: ours(case, given_.like(list(t))), leaves)


def test_gradient_penalty_through_dependent_inputs(device: str) -> None:
    """One input computed from another keeps its own share of a gradient that is differentiated again."""
    x = sample(3, 4, device=device).double().requires_grad_()
    weight = sample(5, 8, device=device, seed=1).double()

    def penalty(linear: Callable[..., Tensor]) -> Tensor:
        y = linear([x, torch.sin(x)], weight, activation="sigmoid")
        (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), x)[0]

    torch.testing.assert_close(penalty(kernels.linear), penalty(reference.linear))


@needs_extension
def test_the_backward_operator_names_its_limit(device: str) -> None:
    x, w = sample(3, 4, device=device).requires_grad_(), sample(5, 4, device=device)
    grad = torch.ones(3, 5, device=device)
    (gx, *_) = torch.ops.nasrec.linear_backward(grad, [x], [w], None, w, w, w, 0, [True, *4 * [False]])
    torch.testing.assert_close(gx, grad @ w)
    with pytest.raises(KernelError, match="linear_backward: has no gradient of its own; differentiate linear with"):
        gx.sum().backward()


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
@pytest.mark.parametrize("batch", [40, 700])
def test_threads_change_nothing_but_the_order_of_sums(dtype: torch.dtype, batch: int) -> None:
    case = Case((130, 70), (90, 110), batch=batch, out=96, keep=90)
    before = torch.get_num_threads()
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
    finally:
        torch.set_num_threads(before)


@needs_extension
@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[6]], ids=str)
def test_opcheck(device: str, case: Case) -> None:
    given_ = operands(case, device)
    gain, offset = given_.norm or (None, None)
    keep = -1 if case.keep is None else case.keep
    code = {"none": 0, "relu": 1, "sigmoid": 2}[case.activation]
    forward, backward = torch.ops.nasrec.linear.default, torch.ops.nasrec.linear_backward.default
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
def test_compiles_as_one_graph(device: str, backend: str, case: Case) -> None:
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
            return kernels.linear([x, x[:, :1]], self.weight, activation="relu", keep=4)

    model, x = Model(), sample(4, 8)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.ops.nasrec.linear.default in {node.target for node in program.graph.nodes}
    for batch in (0, 1, 9):
        x = sample(batch, 8)
        assert torch.equal(program.module()(x), model(x))


@needs_extension
def test_use_reference_leaves_the_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = torch.profiler.profile
    x, weight = sample(2, 3), sample(4, 3)
    with profile() as with_kernel:
        kernels.linear([x], weight)
    with profile() as without, kernels.use_reference():
        kernels.linear([x], weight)
    assert "nasrec::linear" in {event.key for event in with_kernel.key_averages()}
    assert "nasrec::linear" not in {event.key for event in without.key_averages()}


def test_what_has_no_kernel_uses_the_reference() -> None:
    x, weight = sample(2, 3), sample(4, 3)
    torch.testing.assert_close(kernels.linear([x.half()], weight.half()), functional.linear(x.half(), weight.half()))
    with torch.autocast("cpu", torch.bfloat16):
        assert kernels.linear([x], weight).dtype == torch.bfloat16


X, W = torch.zeros(2, 3), torch.zeros(5, 6)
ERRORS = [
    ("linear: needs at least one input", lambda d: kernels.linear([], W.to(d))),
    ("linear: needs at least one piece of the weight", lambda d: kernels.linear([X.to(d)], [])),
    (
        r"linear: inputs must be \[B, n\], got \[2, 3, 1\]",
        lambda d: kernels.linear([X.to(d).unsqueeze(2)], W.to(d)),
    ),
    (
        r"linear: inputs must agree in all but axis 1, got \[2, 3\], \[1, 3\]",
        lambda d: kernels.linear([X.to(d), X.to(d)[:1]], W.to(d)),
    ),
    (
        r"linear: weight must be \[out, 3\] for inputs \[2, 3\], got \[5, 6\]",
        lambda d: kernels.linear([X.to(d)], W.to(d)),
    ),
    (
        r"linear: weight must be \[out, 6\] for inputs \[2, 3\], \[2, 3\], got \[5, 3\], \[4, 3\]",
        lambda d: kernels.linear(2 * [X.to(d)], [W.to(d)[:, :3], W.to(d)[:4, :3]]),
    ),
    (
        r"linear: bias must be \[5\], got \[4\]",
        lambda d: kernels.linear(2 * [X.to(d)], W.to(d), torch.zeros(4, device=d)),
    ),
    (
        r"linear: norm_weight must be \[5\], got \[6\]",
        lambda d: kernels.linear(2 * [X.to(d)], W.to(d), norm=(W.to(d)[0], W.to(d)[0])),
    ),
    (
        "linear: activation must be one of none, relu, sigmoid, got 'tanh'",
        lambda d: kernels.linear(2 * [X.to(d)], W.to(d), activation="tanh"),
    ),
    (r"linear: keep must lie in 0\.\.5, got 6", lambda d: kernels.linear(2 * [X.to(d)], W.to(d), keep=6)),
    (r"linear: keep must lie in 0\.\.5, got -1", lambda d: kernels.linear(2 * [X.to(d)], W.to(d), keep=-1)),
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
def test_mixed_types_are_one_clear_error(device: str) -> None:
    with pytest.raises(KernelError, match=r"^linear: weight must have the type of inputs, got Double and Float$"):
        kernels.linear([X.to(device)], W[:, :3].to(device).double())


@needs_extension
def test_operators_check_their_operands(device: str) -> None:
    """The operators themselves, which exported programs call past the face, read no memory that is not there."""
    forward, backward = torch.ops.nasrec.linear, torch.ops.nasrec.linear_backward
    x, w, vector, none = (t.to(device) for t in (X, W[:, :3], torch.zeros(5), torch.zeros(0)))
    with pytest.raises(RuntimeError, match="linear: inputs must be float32, float64 or bfloat16, got Long"):
        forward([x.long()], [w], None, None, None, 1e-5, 0, -1, True)
    with pytest.raises(
        RuntimeError, match=r"linear: activation must be 0 \(none\), 1 \(relu\) or 2 \(sigmoid\), got 3"
    ):
        forward([x], [w], None, None, None, 1e-5, 3, -1, True)
    with pytest.raises(RuntimeError, match="linear: norm_weight and norm_bias go together"):
        forward([x], [w], None, vector, None, 1e-5, 0, -1, True)
    grad, needs = torch.zeros(2, 5, device=device), 5 * [True]
    with pytest.raises(RuntimeError, match=r"linear_backward: grad must be like .* \[2, 3\] .* \[5, 3\], got \[2, 6\]"):
        backward(torch.zeros(2, 6, device=device), [x], [w], None, none, none, none, 0, needs)
    with pytest.raises(RuntimeError, match=r"linear_backward: y must be \[2, 5\], got \[2, 3\]"):
        backward(grad, [x], [w], None, x, none, none, 1, needs)
    with pytest.raises(RuntimeError, match=r"linear_backward: normalized and rstd must be .* got \[0\] and \[0\]"):
        backward(grad, [x], [w], vector, none, none, none, 0, needs)
    with pytest.raises(RuntimeError, match="linear_backward: needs must have 5 entries, got 4"):
        backward(grad, [x], [w], None, none, none, none, 0, needs[1:])


@needs_extension
def test_sizes_beyond_a_vendor_library_are_refused(device: str) -> None:
    huge = torch.zeros(1, 1, device=device).expand(2**31, 1)
    with pytest.raises(KernelError, match=r"linear: every size must be below 2\^31, got inputs \[2147483648, 1\]"):
        kernels.linear([huge], torch.zeros(1, 1, device=device))


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype, case in itertools.product(TYPES, CASES):
        check(case, operands(case, dtype=dtype))
