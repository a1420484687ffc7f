"""Linear over several inputs with layer norm and ReLU: slices of a stored matrix, and plain layers of any width.

`slices`: inputs of 350, 512 and 13 units meet a stored matrix of 1,024 rows and 7,181 columns, as in a block of
NASRec's supernet where all other inputs are unselected. Rivals:
  release     the published way: zeros for all unselected inputs, the whole matrix, layer norm over all 1,024 units,
              ReLU, and a mask over the units behind the active ones;
  eager       plain PyTorch on slices: inputs and column ranges concatenated, layer norm over the active units, with
              gradients for the slices alone;
  sliced      ours, layer norm over the active units;
  published   ours, layer norm over all units before the cut, which is what `release` computes.
The bfloat16 variants of ours are held against `release` in float32. `widths`: one input, functional.linear, layer_norm
and relu against one call of ours. Forward without gradients, and forward with the gradients of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import arguments, interleaved, report
from nasrec import kernels

WIDTHS, COLUMNS, STORED = (350, 512, 13), (2061, 4109, 0), (1024, 7181)
ACTIVE = (16, 64, 256, 512, 1024)
LAYERS = (
    (512, 64, 64),
    (512, 13, 512),
    (512, 512, 256),
    (512, 1024, 1024),
    (1, 512, 256),
    (32, 512, 256),
    (4096, 512, 256),
)

Call = Callable[..., Tensor]


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "", batch=512)
    report("linear, slices", slices(options.batch, options.rounds, options.device), options.json)
    report(
        "linear, widths",
        layers(options.rounds, options.device),
        options.json and options.json.with_suffix(".widths.json"),
    )


def slices(batch: int, rounds: int, device: str) -> list[dict[str, Any]]:
    """Rows of the table `slices`, one for each number of active rows and pass."""
    torch.manual_seed(0)
    stored = torch.randn(STORED, device=device) / 30
    gain, offset = 1 + torch.randn(2, STORED[0], device=device) / 10
    xs = [torch.randn(batch, width, device=device) for width in WIDTHS]
    lines = []
    for active in ACTIVE:
        rivals = {
            "release": (release(active), [*xs, stored, gain, offset]),
            "eager": (eager_slices, slice_operands(xs, stored, gain, offset, active)),
            "sliced": (ours(None), slice_operands(xs, stored, gain, offset, active)),
            "published": (ours(active), slice_operands(xs, stored, gain, offset, STORED[0])),
        }
        for name in ("sliced", "published"):
            call, given = rivals[name]
            rivals[f"{name}_bf16"] = (call, [tensor.bfloat16() for tensor in given])
        agree(rivals["published"], rivals["release"], active)
        agree(rivals["sliced"], rivals["eager"], active)
        for label, step in (("forward", forward), ("forward+backward", forward_backward)):
            lines.append({"active": active, "batch": batch, "pass": label, **compare(rivals, step, rounds, device)})
            release_us = lines[-1]["release_us"]
            lines[-1] |= {f"x_{name}": release_us / lines[-1][f"{name}_us"] for name in rivals if name != "release"}
    return lines


def layers(rounds: int, device: str) -> list[dict[str, Any]]:
    """Rows of the table `widths`: batch, units in, units out."""
    lines = []
    for batch, units, out in LAYERS:
        given = [torch.randn(batch, units, device=device), torch.randn(out, units, device=device) / 30]
        given += [1 + torch.randn(out, device=device), torch.randn(out, device=device)]
        for dtype in (torch.float32, torch.bfloat16):
            cast = [tensor.to(dtype) for tensor in given]
            rivals = {"eager": (eager_layer, cast), "ours": (our_layer, cast)}
            for label, step in (("forward", forward), ("forward+backward", forward_backward)):
                line = {
                    "batch": batch,
                    "in": units,
                    "out": out,
                    "type": str(dtype).removeprefix("torch."),
                    "pass": label,
                }
                line |= compare(rivals, step, rounds, device)
                lines.append(line | {"x_eager": line["eager_us"] / line["ours_us"]})
    return lines


def release(active: int) -> Call:
    """inputs, stored matrix, gain, offset -> [B, 1024], zero behind the active units."""
    mask = torch.cat([torch.ones(active), torch.zeros(STORED[0] - active)])

    def run(a: Tensor, b: Tensor, c: Tensor, weight: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        at, parts = 0, []
        for column, x in sorted(zip(COLUMNS, (a, b, c), strict=True), key=lambda pair: pair[0]):
            parts += [x.new_zeros(len(x), column - at), x]
            at = column + x.shape[1]
        joined = torch.cat([*parts, a.new_zeros(len(a), STORED[1] - at)], 1)
        y = functional.layer_norm(functional.linear(joined, weight), (STORED[0],), gain, offset)
        return torch.relu(y) * mask.to(y)

    return run


def slice_operands(xs: Sequence[Tensor], stored: Tensor, gain: Tensor, offset: Tensor, rows: int) -> list[Tensor]:
    """The inputs, the matrix's slices for them (views), and the norm's vectors, cut to `rows`."""
    pieces = [stored[:rows, column : column + width] for column, width in zip(COLUMNS, WIDTHS, strict=True)]
    return [*xs, *pieces, gain[:rows], offset[:rows]]


def eager_slices(*given: Tensor) -> Tensor:
    """Plain PyTorch on slices."""
    *tensors, gain, offset = given
    half = len(tensors) // 2
    z = functional.linear(torch.cat(tensors[:half], 1), torch.cat(tensors[half:], 1))
    return torch.relu(functional.layer_norm(z, gain.shape, gain, offset))


def ours(keep: int | None) -> Call:
    """The compiled operator on slices."""

    def run(*given: Tensor) -> Tensor:
        *tensors, gain, offset = given
        half = len(tensors) // 2
        return kernels.linear(tensors[:half], tensors[half:], norm=(gain, offset), activation="relu", keep=keep)

    return run


def eager_layer(x: Tensor, weight: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Three calls of PyTorch."""
    return torch.relu(functional.layer_norm(functional.linear(x, weight), gain.shape, gain, offset))


def our_layer(x: Tensor, weight: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """One call of ours."""
    return kernels.linear([x], weight, norm=(gain, offset), activation="relu")


def forward(call: Call, given: Sequence[Tensor]) -> Callable[[], object]:
    """One inference call."""

    def run() -> None:
        with torch.no_grad():
            call(*given)

    return run


def forward_backward(call: Call, given: Sequence[Tensor]) -> Callable[[], object]:
    """One training call: forward, and the gradients of all operands."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    grad = torch.randn_like(call(*given))
    return lambda: torch.autograd.grad(call(*leaves), leaves, grad)


def compare(
    rivals: dict[str, tuple[Call, list[Tensor]]], step: Callable[..., Callable[[], object]], rounds: int, device: str
) -> dict[str, float]:
    """Median microseconds of every rival."""
    timings = interleaved({name: step(*rival) for name, rival in rivals.items()}, rounds=rounds, device=device)
    return {f"{name}_us": timing.median_us for name, timing in timings.items()}


def agree(one: tuple[Call, list[Tensor]], other: tuple[Call, list[Tensor]], active: int) -> None:
    """What is compared computes the same active units."""
    torch.testing.assert_close(one[0](*one[1])[:, :active], other[0](*other[1])[:, :active], rtol=1e-3, atol=1e-3)


if __name__ == "__main__":
    main()
