"""Linear along the fields with norm and activation: ours against the published release's way, in eager PyTorch.

`release` joins the inputs, swaps fields and channels, applies `nn.Linear` and `nn.LayerNorm`, swaps back and applies
ReLU; a published-mode row runs over the full width with the columns that are not selected zeroed, and zeroes the
rows behind `keep`. Rows are forms of the embedded fully connected operator (fields of the inputs -> rows of the
weight), its projections to few rows for the pairwise dot product, and a sweep over embedding sizes and rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.common import arguments, interleaved, report
from nasrec import kernels

TYPES = {32: torch.float32, 64: torch.float64, 16: torch.bfloat16}


@dataclass(frozen=True)
class Form:
    """Fields of each input, rows of the weight, and what follows the product."""

    fields: tuple[int, ...]
    out: int
    channels: int = 16
    norm: bool = True
    activation: str = "relu"
    stored: int | None = None
    """Published mode: columns of the stored weight, of which the inputs' are selected in as many ranges."""
    keep: int | None = None

    @property
    def label(self) -> str:
        """As `26+48 -> 64`."""
        text = f"{'+'.join(map(str, self.fields))} -> {self.out}"
        return text + (f" of {self.stored}, keep {self.keep}" if self.stored else "")


FORMS = (
    Form((26,), 64),
    Form((26, 48, 24), 64),
    Form((26, 80, 64), 48),
    Form((26,), 16),
    Form((26, 48, 24), 64, norm=False),
    Form((26, 48, 24), 64, norm=False, activation="none"),
    Form((26,), 8, activation="none"),
    Form((26, 72, 64), 39, activation="none"),
    Form((26, 48, 24), 64, stored=498, keep=16),
)
SWEEP = (
    *(Form((26, 48), 64, channels=channels) for channels in (8, 10, 32, 64)),
    *(Form((48, 48), out) for out in (16, 32, 128)),
)


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "", batch=512, bits=32)
    dtype = TYPES[options.bits]
    lines = []
    for form in (*FORMS, *SWEEP):
        case = Case(form, options.batch, options.device, dtype)
        rivals = {"ours": case.ours, "release": case.release}
        case.check_agreement()
        for label, steps in (("forward", forward), ("forward+backward", forward_backward)):
            timings = interleaved(
                {name: steps(op, case) for name, op in rivals.items()}, rounds=options.rounds, device=options.device
            )
            passes = 1 if label == "forward" else 3
            macs = options.batch * form.channels * form.out * sum(form.fields) * passes
            ours = timings["ours"].median_us
            lines.append(
                {
                    "form": form.label,
                    "after": "+".join([*(["norm"] if form.norm else []), form.activation]),
                    "channels": form.channels,
                    "batch": options.batch,
                    "pass": label,
                    **{f"{name}_us": timing.median_us for name, timing in timings.items()},
                    "ours_gflops": 2e-3 * macs / ours,
                    "x_release": timings["release"].median_us / ours,
                }
            )
    report("field_linear", lines, options.json)


class Case:
    """Operands of a form, and the two ways to compute it."""

    def __init__(self, form: Form, batch: int, device: str, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(device, dtype).requires_grad_()

        self.form = form
        self.inputs = [draw(batch, fields, form.channels) for fields in form.fields]
        columns = form.stored or sum(form.fields)
        self.linear = nn.Linear(columns, form.out, device=device, dtype=dtype)
        self.norm = nn.LayerNorm(form.out, device=device, dtype=dtype) if form.norm else None
        # Ranges spread over the stored columns, one for each input.
        room = (columns - sum(form.fields)) // len(form.fields)
        starts = [i * room + sum(form.fields[:i]) for i in range(len(form.fields))]
        self.ranges = [(start, start + fields) for start, fields in zip(starts, form.fields, strict=True)]
        kept = torch.arange(form.out, device=device) < (form.out if form.keep is None else form.keep)
        self.row_mask = kept.to(dtype)[:, None]
        self.pieces = self._pieces()

    def parameters(self) -> list[Tensor]:
        """What both ways share: the release differentiates the stored weight, ours the pieces that are read."""
        return [self.linear.bias, *(self.norm.parameters() if self.norm is not None else ())]

    def ours(self) -> Tensor:
        """By the kernel."""
        norm = None if self.norm is None else (self.norm.weight, self.norm.bias)
        return kernels.field_linear(
            self.inputs,
            self.pieces,
            self.linear.bias,
            norm=norm,
            activation=self.form.activation,
            keep=self.form.keep,
        )

    def release(self) -> Tensor:
        """As the published release computes it."""
        x = torch.cat(self._padded(), dim=1)
        y = self.linear(x.transpose(1, 2))
        if self.norm is not None:
            y = self.norm(y)
        y = y.transpose(1, 2)
        if self.form.activation == "relu":
            y = functional.relu(y)
        return y if self.form.keep is None else y * self.row_mask

    def check_agreement(self) -> None:
        """What is compared computes the same."""
        tolerance = 5e-2 if self.linear.weight.dtype == torch.bfloat16 else 1e-3
        torch.testing.assert_close(self.ours(), self.release()[:, : self.form.keep], rtol=tolerance, atol=tolerance)

    def _padded(self) -> list[Tensor]:
        """The inputs at their columns, zeros between them."""
        if self.form.stored is None:
            return self.inputs
        out, at = [], 0
        for x, (start, stop) in zip(self.inputs, self.ranges, strict=True):
            out += [x.new_zeros(len(x), start - at, x.shape[2]), x]
            at = stop
        return [*out, x.new_zeros(len(x), self.form.stored - at, x.shape[2])]

    def _pieces(self) -> Sequence[Tensor]:
        if self.form.stored is None:
            return [self.linear.weight]
        stored = self.linear.weight.detach()
        return [stored[:, start:stop].requires_grad_() for start, stop in self.ranges]


def forward(op: Callable[[], Tensor], case: Case) -> Callable[[], object]:
    """One inference call."""

    def run() -> None:
        with torch.no_grad():
            op()

    return run


def forward_backward(op: Callable[[], Tensor], case: Case) -> Callable[[], object]:
    """One training call: forward, and the gradients of inputs, weight and vectors."""
    weights = case.pieces if op == case.ours else [case.linear.weight]
    leaves = list(itertools.chain(case.inputs, weights, case.parameters()))
    grad = torch.randn_like(op())
    return lambda: torch.autograd.grad(op(), leaves, grad)


if __name__ == "__main__":
    main()
