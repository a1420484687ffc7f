"""How many genotypes a search space holds, and all of them in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from nasrec.genotype import INPUTS, Block, Genotype
from nasrec.space.choices import Choices

__all__ = ["cardinality", "enumerate_genotypes", "published_cardinality", "subset_count"]


def cardinality(space: Choices) -> int:
    """The exact number of genotypes in the space.

    The product, over blocks, of the numbers of operator sets with their precisions, widths, mergers, and non-empty
    sets of each of the four inputs; times the choices for layer norm.
    """
    return len(space.layer_norm) * math.prod(_block_count(space, index) for index in range(space.num_blocks))


def published_cardinality(space: Choices) -> int:
    """The paper's count: (operator sets x widths x mergers)^N x (N!)^2 for N blocks, times precisions.

    (15 * 3 * 8 * 4 * 2 * 2)^7 * (7!)^2 = 5.3e33 for NASRec-Full with 7 blocks (section 3.3), 15^7 times less for
    NASRec-Small. The paper counts N! choices of connections on each of the two sides where `cardinality` counts all
    sets, and nothing for the two sides of gating and sum. For quantised weights it counts two operators a block,
    each with its choice of precision: (number of precisions)^(2N), 2^14 in the co-design space.

    In any other space the same factors are taken from the space's own choices: 2^n - 1 sets of n operators for each
    branch, also where only single ones may be sampled; caps on inputs and layer norm do not enter.
    """
    sets = math.prod((1 << len(operators)) - 1 for operators in (space.dense_operators, space.sparse_operators))
    per_block = sets * _widths_and_mergers(space) * len(space.precisions) ** 2
    return math.prod([per_block] * space.num_blocks) * math.factorial(space.num_blocks) ** 2


def enumerate_genotypes(space: Choices) -> Iterator[Genotype]:
    """Every genotype once, lazily, in a fixed order."""
    for layer_norm in space.layer_norm:
        for blocks in _chains(space, space.num_blocks):
            yield Genotype(blocks, layer_norm, space=space.published, balanced_dot=space.balanced_dot)


def subset_count(space: Choices, index: int, name: str) -> int:
    """Number of non-empty sets of inputs that a block may name as `name`."""
    return sum(math.comb(index + 1, size) for size in range(1, space.input_cap(index, name) + 1))


def _block_count(space: Choices, index: int) -> int:
    precisions = len(space.precisions)
    if space.operators_per_branch == "single":
        sets = len(space.dense_operators) * len(space.sparse_operators) * precisions**2
    else:  # each operator is off, or on with one of the precisions
        sets = math.prod((1 + precisions) ** len(ops) - 1 for ops in (space.dense_operators, space.sparse_operators))
    return sets * _widths_and_mergers(space) * math.prod(subset_count(space, index, name) for name in INPUTS)


def _widths_and_mergers(space: Choices) -> int:
    return len(space.dense_widths) * len(space.sparse_widths) * len(space.dense_to_sparse) * len(space.fm)


def _chains(space: Choices, length: int) -> Iterator[tuple[Block, ...]]:
    if length == 0:
        yield ()
        return
    for before in _chains(space, length - 1):
        for block in _blocks(space, length - 1):
            yield (*before, block)


def _blocks(space: Choices, index: int) -> Iterator[Block]:
    for operators, weights, activations in _operator_sets(space):
        for dense_width, sparse_width in itertools.product(space.dense_widths, space.sparse_widths):
            for dense, sparse, left, right in _all_inputs(space, index, INPUTS):
                for merger, fm in itertools.product(space.dense_to_sparse, space.fm):
                    yield Block(
                        operators, dense_width, sparse_width, dense, sparse, left, right, merger, fm,
                        weights, activations,
                    )  # fmt: skip


def _all_inputs(space: Choices, index: int, names: tuple[str, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    # Not itertools.product, which would first hold all 2^(index+1) sets in memory.
    if not names:
        yield ()
        return
    for size in range(1, space.input_cap(index, names[0]) + 1):
        for chosen in itertools.combinations(range(index + 1), size):
            for rest in _all_inputs(space, index, names[1:]):
                yield (chosen, *rest)


def _operator_sets(space: Choices) -> Iterator[tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]]:
    """Sets of operators with the precisions of their weights and of their activations."""
    branches = []
    for operators in (space.dense_operators, space.sparse_operators):
        most = 1 if space.operators_per_branch == "single" else len(operators)
        sizes = range(1, most + 1)
        branches.append([chosen for size in sizes for chosen in itertools.combinations(operators, size)])
    for dense, sparse in itertools.product(*branches):
        chosen = dense + sparse
        weights, activations = (
            itertools.product(bits, repeat=len(chosen) if bits else 0)
            for bits in (space.operator_bits, space.activation_bits)
        )
        for w, a in itertools.product(weights, activations):
            yield chosen, w, a
