"""The compiled Adagrad updates against `torch.optim.Adagrad`, on slices, on rows, in every type."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nasrec import kernels
from nasrec.errors import FeatureError, KernelError
from nasrec.kernels import extension, reference_adagrad
from tests.kernels.test_embedding import draw_ids, draw_tables

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12, torch.bfloat16: 2.0**-7}
TYPES = list(TOLERANCE)
LR, EPS = 0.12, 1e-2


def randn(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def torch_adagrad(
    param: Tensor, state: Tensor, grad: Tensor, *, lr: float = LR, eps: float = EPS, weight_decay: float = 0.0
) -> tuple[Tensor, Tensor]:
    """One step of torch's own, dense optimiser in float64; new parameter and state."""
    leaf = param.detach().double().clone().requires_grad_()
    optimizer = torch.optim.Adagrad([leaf], lr=lr, eps=eps, weight_decay=weight_decay, foreach=False)
    optimizer.state[leaf]["sum"].copy_(state)
    leaf.grad = grad.double()
    optimizer.step()
    return leaf.detach(), optimizer.state[leaf]["sum"]


# Views of a stored matrix [40, 56] or vector [56] that a step may update, at fixed places.
VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole": lambda t: t,
    "rows": lambda t: t[3:17],
    "block": lambda t: t[1:30, 5:38],
    "column": lambda t: t[:, 7:8],
    "row": lambda t: t[9],
    "every second row": lambda t: t[::2, 1:],
    "vector of a column": lambda t: t[2:, 4],
    "part of a row": lambda t: t[5, 3:19],
    "cube": lambda t: t[:, :48].contiguous().view(40, 6, 8),
    "single": lambda t: t[4, 4:5],
    "nothing": lambda t: t[:, 9:9],
}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("wide_state", [False, True])
def test_slices_over_several_steps(device: str, dtype: torch.dtype, weight_decay: float, wide_state: bool) -> None:
    """Each step updates some views of stores, others each time; what no view shows stays as it is, bit for bit."""
    state_type = torch.float32 if wide_state and dtype == torch.bfloat16 else dtype
    stores = [randn(40, 56, device=device, dtype=dtype, seed=i) for i in range(len(VIEWS))]
    sums = [torch.full((40, 56), 0.1, device=device, dtype=state_type) for _ in VIEWS]
    names = list(VIEWS)
    for step in range(4):
        views = [VIEWS[names[(i + step) % len(VIEWS)]] for i in range(len(VIEWS))]
        params, states = (
            [v(t) for v, t in zip(views, stores, strict=True)],
            [v(t) for v, t in zip(views, sums, strict=True)],
        )
        grads = [randn(*p.shape, device=device, dtype=dtype, seed=100 + step) for p in params]
        before = [(t.clone(), s.clone()) for t, s in zip(stores, sums, strict=True)]
        expected = [
            torch_adagrad(p, s, g, weight_decay=weight_decay) for p, s, g in zip(params, states, grads, strict=True)
        ]
        kernels.adagrad_(params, states, grads, lr=LR, eps=EPS, weight_decay=weight_decay)
        for p, s, (exact_p, exact_s) in zip(params, states, expected, strict=True):
            tolerance = TOLERANCE[dtype]
            torch.testing.assert_close(p.double(), exact_p, rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(s.double(), exact_s, rtol=tolerance, atol=tolerance)
        for view, store, total, (old_store, old_sum) in zip(views, stores, sums, before, strict=True):
            seen = torch.zeros(40, 56, dtype=torch.bool, device=device)
            if view(seen)._base is not None or view(seen) is seen:  # a copy leaves its store alone
                view(seen).fill_(True)
            assert torch.equal(store[~seen], old_store[~seen]) and torch.equal(total[~seen], old_sum[~seen])


@given(shapes=st.lists(st.lists(st.integers(0, 40), max_size=3), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_any_shapes(shapes: list[list[int]], seed: int) -> None:
    params = [randn(*shape, seed=seed) for shape in shapes]
    states, grads = [p.square() for p in params], [randn(*shape, seed=seed + 1) for shape in shapes]
    expected = [torch_adagrad(*triple) for triple in zip(params, states, grads, strict=True)]
    kernels.adagrad_(params, states, grads, lr=LR, eps=EPS)
    for p, s, (exact_p, exact_s) in zip(params, states, expected, strict=True):
        torch.testing.assert_close(p, exact_p, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(s, exact_s, rtol=1e-12, atol=1e-12)


def test_gradients_of_any_layout(device: str) -> None:
    for grad in (
        randn(6, 4, device=device).T,
        randn(1, device=device).expand(4, 6),
        randn(4, 12, device=device)[:, ::2],
    ):
        param, state = randn(4, 6, device=device, seed=3), torch.ones(4, 6, device=device, dtype=torch.float64)
        expected, _ = torch_adagrad(param, state, grad)
        kernels.adagrad_([param], [state], [grad], lr=LR, eps=EPS)
        torch.testing.assert_close(param, expected, rtol=1e-12, atol=1e-12)


def test_parameter_that_is_not_finite_has_a_finite_gradient(device: str) -> None:
    param, state = torch.full((20,), float("inf"), device=device), torch.zeros(20, device=device)
    kernels.adagrad_([param], [state], [torch.ones(20, device=device)], lr=LR)
    assert state.tolist() == [1.0] * 20


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("channels", [16, 5, 1, 33])
@pytest.mark.parametrize("wide_state", [False, True])
def test_rows_equal_the_dense_optimiser(device: str, dtype: torch.dtype, channels: int, wide_state: bool) -> None:
    """Over several steps, with repeated ids; untouched rows keep every bit."""
    rows = (1, 7, 400, 3000)
    state_type = torch.float32 if wide_state and dtype == torch.bfloat16 else dtype
    tables = draw_tables(rows, channels, device=device, dtype=dtype)
    states = [torch.full((count, channels), 0.1, device=device, dtype=state_type) for count in rows]
    for step in range(3):
        ids = draw_ids(rows, 200 + step, device=device, skewed=True)
        grad = randn(200 + step, len(rows), channels, device=device, dtype=dtype, seed=step)
        before, expected = [t.clone() for t in tables], []
        for j, table in enumerate(tables):
            dense = torch.zeros(rows[j], channels, device=device, dtype=torch.float64)
            dense.index_add_(0, ids[:, j], grad[:, j].double())
            expected.append(torch_adagrad(table, states[j], dense))
        kernels.row_adagrad_(tables, states, ids, grad, lr=LR, eps=EPS)
        for j, (exact, exact_state) in enumerate(expected):
            tolerance = 10 * TOLERANCE[dtype]
            torch.testing.assert_close(tables[j].double(), exact, rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(states[j].double(), exact_state, rtol=tolerance, atol=tolerance)
            untouched = torch.ones(rows[j], dtype=torch.bool, device=device).index_fill_(0, ids[:, j], False)
            assert torch.equal(tables[j][untouched], before[j][untouched])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_one_state_a_row(device: str, dtype: torch.dtype) -> None:
    rows, channels = (3, 500), 12
    tables = draw_tables(rows, channels, device=device, dtype=dtype)
    states = [torch.full((count,), 0.1, device=device, dtype=dtype) for count in rows]
    ids = draw_ids(rows, 100, device=device, skewed=True)
    grad = randn(100, 2, channels, device=device, dtype=dtype)
    expected = []
    for j, (table, state) in enumerate(zip(tables, states, strict=True)):
        dense = torch.zeros(rows[j], channels, device=device, dtype=torch.float64)
        dense.index_add_(0, ids[:, j], grad[:, j].double())
        total = state.double() + dense.square().mean(1)
        expected.append((table.double() - LR * dense / (total.sqrt() + EPS).unsqueeze(1), total))
    kernels.row_adagrad_(tables, states, ids, grad, lr=LR, eps=EPS)
    for table, state, (exact, total) in zip(tables, states, expected, strict=True):
        tolerance = 10 * TOLERANCE[dtype]
        torch.testing.assert_close(table.double(), exact, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(state.double(), total, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("one_a_row", [False, True])
def test_listed_rows(device: str, one_a_row: bool) -> None:
    """Unsorted, with repetitions, of different numbers, and none at all; table and states are slices of larger ones."""
    stores = [randn(30, 20, device=device, seed=i) for i in range(3)]
    sums = [randn(30, 20, device=device, seed=9 + i).square() for i in range(3)]
    lists = [[4, 0, 4, 9, 4], [], [11]]
    rows = [torch.tensor(listed, dtype=torch.int64, device=device) for listed in lists]
    grads = [randn(len(listed), 6, device=device, seed=20 + i) for i, listed in enumerate(lists)]
    results = []
    for function in (kernels.sparse_adagrad_, reference_adagrad.sparse_adagrad_):
        here, there = [t.clone() for t in stores], [t.clone() for t in sums]
        tables = [t[2:14, 3:9] for t in here]
        states = [t[2:14, 3] if one_a_row else t[2:14, 3:9] for t in there]
        function(tables, states, rows, grads, lr=LR, eps=EPS)
        results.append([*here, *there])
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)
    assert not torch.equal(results[0][0], stores[0]) and torch.equal(results[0][1], stores[1])


def test_empty_operands(device: str) -> None:
    kernels.adagrad_([], [], [], lr=LR)
    kernels.sparse_adagrad_([], [], [], [], lr=LR)
    tables = draw_tables((3, 0), 4, device=device)
    states, ids = [t.square() for t in tables], torch.empty(0, 2, dtype=torch.int64, device=device)
    kernels.row_adagrad_(tables, states, ids, torch.empty(0, 2, 4, device=device), lr=LR)
    assert torch.equal(tables[0], draw_tables((3, 0), 4, device=device)[0])


def test_threads_do_not_change_the_result() -> None:
    rows, threads = (50, 1000, 20_000), torch.get_num_threads()
    ids, grad = draw_ids(rows, 3000, skewed=True), randn(3000, 3, 16, dtype=torch.float32)
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            tables, dense = draw_tables(rows, 16), [randn(300, 301, dtype=torch.float32), randn(7, dtype=torch.float32)]
            kernels.row_adagrad_(tables, [t.square() for t in tables], ids, grad, lr=LR)
            kernels.adagrad_(dense, [t.square() for t in dense], [t.sin() for t in dense], lr=LR)
            results.append([*tables, *dense])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_autograd_sees_that_values_changed(device: str) -> None:
    x = torch.ones(3, device=device, requires_grad=True)
    table = torch.ones(4, 2, device=device, requires_grad=True)
    loss = (x * x).sum() + (table * table).sum()
    kernels.adagrad_([x], [torch.zeros_like(x)], [torch.ones_like(x)], lr=LR)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, x, retain_graph=True)


def test_wrong_id_changes_nothing(device: str) -> None:
    tables = draw_tables((5, 9), 4, device=device)
    states, before = [t.square() for t in tables], [t.clone() for t in tables]
    ids = torch.zeros(6, 2, dtype=torch.int64, device=device)
    ids[3, 1] = ids[5, 0] = 9
    with pytest.raises(FeatureError, match="sparse field 1 holds id 9 in row 3 of the batch, but its table has 9 rows"):
        kernels.row_adagrad_(tables, states, ids, torch.ones(6, 2, 4, device=device), lr=LR)
    with kernels.use_reference(), pytest.raises(FeatureError, match="sparse field 1 holds id 9 in row 3"):
        kernels.row_adagrad_(tables, states, ids, torch.ones(6, 2, 4, device=device), lr=LR)
    assert all(torch.equal(a, b) for a, b in zip(tables, before, strict=True))


BAD_CALLS: list[tuple[str, Callable[[], object]]] = [
    (
        r"adagrad_: needs as many states as parameters, got 0 and 1",
        lambda: kernels.adagrad_([randn(2)], [], [randn(2)], lr=1),
    ),
    (
        r"adagrad_: a gradient must have the shape of its parameter, got \[3\] and \[2\]",
        lambda: kernels.adagrad_([randn(2)], [randn(2)], [randn(3)], lr=1),
    ),
    (
        r"row_adagrad_: ids must be \[B, 1\], one column for each of at least one table, got \[2, 2\]",
        lambda: kernels.row_adagrad_([W], [W], IDS, randn(2, 2, 3), lr=1),
    ),
    (
        r"row_adagrad_: grad must be \[2, 2, 3\], got \[2, 2, 4\]",
        lambda: kernels.row_adagrad_([W, W], [W, W], IDS, randn(2, 2, 4), lr=1),
    ),
    (
        r"sparse_adagrad_: states must all be like their tables, or all \[rows\], got \[5\] beside \[4, 3\]",
        lambda: kernels.sparse_adagrad_([W], [randn(5)], [IDS[0]], [randn(2, 3)], lr=1),
    ),
    (
        r"sparse_adagrad_: needs as many row lists as parameters, got 0 and 1",
        lambda: kernels.sparse_adagrad_([W], [W], [], [randn(2, 3)], lr=1),
    ),
]
W, IDS = torch.ones(4, 3, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.int64)


@pytest.mark.parametrize("forced", [False, True], ids=["kernel", "reference"])
@pytest.mark.parametrize(("message", "call"), BAD_CALLS, ids=[message[:45] for message, _ in BAD_CALLS])
def test_operands_that_do_not_fit(message: str, call: Callable[[], object], forced: bool) -> None:
    if forced:
        with kernels.use_reference(), pytest.raises(KernelError, match=f"^{message}"):
            call()
    else:
        with pytest.raises(KernelError, match=f"^{message}"):
            call()


@needs_extension
def test_operands_without_a_kernel_are_told(device: str) -> None:
    a = randn(6, 6, device=device)
    with pytest.raises(KernelError, match=r"^adagrad_: a parameter must be contiguous, a vector, or a matrix whose"):
        kernels.adagrad_([a[:, ::2]], [a[:, ::2].clone()], [a[:, ::2].clone()], lr=1)
    with pytest.raises(
        KernelError, match=r"^adagrad_: a parameter must have the type of the first, got Float and Double"
    ):
        kernels.adagrad_([a, a.float()], [a, a.float()], [a, a.float()], lr=1)
    with pytest.raises(KernelError, match=r"^adagrad_: a state must have the type of its parameter, or float32 beside"):
        kernels.adagrad_([a], [a.float()], [a], lr=1)
    with pytest.raises(KernelError, match=r"^sparse_adagrad_: row 6 does not exist in table 0 of 6 rows \(0 to 5\)"):
        kernels.sparse_adagrad_([a], [a.clone()], [torch.tensor([0, 6], device=device)], [a[:2]], lr=1)
    with pytest.raises(KernelError, match=r"^sparse_adagrad_: the elements of a table's row must be neighbours"):
        kernels.sparse_adagrad_([a.T], [a.clone()], [torch.tensor([0, 5], device=device)], [a[:2]], lr=1)


@needs_extension
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_opcheck(device: str, dtype: torch.dtype) -> None:
    def randoms(*shape: int) -> Tensor:
        return randn(*shape, device=device, dtype=dtype)

    ops = torch.ops.nasrec
    ids = torch.tensor([[0, 1], [2, 1]], device=device)
    tables, states = [randoms(3, 4), randoms(5, 4)], [randoms(3, 4).square(), randoms(5, 4).square()]
    torch.library.opcheck(ops.adagrad_.default, (tables, states, [randoms(3, 4), randoms(5, 4)], LR, EPS, 0.1))
    torch.library.opcheck(ops.row_adagrad_.default, (tables, states, ids, randoms(2, 2, 4), LR, EPS))
    rows, grads = [ids[:, 0], ids[:, 1]], [randoms(2, 4), randoms(2, 4)]
    torch.library.opcheck(ops.sparse_adagrad_.default, (tables, states, rows, grads, LR, EPS))


@needs_extension
def test_types_without_a_kernel_use_the_reference(device: str) -> None:
    param, state, grad = (randn(5, device=device, seed=i) for i in range(3))
    ours = param.half()
    kernels.adagrad_([ours], [state.half().square()], [grad.half()], lr=LR, eps=EPS)
    expected, _ = torch_adagrad(param.half(), state.half().square(), grad.half())
    torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-3)


def check_kernels() -> None:
    """What holds on every instruction set: see test_instruction_sets."""
    for dtype in TYPES:
        for wide in (False, True):
            test_slices_over_several_steps("cpu", dtype, 0.0, wide)
            test_slices_over_several_steps("cpu", dtype, 0.1, wide)
            test_rows_equal_the_dense_optimiser("cpu", dtype, 16, wide)
        test_one_state_a_row("cpu", dtype)
