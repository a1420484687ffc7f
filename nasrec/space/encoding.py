"""Genotypes of a space as integer vectors of one length, for predictors and generic optimisers.

Layout: layer norm (0 or 1); then for each block one entry for each operator of the space (0 off, i on with the i-th
of the space's `precisions`, 1 where it leaves no choice), the indices of the dense and the sparse width among the
space's choices, `dense_to_sparse`, `fm`, and for each of the four inputs `num_blocks` entries, 1 where input i is read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nasrec.errors import GenotypeError, SpaceError
from nasrec.genotype import INPUTS, MERGERS, Block, Genotype
from nasrec.space import membership
from nasrec.space.choices import Choices

__all__ = ["decode", "encode", "length"]


def length(space: Choices) -> int:
    """Entries of an encoded genotype."""
    return 1 + space.num_blocks * _block_length(space)


def encode(space: Choices, genotype: Genotype) -> npt.NDArray[np.int64]:
    """A genotype as a vector [length]; see `SearchSpace.encode`."""
    membership.check(space, genotype, "cannot encode")
    entries = [int(genotype.layer_norm)]
    for block in genotype.blocks:
        bits = block.precisions
        entries += [1 + space.precisions.index(bits[name]) if name in bits else 0 for name in space.operators]
        entries += [space.dense_widths.index(block.dense_width), space.sparse_widths.index(block.sparse_width)]
        entries += [int(getattr(block, name)) for name in MERGERS]
        entries += [int(i in getattr(block, name)) for name in INPUTS for i in range(space.num_blocks)]
    return np.array(entries, dtype=np.int64)


def decode(space: Choices, vector: npt.ArrayLike) -> Genotype:
    """The genotype of a vector; see `SearchSpace.decode`."""
    entries = _whole(space, vector)
    if entries[0] not in (0, 1):
        raise SpaceError(f"entry 0 (layer norm) must be 0 or 1, not {entries[0]}")
    size = _block_length(space)
    blocks = tuple(
        _decode_block(space, index, entries[1 + index * size : 1 + (index + 1) * size])
        for index in range(space.num_blocks)
    )
    try:
        genotype = Genotype(blocks, bool(entries[0]), space=space.published, balanced_dot=space.balanced_dot)
    except GenotypeError as failure:
        raise SpaceError(f"the vector encodes no genotype: {failure}") from None
    membership.check(space, genotype, "cannot decode")
    return genotype


def _decode_block(space: Choices, index: int, entries: list[int]) -> Block:
    count, blocks = len(space.operators), space.num_blocks
    limits = [len(space.precisions)] * count
    limits += [len(space.dense_widths) - 1, len(space.sparse_widths) - 1]
    limits += [1] * (len(MERGERS) + len(INPUTS) * blocks)
    for position, (entry, limit) in enumerate(zip(entries, limits, strict=True)):
        if not 0 <= entry <= limit:
            raise SpaceError(f"block {index}: entry {position} must be 0 to {limit}, not {entry}")
    codes, (dense, sparse, dense_to_sparse, fm), flags = (
        entries[:count],
        entries[count : count + 4],
        entries[count + 4 :],
    )
    sides = [flags[side * blocks : (side + 1) * blocks] for side in range(len(INPUTS))]
    dense_inputs, sparse_inputs, left_inputs, right_inputs = (
        tuple(i for i, flag in enumerate(side) if flag) for side in sides
    )
    on = [(name, space.precisions[code - 1]) for name, code in zip(space.operators, codes, strict=True) if code]
    try:
        return Block(
            tuple(operator for operator, _ in on),
            space.dense_widths[dense],
            space.sparse_widths[sparse],
            dense_inputs,
            sparse_inputs,
            left_inputs,
            right_inputs,
            dense_to_sparse=bool(dense_to_sparse),
            fm=bool(fm),
            operator_bits=tuple(bits for _, (bits, _) in on if bits is not None),
            activation_bits=tuple(bits for _, (_, bits) in on if bits is not None),
        )
    except GenotypeError as failure:
        raise SpaceError(f"block {index}: the vector encodes no block: {failure}") from None


def _whole(space: Choices, vector: npt.ArrayLike) -> list[int]:
    """The vector's entries as integers. SpaceError if it has another length, or anything else in it."""
    expected = f"an encoding in this space is a vector of {length(space)} integers"
    try:
        values = np.asarray(vector)
    except (TypeError, ValueError):
        raise SpaceError(f"{expected}, which this cannot be made into") from None
    if values.shape != (length(space),) or values.dtype.kind not in "iuf":
        raise SpaceError(f"{expected}, not an array of shape {list(values.shape)} and type {values.dtype}")
    # Entries are small, so a bound on the size first: a cast of NaN or of a huge number has no meaning.
    if not np.all(np.abs(values.astype(np.float64)) < 1 << 20) or np.any(values != np.floor(values)):
        raise SpaceError(f"{expected}; this holds others")
    return [int(value) for value in values]


def _block_length(space: Choices) -> int:
    return len(space.operators) + 2 + len(MERGERS) + len(INPUTS) * space.num_blocks
