"""Pairwise dot product: ours against two ways to write it in plain PyTorch, forward and forward with backward.

`pair_index` takes the Gram matrix's lower triangle by a pair of index tensors, as DLRM and its descendants write it;
`flat_index` flattens the matrix and takes the same entries by one index_select, which is faster. Both find their
index tensors ready made. Rows 17 to 46 are what NASRec's dense widths 128 to 1024 ask for (plus the dense row).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.common import arguments, interleaved, report
from nasrec import kernels

ROWS = (17, 24, 33, 46)
CHANNELS = 16


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "", batch=512)
    lines = []
    for rows in ROWS:
        x = torch.randn(options.batch, rows, CHANNELS, device=options.device)
        rivals = {"ours": kernels.pairwise_dot, **eager(rows, options.device)}
        check_agreement(rivals, x)
        for label, steps in (("forward", forward), ("forward+backward", forward_backward)):
            timings = interleaved(
                {name: steps(op, x) for name, op in rivals.items()}, rounds=options.rounds, device=options.device
            )
            ours = timings["ours"].median_us
            lines.append(
                {
                    "rows": rows,
                    "channels": CHANNELS,
                    "batch": options.batch,
                    "pass": label,
                    **{f"{name}_us": timing.median_us for name, timing in timings.items()},
                    "x_pair_index": timings["pair_index"].median_us / ours,
                    "x_flat_index": timings["flat_index"].median_us / ours,
                }
            )
    report("pairwise_dot", lines, options.json)


def eager(rows: int, device: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """The two plain ways, with their index tensors made beforehand."""
    first, second = torch.tril_indices(rows, rows, -1, device=device)
    flat = first * rows + second
    return {
        "pair_index": lambda x: torch.bmm(x, x.transpose(1, 2))[:, first, second],
        "flat_index": lambda x: torch.bmm(x, x.transpose(1, 2)).flatten(1).index_select(1, flat),
    }


def forward(op: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """One inference call."""

    def run() -> None:
        with torch.no_grad():
            op(x)

    return run


def forward_backward(op: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """One training call: forward, and the gradient of x."""
    leaf = x.clone().requires_grad_()
    grad = torch.randn_like(op(x))
    return lambda: torch.autograd.grad(op(leaf), leaf, grad)


def check_agreement(rivals: dict[str, Callable[[Tensor], Tensor]], x: Tensor) -> None:
    """What is compared computes the same."""
    for op in rivals.values():
        torch.testing.assert_close(op(x), rivals["flat_index"](x), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    main()
