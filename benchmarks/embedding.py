"""Lookup of 26 categorical fields: ours against 26 `nn.Embedding` and a stack, and against EmbeddingBag.

`nn_embedding` is what models are usually written with. `embedding_bag` is one call over all tables laid end to end,
with one id a bag: the widely used way to have a single lookup; its gradient is dense, of all tables, or sparse, with
duplicates. Ids are skewed as in click logs (share ** 6). Dense gradients of large tables are left out: they are 832 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import arguments, interleaved, report
from nasrec import kernels

FIELDS, CHANNELS = 26, 16
CASES = ((1_000, 512), (1_000, 4096), (500_000, 512), (500_000, 4096))

Lookup = Callable[[Tensor, Sequence[Tensor], bool], Tensor]


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "")
    lines = []
    for rows, batch in CASES:
        flat = torch.randn(FIELDS * rows, CHANNELS, device=options.device)
        tables = [table.clone() for table in flat.split(rows)]
        draws = [draw_ids(rows, batch, options.device, seed) for seed in range(16)]
        for label, steps in (
            ("forward", forward),
            ("forward+backward dense", dense),
            ("forward+backward sparse", sparse),
        ):
            if steps is dense and rows > 10_000:
                continue
            rivals = {
                "ours": steps(lookup_ours, draws, tables),
                "nn_embedding": steps(lookup_each, draws, tables),
                "embedding_bag": steps(lookup_bag, draws, [flat]),
            }
            timings = interleaved(rivals, rounds=options.rounds, device=options.device)
            ours = timings["ours"].median_us
            lines.append(
                {
                    "rows": rows,
                    "batch": batch,
                    "pass": label,
                    **{f"{name}_us": timing.median_us for name, timing in timings.items()},
                    "ours_GB_s": bytes_of(batch) / ours / 1e3,
                    "x_nn_embedding": timings["nn_embedding"].median_us / ours,
                    "x_embedding_bag": timings["embedding_bag"].median_us / ours,
                }
            )
    report("embedding", lines, options.json)


def bytes_of(batch: int) -> float:
    """Read and written by a forward: rows twice, ids once."""
    return batch * FIELDS * (2 * 4 * CHANNELS + 8)


def draw_ids(rows: int, batch: int, device: str, seed: int) -> Tensor:
    """int64 [batch, FIELDS]."""
    share = torch.rand(batch, FIELDS, generator=torch.Generator().manual_seed(seed))
    return (share**6 * rows).long().to(device)


def lookup_ours(ids: Tensor, tables: Sequence[Tensor], sparse: bool) -> Tensor:
    return kernels.embedding(ids, tables, sparse=sparse)


def lookup_each(ids: Tensor, tables: Sequence[Tensor], sparse: bool) -> Tensor:
    return torch.stack([functional.embedding(ids[:, j], t, sparse=sparse) for j, t in enumerate(tables)], dim=1)


def lookup_bag(ids: Tensor, tables: Sequence[Tensor], sparse: bool) -> Tensor:
    (flat,) = tables
    starts = torch.arange(0, len(flat), len(flat) // FIELDS, device=ids.device)
    joined = (ids + starts).flatten()
    bags = torch.arange(len(joined), device=ids.device)
    return functional.embedding_bag(joined, flat, bags, mode="sum", sparse=sparse).unflatten(0, ids.shape)


def forward(lookup: Lookup, draws: Sequence[Tensor], tables: Sequence[Tensor]) -> Callable[[], object]:
    """One inference call, another batch each time: rows are not where the call before left them."""
    turn = iter(range(10**9))

    def run() -> None:
        with torch.no_grad():
            lookup(draws[next(turn) % len(draws)], tables, False)

    return run


def dense(lookup: Lookup, draws: Sequence[Tensor], tables: Sequence[Tensor]) -> Callable[[], object]:
    return _training(lookup, draws, tables, False)


def sparse(lookup: Lookup, draws: Sequence[Tensor], tables: Sequence[Tensor]) -> Callable[[], object]:
    return _training(lookup, draws, tables, True)


def _training(
    lookup: Lookup, draws: Sequence[Tensor], tables: Sequence[Tensor], is_sparse: bool
) -> Callable[[], object]:
    """Forward, and the gradient of every table."""
    leaves = [table.detach().requires_grad_() for table in tables]
    grad = torch.randn_like(lookup(draws[0], leaves, is_sparse))
    turn = iter(range(10**9))

    def run() -> object:
        return torch.autograd.grad(lookup(draws[next(turn) % len(draws)], leaves, is_sparse), leaves, grad)

    return run


if __name__ == "__main__":
    main()
