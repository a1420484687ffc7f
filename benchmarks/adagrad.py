"""Adagrad: of slices of stored weights, and of the touched rows of tables, against `torch.optim.Adagrad`.

`slices` are what a step along one path of a weight-sharing supernet touches: 120 blocks of rows and columns, a quarter
of a store of 30 million weights. torch gets the same blocks, as leaves of their own with gradients of their own, by its
fused and its multi-tensor implementation; `store` is what a plain supernet does: the whole store, with zeros in the
gradient. `rows` are 26 tables and a batch of lookups; torch gets coalesced sparse gradients, or dense ones where tables
are small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import arguments, interleaved, report
from benchmarks.embedding import CHANNELS, FIELDS, draw_ids
from nasrec import kernels

LR, EPS = 0.12, 1e-2
STORES, SIDE, BLOCKS = 30, 1000, 4


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "")
    lines = [line("slices", slices(options.device), options)]
    for rows, batch in ((1_000, 512), (500_000, 512), (500_000, 4096)):
        for row_wise in (False, True):
            label = f"{FIELDS} tables of {rows:,} rows, batch {batch}" + (", one state a row" if row_wise else "")
            lines.append(line(label, rows_of(rows, batch, options.device, row_wise), options))
    report("adagrad", lines, options.json)


def line(label: str, rivals: dict[str, Callable[[], object]], options: Any) -> dict[str, Any]:
    """Times and ratios; a rival that does not apply is a dash."""
    timings = interleaved(rivals, rounds=options.rounds, device=options.device)
    ours = timings["ours"].median_us
    names = ("torch_fused", "torch_foreach", "torch_sparse", "torch_dense")
    return {
        "what": label,
        "ours_us": ours,
        **{f"{name}_us": timings[name].median_us if name in timings else "-" for name in names},
        **{f"x_{name}": timings[name].median_us / ours if name in timings else "-" for name in names},
    }


def slices(device: str) -> dict[str, Callable[[], object]]:
    """Blocks [500, 125] of stored matrices [1000, 1000]."""
    stores = [torch.randn(SIDE, SIDE, device=device) for _ in range(STORES)]
    sums = [torch.rand(SIDE, SIDE, device=device) for _ in range(STORES)]

    def blocks(tensors: list[Tensor]) -> list[Tensor]:
        return [t[100:600, 200 * i + 50 : 200 * i + 175] for t in tensors for i in range(BLOCKS)]

    params, states = blocks(stores), blocks(sums)
    grads = [torch.randn(p.shape, device=device) for p in params]
    rivals: dict[str, Callable[[], object]] = {"ours": lambda: kernels.adagrad_(params, states, grads, lr=LR, eps=EPS)}
    for name in ("fused", "foreach"):
        leaves = [p.clone().requires_grad_() for p in params]
        for leaf, grad in zip(leaves, grads, strict=True):
            leaf.grad = grad
        rivals[f"torch_{name}"] = torch.optim.Adagrad(leaves, lr=LR, eps=EPS, **{name: True}).step
    whole = [t.clone().requires_grad_() for t in stores]
    for t in whole:
        t.grad = torch.zeros_like(t)
    rivals["torch_dense"] = torch.optim.Adagrad(whole, lr=LR, eps=EPS, foreach=True).step
    return rivals


def rows_of(rows: int, batch: int, device: str, row_wise: bool) -> dict[str, Callable[[], object]]:
    """The update of what a batch looked up; another batch each time."""
    tables = [torch.randn(rows, CHANNELS, device=device) for _ in range(FIELDS)]
    states = [torch.rand((rows,) if row_wise else (rows, CHANNELS), device=device) for _ in range(FIELDS)]
    draws = [draw_ids(rows, batch, device, seed) for seed in range(16)]
    grad = torch.randn(batch, FIELDS, CHANNELS, device=device)
    turn = iter(range(10**9))
    rivals: dict[str, Callable[[], object]] = {
        "ours": lambda: kernels.row_adagrad_(tables, states, draws[next(turn) % 16], grad, lr=LR, eps=EPS)
    }
    sparse = [
        [torch.sparse_coo_tensor(i[:, j][None], grad[:, j], tables[j].shape).coalesce() for j in range(FIELDS)]
        for i in draws
    ]
    leaves = [t.requires_grad_() for t in tables]
    optimizer = torch.optim.Adagrad(leaves, lr=LR, eps=EPS)
    sparse_turn = iter(range(10**9))

    def sparse_step() -> None:
        for leaf, gradient in zip(leaves, sparse[next(sparse_turn) % 16], strict=True):
            leaf.grad = gradient
        optimizer.step()

    rivals["torch_sparse"] = sparse_step
    if rows <= 10_000:
        copies = [t.detach().clone().requires_grad_() for t in tables]
        for copy, gradient in zip(copies, sparse[0], strict=True):
            copy.grad = gradient.to_dense()
        rivals["torch_dense"] = torch.optim.Adagrad(copies, lr=LR, eps=EPS, foreach=True).step
    return rivals


if __name__ == "__main__":
    main()
