"""The six building operators and the factorization machine, as modules with the release's parameter names.

B is the batch, E the embedding's channels, D and S the block's dense and sparse width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.release.masks import masked

__all__ = ["DENSE", "SPARSE", "FactorizationMachine", "Inputs", "Sizes", "linear", "norm"]

ATTENTION_HEADS = 8


@dataclass(frozen=True)
class Sizes:
    """What a block's operators are handed and what they hand on.

    Attributes:
        dense_in: units of the dense input.
        sparse_in: fields of the sparse input.
        gate_in: units of the wider one of the left and right input.
        dense: D.
        sparse: S.
        channels: E.
        layer_norm: whether operators normalise; their linears carry a bias where they do not.
    """

    dense_in: int
    sparse_in: int
    gate_in: int
    dense: int
    sparse: int
    channels: int
    layer_norm: bool


class Inputs(NamedTuple):
    """A block's concatenated inputs: [B, dense_in], [B, sparse_in, E], and left and right [B, n]."""

    dense: Tensor
    sparse: Tensor
    left: Tensor
    right: Tensor


class FullyConnected(nn.Module):
    """mask(relu(norm(W x))): [B, D]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._linear = linear(sizes.dense_in, sizes.dense, sizes)
        self._layernorm = norm(sizes.dense, sizes)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        y = self._layernorm(self._linear(x.dense))
        return masked(functional.relu(y, inplace=True), keep)


class DotProduct(nn.Module):
    """Fields projected to k = round(sqrt(2 D)) rows, dense row prepended, their pairwise products: [B, D]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        rows = round(math.sqrt(2 * sizes.dense))
        pairs = rows * (rows + 1) // 2
        differ = sizes.dense_in != sizes.channels
        self._dense_proj = linear(sizes.dense_in, sizes.channels, sizes) if differ else nn.Identity()
        self._dense_layernorm = norm(sizes.channels, sizes) if differ else nn.Identity()
        self.projects_fields = sizes.sparse_in != rows
        if self.projects_fields:
            self._sparse_inp_proj = linear(sizes.sparse_in, rows, sizes)
            self._sparse_inp_proj_layernorm = norm(rows, sizes)
        self._linear_proj = linear(pairs, sizes.dense, sizes) if pairs != sizes.dense else nn.Identity()
        self._linear_layernorm = norm(sizes.dense, sizes)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        row = self._dense_layernorm(self._dense_proj(x.dense))
        fields = x.sparse
        if self.projects_fields:
            along = self._sparse_inp_proj(fields.transpose(1, 2))
            fields = self._sparse_inp_proj_layernorm(along).transpose(1, 2)
        rows = torch.cat([row.unsqueeze(1), fields], dim=1)
        gram = torch.bmm(rows, rows.transpose(1, 2))
        first, second = torch.tril_indices(gram.shape[1], gram.shape[2], offset=-1, device=gram.device)
        y = self._linear_layernorm(self._linear_proj(gram[:, first, second]))
        return masked(y, keep)


class SigmoidGating(nn.Module):
    """mask(norm(P (sigmoid(W left + c) * right))), the narrower side padded, P where widths differ: [B, D]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._left_self_linear = nn.ModuleDict({"_linear": nn.Linear(sizes.gate_in, sizes.gate_in)})
        self._linear_proj = nn.Linear(sizes.gate_in, sizes.dense) if sizes.gate_in != sizes.dense else nn.Identity()
        self._layernorm = norm(sizes.dense, sizes)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        left, right = _padded(x.left, x.right)
        gate = torch.sigmoid(self._left_self_linear["_linear"](left))
        return masked(self._layernorm(self._linear_proj(gate * right)), keep)


class Sum(nn.Module):
    """mask(norm(P (left + right))), the narrower side padded, P where widths differ: [B, D]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        differ = sizes.gate_in != sizes.dense
        self._linear_proj = linear(sizes.gate_in, sizes.dense, sizes) if differ else nn.Identity()
        self._layernorm = norm(sizes.dense, sizes)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        left, right = _padded(x.left, x.right)
        return masked(self._layernorm(self._linear_proj(left + right)), keep)


class Attention(nn.Module):
    """Fields projected to S, attention of all of them over all, feed-forward pair, two residual norms: [B, S, E].

    Masked fields take part as keys and values.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.channels
        self._linear_proj = linear(sizes.sparse_in, sizes.sparse, sizes)
        self._proj_ln = norm(sizes.sparse, sizes)
        self._mha = nn.MultiheadAttention(channels, ATTENTION_HEADS, batch_first=True)
        self._attn_ln = nn.LayerNorm(channels)
        self.attn_fc1 = nn.Linear(channels, channels)
        self.attn_fc2 = nn.Linear(channels, channels)
        self._attn_fc_ln = nn.LayerNorm(channels)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        along = self._proj_ln(self._linear_proj(x.sparse.transpose(1, 2)))  # [B, E, S]
        fields = masked(along, keep).transpose(1, 2)
        mixed, _ = self._mha(fields, fields, fields, need_weights=False)
        y = self._attn_ln(mixed + fields)
        y = self._attn_fc_ln(y + self.attn_fc2(functional.relu(self.attn_fc1(y))))
        return masked(y.transpose(1, 2), keep).transpose(1, 2)


class EmbeddedFullyConnected(nn.Module):
    """mask(relu(norm(W X))) along the fields, the same for every channel: [B, S, E]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._linear = linear(sizes.sparse_in, sizes.sparse, sizes)
        self._layernorm = norm(sizes.sparse, sizes)

    def forward(self, x: Inputs, keep: int | None) -> Tensor:
        along = self._layernorm(self._linear(x.sparse.transpose(1, 2)))  # [B, E, S]
        return masked(functional.relu(along, inplace=True), keep).transpose(1, 2)


class FactorizationMachine(nn.Module):
    """Sparse-to-dense merger: mask(norm(W ((sum of fields)^2 - sum of their squares))), raw where D = E: [B, D].

    Where D = E the norm's parameters are there and unused.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.projects = sizes.channels != sizes.dense
        self._linear_proj = linear(sizes.channels, sizes.dense, sizes) if self.projects else nn.Identity()
        self._linear_layernorm = norm(sizes.dense, sizes)

    def forward(self, fields: Tensor, keep: int | None) -> Tensor:
        y = fields.sum(dim=1) ** 2 - (fields**2).sum(dim=1)
        if self.projects:
            y = self._linear_layernorm(self._linear_proj(y))
        return masked(y, keep)


DENSE: dict[str, type[nn.Module]] = {
    "fc": FullyConnected,
    "dot_product": DotProduct,
    "sigmoid_gating": SigmoidGating,
    "sum": Sum,
}
SPARSE: dict[str, type[nn.Module]] = {"attention": Attention, "efc": EmbeddedFullyConnected}
"""Operators by name; calls are `operator(inputs, keep)`, keep the units or fields that a mask leaves, None for all."""


def linear(inputs: int, outputs: int, sizes: Sizes) -> nn.Module:
    """A linear that a norm follows: it has a bias only where norms are off."""
    return nn.Linear(inputs, outputs, bias=not sizes.layer_norm)


def norm(size: int, sizes: Sizes) -> nn.Module:
    """A layer norm over the last axis, where norms are on."""
    return nn.LayerNorm(size) if sizes.layer_norm else nn.Identity()


def _padded(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides as wide as the wider one."""
    missing = right.shape[1] - left.shape[1]
    if missing == 0:
        return left, right
    fill = left.new_zeros(len(left), abs(missing))
    if missing > 0:
        return torch.cat([left, fill], dim=1), right
    return left, torch.cat([right, fill], dim=1)
