"""Attention over fields: ours against PyTorch's own ways, forward and forward with backward.

`self_attention`: heads of 2 channels over packed queries, keys and values, against scaled_dot_product_attention on
views of the same tensor. `projected`: with input and output projection, against torch.nn.MultiheadAttention, called
batch-first and the way the published release calls it (fields first, on transposed views); ours are the channel-wise
linears around self_attention. `operator`: the whole attention operator of NASRec behind its field projection (two
residuals, two norms, the feed-forward pair), against the release's chain of modules; `padded` is the same for a
supernet's masked fields, which the release computes at full width and we as one key. What ours leave out is nothing:
every rival computes the same, and that is checked first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.common import arguments, interleaved, report
from nasrec import kernels, layers
from nasrec.kernels import reference

FIELDS = (16, 48, 64)
PADDED_TO = 64
CHANNELS, HEADS = 16, 8

Run = Callable[[Tensor], Tensor]


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "", batch=512)
    lines = []
    for fields in FIELDS:
        for what, (x, weights, rivals) in cases(options.batch, fields, options.device).items():
            check_agreement(rivals, x)
            for label, steps in (("forward", forward), ("forward+backward", forward_backward)):
                timings = interleaved(
                    {name: steps(run, x, weights) for name, run in rivals.items()},
                    rounds=options.rounds,
                    device=options.device,
                )
                ours = timings["ours"].median_us
                lines += [
                    {
                        "what": what,
                        "fields": fields,
                        "batch": options.batch,
                        "pass": label,
                        "rival": name,
                        "ours_us": ours,
                        "rival_us": timing.median_us,
                        "ratio": timing.median_us / ours,
                    }
                    for name, timing in timings.items()
                    if name != "ours"
                ]
    report("attention", lines, options.json)


def cases(batch: int, fields: int, device: str) -> dict[str, tuple[Tensor, Sequence[Tensor], dict[str, Run]]]:
    """By name: the operand, the parameters that want gradients, and the rivals, which share them."""
    qkv = torch.randn(batch, fields, 3 * CHANNELS, device=device)
    x = torch.randn(batch, fields, CHANNELS, device=device)
    attention = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True, device=device)
    fields_first = nn.MultiheadAttention(CHANNELS, HEADS, device=device)
    fields_first.in_proj_weight, fields_first.in_proj_bias = attention.in_proj_weight, attention.in_proj_bias
    fields_first.out_proj = attention.out_proj
    projections = [attention.in_proj_weight, attention.in_proj_bias]
    projections += [attention.out_proj.weight, attention.out_proj.bias]

    def projected(x: Tensor) -> Tensor:
        mixed = kernels.self_attention(kernels.channel_linear(x, projections[0], projections[1]), HEADS)
        return kernels.channel_linear(mixed, projections[2], projections[3])

    operator = layers.FieldAttention(CHANNELS, HEADS).to(device)
    masked = layers.FieldAttention(CHANNELS, HEADS, padded=PADDED_TO - fields).to(device)
    for role, parameter in operator.named_parameters():
        masked.register_parameter(role, parameter)
    chain = ReleaseChain(operator)
    found: dict[str, tuple[Tensor, Sequence[Tensor], dict[str, Run]]] = {
        "self_attention": (
            qkv,
            (),
            {
                "ours": lambda x: kernels.self_attention(x, HEADS),
                "sdpa": lambda x: reference.self_attention(x, HEADS),
            },
        ),
        "projected": (
            x,
            projections,
            {
                "ours": projected,
                "mha_batch_first": lambda x: attention(x, x, x, need_weights=False)[0],
                "mha_fields_first": lambda x: as_released(fields_first, x),
            },
        ),
        "operator": (x, list(operator.parameters()), {"ours": operator, "release_chain": chain}),
    }
    if fields < PADDED_TO:
        found["padded"] = (
            x,
            list(operator.parameters()),
            {"ours": masked, "release_chain": lambda x: chain(pad(x))[:, : x.shape[1]]},
        )
    return found


class ReleaseChain(nn.Module):
    """The operator as modules in the release's order, on another operator's parameters."""

    def __init__(self, shared: layers.FieldAttention) -> None:
        super().__init__()
        own = dict(shared.named_parameters())
        device = own["qkv_bias"].device
        self.attention = nn.MultiheadAttention(CHANNELS, HEADS, device=device)
        self.norms = nn.ModuleList([nn.LayerNorm(CHANNELS, device=device) for _ in range(2)])
        self.linears = nn.ModuleList([nn.Linear(CHANNELS, CHANNELS, device=device) for _ in range(2)])
        self.attention.in_proj_weight, self.attention.in_proj_bias = own["qkv_weight"], own["qkv_bias"]
        self.attention.out_proj.weight, self.attention.out_proj.bias = own["out_weight"], own["out_bias"]
        for number, (norm, linear) in enumerate(zip(self.norms, self.linears, strict=True), start=1):
            norm.weight, norm.bias = own[f"norm{number}_weight"], own[f"norm{number}_bias"]
            linear.weight, linear.bias = own[f"fc{number}_weight"], own[f"fc{number}_bias"]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, f, e] -> [B, f, e]"""
        h = self.norms[0](x + as_released(self.attention, x))
        out: Tensor = self.norms[1](h + self.linears[1](torch.relu(self.linears[0](h))))
        return out


def as_released(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Fields first, with the weights of the attention asked for, which is the module's default."""
    turned = x.transpose(0, 1)
    out: Tensor = attention(turned, turned, turned)[0]
    return out.transpose(0, 1)


def pad(x: Tensor) -> Tensor:
    """Zero fields behind x, as masks leave them."""
    return nn.functional.pad(x, (0, 0, 0, PADDED_TO - x.shape[1]))


def forward(run: Run, x: Tensor, weights: Sequence[Tensor]) -> Callable[[], object]:
    """One inference call."""

    def call() -> None:
        with torch.no_grad():
            run(x)

    return call


def forward_backward(run: Run, x: Tensor, weights: Sequence[Tensor]) -> Callable[[], object]:
    """One training call: forward, and the gradients of operand and parameters."""
    leaves = [x.clone().requires_grad_(), *weights]
    grad = torch.randn_like(run(x))
    return lambda: torch.autograd.grad(run(leaves[0]), leaves, grad)


def check_agreement(rivals: dict[str, Run], x: Tensor) -> None:
    """What is compared computes the same."""
    with torch.no_grad():
        for run in rivals.values():
            torch.testing.assert_close(run(x), rivals["ours"](x), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    main()
