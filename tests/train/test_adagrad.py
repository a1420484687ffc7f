"""The optimiser against `torch.optim.Adagrad`: results, sparse gradients, options and state dicts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.errors import TrainError
from nasrec.train.adagrad import Adagrad


def parameters(device: str, dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    """Two matrices (the last with a layout that no kernel takes), a vector, a cube and a number."""
    generator = torch.Generator().manual_seed(0)
    shapes: Sequence[tuple[int, ...]] = ((7, 5), (9,), (3, 4, 5), (), (6, 8))
    drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    return [nn.Parameter(t) for t in [*drawn[:-1], drawn[-1].T]]


def set_gradients(params: Sequence[Tensor], step: int) -> None:
    """Drawn by step; every third parameter gets none."""
    for i, p in enumerate(params):
        generator = torch.Generator().manual_seed(10 * step + i)
        p.grad = None if (i + step) % 3 == 0 else torch.randn(p.shape, generator=generator).to(p)


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor], mine: Any, other: Any) -> None:
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(mine.state[p]["sum"], other.state[q]["sum"], rtol=1e-12, atol=1e-12)
        assert float(mine.state[p]["step"]) == float(other.state[q]["step"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1, "eps": 1e-2},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "lr_decay": 0.5, "initial_accumulator_value": 0.2},
    ],
    ids=str,
)
@pytest.mark.parametrize("forced", [False, True], ids=["kernel", "reference"])
def test_equals_torch(device: str, options: dict[str, float], forced: bool) -> None:
    ours, theirs = parameters(device), parameters(device)
    mine, other = Adagrad(ours, **options), torch.optim.Adagrad(theirs, **options)
    for step in range(6):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        if forced:
            with kernels.use_reference():
                mine.step()
        else:
            mine.step()
        other.step()
        assert_same(ours, theirs, mine, other)


@pytest.mark.parametrize("coalesced", [False, True])
def test_sparse_gradients_equal_torch(device: str, coalesced: bool) -> None:
    """Tables of two widths beside a dense parameter, as a model has them."""

    def tables() -> list[nn.Parameter]:
        shapes = ((50, 4), (30, 4), (20, 6), (3, 3))
        return [nn.Parameter(torch.linspace(-1, 1, r * e).view(r, e).double().to(device)) for r, e in shapes]

    ours, theirs = tables(), tables()
    mine, other = Adagrad(ours, lr=0.1), torch.optim.Adagrad(theirs, lr=0.1)
    for step in range(4):
        for params in (ours, theirs):
            for i, p in enumerate(params[:3]):
                generator = torch.Generator().manual_seed(10 * step + i)
                ids = torch.randint(0, len(p), (12,), generator=generator).to(device)
                values = torch.randn(12, p.shape[1], generator=generator).to(p)
                p.grad = torch.sparse_coo_tensor(ids.unsqueeze(0), values, p.shape, check_invariants=True)
                p.grad = p.grad.coalesce() if coalesced else p.grad
            params[3].grad = torch.ones_like(params[3])
        mine.step()
        other.step()
        assert_same(ours, theirs, mine, other)


def test_groups_with_rates_of_their_own(device: str) -> None:
    ours, theirs = parameters(device), parameters(device)
    groups = lambda p: [{"params": p[:2], "lr": 0.5}, {"params": p[2:], "eps": 0.1}]  # noqa: E731
    mine, other = Adagrad(groups(ours), lr=0.1), torch.optim.Adagrad(groups(theirs), lr=0.1)
    for step in range(3):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        mine.step()
        other.step()
        for group in (*mine.param_groups, *other.param_groups):
            group["lr"] *= 0.9
    assert_same(ours, theirs, mine, other)


def test_mixed_types_in_one_group(device: str) -> None:
    ours = [p for dtype in (torch.float32, torch.bfloat16, torch.float16) for p in parameters(device, dtype)]
    theirs = [copy.deepcopy(p) for p in ours]
    mine, other = Adagrad(ours, lr=0.1), torch.optim.Adagrad(theirs, lr=0.1)
    set_gradients(ours, 1)
    set_gradients(theirs, 1)
    mine.step()
    other.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("fused", [None, True])
def test_state_dicts_go_both_ways(device: str, fused: bool | None) -> None:
    options = {"lr": 0.1, "lr_decay": 0.5}
    ours, theirs = parameters(device), parameters(device)
    theirs[-1] = nn.Parameter(theirs[-1].detach().contiguous())  # torch's fused one takes no other layout
    ours[-1] = nn.Parameter(ours[-1].detach().contiguous())
    mine, other = Adagrad(ours, **options), torch.optim.Adagrad(theirs, **options, fused=fused)
    for step in range(3):
        for params, optimizer in ((ours, mine), (theirs, other)):
            set_gradients(params, step)
            optimizer.step()
    mine_then, other_then = Adagrad(ours, lr=9.0), torch.optim.Adagrad(theirs, lr=9.0, fused=fused)
    mine_then.load_state_dict(copy.deepcopy(other.state_dict()))
    other_then.load_state_dict(copy.deepcopy(mine.state_dict()))
    for step in range(3, 6):
        for params, optimizer in ((ours, mine_then), (theirs, other_then)):
            set_gradients(params, step)
            optimizer.step()
    assert_same(ours, theirs, mine_then, other_then)


def test_row_wise_state(device: str) -> None:
    """One number a row, whether gradients are sparse or dense."""
    results = []
    for sparse in (False, True):
        table = nn.Parameter(torch.linspace(-1, 1, 24, device=device, dtype=torch.float64).view(6, 4))
        optimizer = Adagrad([table], lr=0.1, initial_accumulator_value=0.5, row_wise=True)
        assert optimizer.state[table]["sum"].shape == (6,)
        for step in range(3):
            ids = torch.tensor([[step], [5], [5]], device=device)
            out = kernels.embedding(ids, [table], sparse=sparse)
            table.grad = None
            (out * torch.arange(1.0, 5.0, device=device, dtype=torch.float64)).sum().backward()
            optimizer.step()
        results.append((table.detach(), optimizer.state[table]["sum"]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)
    mean = (1 + 4 + 9 + 16) / 4
    expected = torch.tensor([0.5 + mean] * 3 + [0.5, 0.5, 0.5 + 3 * 4 * mean], device=device, dtype=torch.float64)
    torch.testing.assert_close(results[0][1], expected)


def test_learns_with_sparse_tables(device: str) -> None:
    table = nn.Parameter(torch.zeros(100, 1, device=device))
    ids, target = torch.arange(100, device=device).unsqueeze(1), torch.linspace(-1, 1, 100, device=device)
    optimizer = Adagrad([table], lr=0.3)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (kernels.embedding(ids, [table], sparse=True).flatten() - target).square().sum()
        loss.backward()
        return float(loss.detach())

    first = optimizer.step(closure)
    for _ in range(60):
        last = optimizer.step(closure)
    assert first is not None and last is not None and last < 0.01 * first


def test_one_clear_error() -> None:
    x = nn.Parameter(torch.zeros(4, 3))
    with pytest.raises(TrainError, match="Adagrad: lr must be at least 0, got -1"):
        Adagrad([x], lr=-1)
    with pytest.raises(TrainError, match=r"row_wise is for matrices \[rows, e\], got a parameter \[3\]"):
        Adagrad([nn.Parameter(torch.zeros(3))], row_wise=True)
    with pytest.raises(TrainError, match=r"parameters must be real-valued, got torch\.complex64"):
        Adagrad([nn.Parameter(torch.zeros(3, dtype=torch.complex64))])
    optimizer = Adagrad([x], weight_decay=0.1)
    x.grad = torch.sparse_coo_tensor(torch.tensor([[1]]), torch.ones(1, 3), (4, 3))
    with pytest.raises(TrainError, match="weight decay would touch every row"):
        optimizer.step()
    optimizer.param_groups[0]["maximize"] = True
    with pytest.raises(TrainError, match="maximize is not supported"):
        optimizer.step()
