"""Factorization machine: ours against the plain formula, forward and forward with backward."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.common import arguments, interleaved, report
from benchmarks.pairwise_dot import forward, forward_backward
from nasrec import kernels

CASES = ((512, 26, 16), (4096, 26, 16), (512, 64, 16), (512, 170, 16), (8192, 26, 64))


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "")
    lines = []
    for batch, fields, channels in CASES:
        x = torch.randn(batch, fields, channels, device=options.device)
        torch.testing.assert_close(kernels.factorization_machine(x), formula(x), rtol=1e-4, atol=1e-3)
        rivals = {"ours": kernels.factorization_machine, "formula": formula}
        for label, steps, passes in (("forward", forward, 1), ("forward+backward", forward_backward, 3)):
            timings = interleaved(
                {name: steps(op, x) for name, op in rivals.items()}, rounds=options.rounds, device=options.device
            )
            ours = timings["ours"].median_us
            lines.append(
                {
                    "batch": batch,
                    "fields": fields,
                    "channels": channels,
                    "pass": label,
                    **{f"{name}_us": timing.median_us for name, timing in timings.items()},
                    "ours_GB_s": passes * x.numel() * 4 / ours / 1e3,
                    "x_formula": timings["formula"].median_us / ours,
                }
            )
    report("factorization_machine", lines, options.json)


def formula(x: Tensor) -> Tensor:
    """[B, f, e] -> [B, e] as models write it."""
    return x.sum(1).square() - x.square().sum(1)


if __name__ == "__main__":
    main()
