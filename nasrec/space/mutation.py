"""The paper's six mutations (section 4.4), drawn with equal probability, each in one random block:

re-sample the dense width; the sparse width; the dense operators; the sparse operators; one of the connections to other
blocks; one of the two mergers.

Re-sampled operators draw new precisions where the space has any, so the operator mutations are where precisions
change; a branch whose operators leave no choice re-samples its precisions alone. The connections of an operator that
is not active now can change, those that no operator of the space reads are left alone. Where the drawn mutation has
no other value in the drawn block, another block is tried, and then another mutation, so that a child differs from its
parent wherever the space leaves a choice. A child has no name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from nasrec.genotype import INPUTS, MERGERS, PRECISIONS, READS, Block, Genotype
from nasrec.space import membership
from nasrec.space.choices import Choices
from nasrec.space.counting import subset_count
from nasrec.space.sampling import check_generator, draw_bits, draw_inputs, draw_operators, pick

__all__ = ["MUTATIONS", "cross", "mutate"]


def mutate(space: Choices, genotype: Genotype, rng: np.random.Generator) -> Genotype:
    """A neighbour of a genotype; see `SearchSpace.mutate`."""
    check_generator(rng)
    membership.check(space, genotype, "cannot mutate")
    moves = list(MUTATIONS.values())
    for move in rng.permutation(len(moves)):
        for index in rng.permutation(space.num_blocks):
            blocks = list(genotype.blocks)
            changed = moves[int(move)](space, blocks[index], int(index), rng)
            if changed is not None:
                blocks[index] = changed
                return replace(genotype, blocks=tuple(blocks), name="", space=space.published)
    return genotype


def cross(space: Choices, one: Genotype, other: Genotype, rng: np.random.Generator) -> tuple[Genotype, Genotype]:
    """Two genotypes with their blocks exchanged; see `SearchSpace.cross`."""
    check_generator(rng)
    for parent in (one, other):
        membership.check(space, parent, "cannot cross")
    swap = rng.random(len(one.blocks)) < 0.5
    pairs = [(b, a) if s else (a, b) for a, b, s in zip(one.blocks, other.blocks, swap, strict=True)]
    first, second = (
        replace(one, blocks=tuple(pair[child] for pair in pairs), name="", space=space.published) for child in range(2)
    )
    return first, second


def _dense_width(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    others = [width for width in space.dense_widths if width != block.dense_width]
    return replace(block, dense_width=pick(rng, others)) if others else None


def _sparse_width(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    others = [width for width in space.sparse_widths if width != block.sparse_width]
    return replace(block, sparse_width=pick(rng, others)) if others else None


def _dense_operators(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    return _operators(space, block, space.dense_operators, rng)


def _sparse_operators(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    return _operators(space, block, space.sparse_operators, rng)


def _operators(space: Choices, block: Block, branch: tuple[str, ...], rng: np.random.Generator) -> Block | None:
    if len(branch) == 1 and len(space.precisions) < 2:
        return None
    kept = tuple(operator for operator in block.operators if operator not in branch)
    while True:  # the present state is one of several equally likely ones, so this ends soon
        chosen = draw_operators(rng, branch, space.operators_per_branch == "single")
        weights, activations = (
            draw_bits(getattr(space, name), rng, len(chosen)) + _bits_of(kept, block, name) for name in PRECISIONS
        )
        changed = replace(block, operators=chosen + kept, operator_bits=weights, activation_bits=activations)
        if changed != block:
            return changed


def _bits_of(operators: Collection[str], block: Block, name: str) -> tuple[int, ...]:
    """One of `PRECISIONS` for some operators of a block; nothing where it has none."""
    held = zip(block.operators, getattr(block, name), strict=False)
    return tuple(bits for operator, bits in held if operator in operators)


def _connection(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    read = {name for operator in space.operators for name in READS[operator]}
    names = [name for name in INPUTS if name in read and subset_count(space, index, name) > 1]
    if not names:
        return None
    name = pick(rng, names)
    old: tuple[int, ...] = getattr(block, name)
    new = old
    while new == old:  # every set is drawn with positive probability, and there are others
        new = draw_inputs(space, rng, index, name, "uniform")
    return _with_inputs(block, name, new)


def _merger(space: Choices, block: Block, index: int, rng: np.random.Generator) -> Block | None:
    names = [name for name in MERGERS if len(getattr(space, name)) > 1]
    if not names:
        return None
    if pick(rng, names) == "fm":
        return replace(block, fm=not block.fm)
    return replace(block, dense_to_sparse=not block.dense_to_sparse)


def _with_inputs(block: Block, name: str, inputs: tuple[int, ...]) -> Block:
    values = {key: inputs if key == name else getattr(block, key) for key in INPUTS}
    return replace(
        block,
        dense_inputs=values["dense_inputs"],
        sparse_inputs=values["sparse_inputs"],
        left_inputs=values["left_inputs"],
        right_inputs=values["right_inputs"],
    )


Mutation = Callable[[Choices, Block, int, np.random.Generator], Block | None]

MUTATIONS: dict[str, Mutation] = {
    "dense width": _dense_width,
    "sparse width": _sparse_width,
    "dense operators": _dense_operators,
    "sparse operators": _sparse_operators,
    "connection": _connection,
    "merger": _merger,
}
"""By name: each gives a block that differs in just this, or None where the space leaves no other."""
