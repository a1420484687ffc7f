"""One choice block: its operators, the sum of their results, and the two mergers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.release.masks import zeros
from benchmarks.release.operators import DENSE, SPARSE, FactorizationMachine, Inputs, Sizes, linear, norm
from nasrec.genotype import Block

__all__ = ["MERGER_FIELDS", "ReleaseBlock"]

MERGER_FIELDS = 8


class ReleaseBlock(nn.Module):
    """A choice block of either network.

    Args:
        operators: names of its operators by their number in the space.
        sizes: its widths.
        dense_to_sparse, fm: whether it has the merger.
        supernet: whether it runs at full width, masks to the widths of the choice it is given, and lets operators and
            mergers that the choice leaves out take part as zeros.
    """

    def __init__(
        self, operators: Mapping[int, str], sizes: Sizes, *, dense_to_sparse: bool, fm: bool, supernet: bool
    ) -> None:
        super().__init__()
        self.operators, self.sizes, self.supernet = dict(operators), sizes, supernet
        self._nodes = nn.ModuleDict(
            {str(number): (DENSE | SPARSE)[name](sizes) for number, name in self.operators.items()}
        )
        units = MERGER_FIELDS * sizes.channels
        self.projects = dense_to_sparse and sizes.dense != units
        if self.projects:
            self.project_emb_dim = linear(sizes.dense, units, sizes)
            self.project_emb_dim_layernorm = norm(units, sizes)
        if fm:
            self.deep_fm = FactorizationMachine(sizes)

    def forward(self, x: Inputs, choice: Block) -> tuple[Tensor, Tensor]:
        """Dense output [B, D] and sparse output [B, S (+ 8), E] of a choice."""
        dense = self._combined(x, choice, DENSE, choice.dense_width)
        fields = self._combined(x, choice, SPARSE, choice.sparse_width)
        extra = self._dense_to_sparse(dense) if choice.dense_to_sparse else None
        if choice.fm:
            dense += self.deep_fm(fields, choice.dense_width if self.supernet else None)
        if extra is None and self.supernet:
            extra = zeros((len(dense), MERGER_FIELDS, self.sizes.channels), dense.dtype, dense.device)
        return dense, fields if extra is None else torch.cat([fields, extra], dim=1)

    def _combined(self, x: Inputs, choice: Block, kind: Mapping[str, object], width: int) -> Tensor:
        """The sum of the results of all operators of a kind."""
        results = []
        for number, name in self.operators.items():
            if name in kind and name in choice.operators:
                results.append(self._nodes[str(number)](x, width if self.supernet else None))
            elif name in kind:
                shape = (self.sizes.dense,) if kind is DENSE else (self.sizes.sparse, self.sizes.channels)
                results.append(zeros((len(x.dense), *shape), x.dense.dtype, x.dense.device))
        return torch.stack(results, dim=-1).sum(dim=-1)

    def _dense_to_sparse(self, dense: Tensor) -> Tensor:
        """The dense output as 8 fields. Without a projection they are its own memory, to which FM is added next."""
        if self.projects:
            dense = self.project_emb_dim_layernorm(self.project_emb_dim(dense.clone()))
        return dense.view(-1, MERGER_FIELDS, self.sizes.channels)
