"""The two networks: a genotype's own model (the release's `fixed` mode), and the weight-sharing supernet (masked)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.release.block import MERGER_FIELDS, ReleaseBlock
from benchmarks.release.masks import zeros
from benchmarks.release.operators import Inputs, Sizes
from nasrec import FeatureSpec, Genotype, SearchSpace
from nasrec.genotype import SPACE_OPERATORS, smallest_space

__all__ = ["ReleaseSubnet", "ReleaseSupernet"]


class _Network(nn.Module):
    """Tables, blocks and the final linear; `m(dense [B, n] float, sparse [B, m] int64, ...) -> logits [B]`."""

    def __init__(self, features: FeatureSpec, blocks: Sequence[ReleaseBlock], final_in: int) -> None:
        super().__init__()
        channels = features.embedding_dim
        self._embedding = nn.ModuleList([nn.Embedding(rows, channels) for rows in features.cardinalities])
        self._blocks = nn.ModuleList(blocks)
        self._final = nn.Linear(final_in, 1)

    def _run(self, dense: Tensor, sparse: Tensor, genotype: Genotype, *, supernet: bool) -> Tensor:
        looked_up = [table(sparse[:, j]) for j, table in enumerate(self._embedding)]
        units, fields = [dense], [torch.stack(looked_up, dim=1)]
        for block, choice in zip(self._blocks, genotype.blocks, strict=True):
            inputs = Inputs(
                _joined(units, choice.dense_inputs, supernet),
                _joined(fields, choice.sparse_inputs, supernet),
                _joined(units, choice.left_inputs, supernet),
                _joined(units, choice.right_inputs, supernet),
            )
            d, s = block(inputs, choice)
            units.append(d)
            fields.append(s)
        logits: Tensor = self._final(torch.cat([units[-1], fields[-1].flatten(1)], dim=1))
        return logits.squeeze(1)


class ReleaseSubnet(_Network):
    """A genotype's own model: no masks, widths are the genotype's, all blocks run."""

    def __init__(self, genotype: Genotype, features: FeatureSpec) -> None:
        used = {operator for block in genotype.blocks for operator in block.operators}
        numbering = SPACE_OPERATORS[genotype.space or smallest_space(used)]
        channels = features.embedding_dim
        units, fields = [features.num_dense], [features.num_sparse]
        blocks = []
        for choice in genotype.blocks:
            sizes = Sizes(
                dense_in=_width(units, choice.dense_inputs),
                sparse_in=_width(fields, choice.sparse_inputs),
                gate_in=max(_width(units, choice.left_inputs), _width(units, choice.right_inputs)),
                dense=choice.dense_width,
                sparse=choice.sparse_width,
                channels=channels,
                layer_norm=genotype.layer_norm,
            )
            active = {number: name for number, name in enumerate(numbering) if name in choice.operators}
            merger = choice.dense_to_sparse
            blocks.append(ReleaseBlock(active, sizes, dense_to_sparse=merger, fm=choice.fm, supernet=False))
            units.append(choice.dense_width)
            fields.append(choice.sparse_width + (MERGER_FIELDS if merger else 0))
        super().__init__(features, blocks, units[-1] + channels * fields[-1])
        self.genotype = genotype

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Logits."""
        return self._run(dense, sparse, self.genotype, supernet=False)


class ReleaseSupernet(_Network):
    """The weight-sharing supernet: all operators and both mergers in every block, at the space's largest widths."""

    def __init__(self, space: SearchSpace, features: FeatureSpec, *, layer_norm: bool = True) -> None:
        dense, sparse = max(space.dense_widths), max(space.sparse_widths)
        channels = features.embedding_dim
        known = {
            number: name for number, name in enumerate(SPACE_OPERATORS[space.published]) if name in space.operators
        }
        blocks = []
        for index in range(space.num_blocks):
            units = features.num_dense + index * dense
            fields = features.num_sparse + index * (sparse + MERGER_FIELDS)
            sizes = Sizes(units, fields, units, dense, sparse, channels, layer_norm)
            blocks.append(ReleaseBlock(known, sizes, dense_to_sparse=True, fm=True, supernet=True))
        super().__init__(features, blocks, dense + channels * (sparse + MERGER_FIELDS))

    def forward(self, dense: Tensor, sparse: Tensor, genotype: Genotype) -> Tensor:
        """Logits of one path."""
        return self._run(dense, sparse, genotype, supernet=True)


def _joined(outputs: Sequence[Tensor], chosen: Sequence[int], supernet: bool) -> Tensor:
    """Earlier outputs in ascending order: the chosen ones, between zeros for all others in a supernet."""
    if supernet:
        parts = [
            output if index in chosen else zeros(tuple(output.shape), output.dtype, output.device)
            for index, output in enumerate(outputs)
        ]
    else:
        parts = [outputs[index] for index in chosen]
    return torch.cat(parts, dim=1)


def _width(widths: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(widths[index] for index in chosen)
