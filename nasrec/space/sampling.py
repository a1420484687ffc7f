"""Random genotypes of a search space, and the draws they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nasrec.checks import format_value
from nasrec.errors import SpaceError
from nasrec.genotype import Block, Genotype
from nasrec.space.choices import Choices

__all__ = ["check_generator", "draw_bits", "draw_inputs", "draw_operators", "pick", "sample", "widest"]

T = TypeVar("T")


def sample(space: Choices, rng: np.random.Generator, operators: str, counts: str) -> Genotype:
    """Draws a genotype; see `SearchSpace.sample`."""
    check_generator(rng)
    for name, value, known in (
        ("operators", operators, ("any", "single")),
        ("counts", counts, ("uniform", "binomial")),
    ):
        if not isinstance(value, str) or value not in known:
            raise SpaceError(f"{name} must be {' or '.join(map(repr, known))}, not {format_value(value)}")
    single = "single" in (operators, space.operators_per_branch)
    blocks = tuple(_draw_block(space, rng, index, single, counts) for index in range(space.num_blocks))
    return Genotype(blocks, pick(rng, space.layer_norm), space=space.published, balanced_dot=space.balanced_dot)


def widest(space: Choices) -> Genotype:
    """Everything at once; see `SearchSpace.widest`."""
    blocks = tuple(
        Block(
            operators=space.operators,
            dense_width=max(space.dense_widths),
            sparse_width=max(space.sparse_widths),
            dense_inputs=tuple(range(index + 1)),
            sparse_inputs=tuple(range(index + 1)),
            left_inputs=tuple(range(index + 1)),
            right_inputs=tuple(range(index + 1)),
            dense_to_sparse=max(space.dense_to_sparse),
            fm=max(space.fm),
            operator_bits=_widest_bits(space.operator_bits, space),
            activation_bits=_widest_bits(space.activation_bits, space),
        )
        for index in range(space.num_blocks)
    )
    return Genotype(blocks, max(space.layer_norm), space=space.published, balanced_dot=space.balanced_dot)


def draw_operators(rng: np.random.Generator, operators: Sequence[str], single: bool) -> tuple[str, ...]:
    """One operator, or a non-empty set of them, each with equal probability; in the order given."""
    if single:
        return (pick(rng, operators),)
    code = int(rng.integers(1, 1 << len(operators)))
    return tuple(operator for bit, operator in enumerate(operators) if code >> bit & 1)


def draw_inputs(space: Choices, rng: np.random.Generator, index: int, name: str, counts: str) -> tuple[int, ...]:
    """A non-empty set of inputs for a block: first how many, then which."""
    most = space.input_cap(index, name)
    count = 1 + int(rng.integers(most) if counts == "uniform" else rng.binomial(most - 1, 0.5))
    return tuple(sorted(int(i) for i in rng.choice(index + 1, size=count, replace=False)))


def draw_bits(choices: Sequence[int], rng: np.random.Generator, count: int) -> tuple[int, ...]:
    """A precision for each of `count` operators; nothing where the space has no choices."""
    return tuple(pick(rng, choices) for _ in range(count)) if choices else ()


def _widest_bits(choices: Sequence[int], space: Choices) -> tuple[int, ...]:
    return (max(choices),) * len(space.operators) if choices else ()


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices, each with equal probability."""
    return choices[int(rng.integers(len(choices)))]


def check_generator(rng: object) -> None:
    """Raises SpaceError unless given a numpy Generator."""
    if not isinstance(rng, np.random.Generator):
        raise SpaceError(f"rng must be a numpy Generator such as numpy.random.default_rng(0), not {format_value(rng)}")


def _draw_block(space: Choices, rng: np.random.Generator, index: int, single: bool, counts: str) -> Block:
    operators = draw_operators(rng, space.dense_operators, single) + draw_operators(rng, space.sparse_operators, single)
    return Block(
        operators=operators,
        dense_width=pick(rng, space.dense_widths),
        sparse_width=pick(rng, space.sparse_widths),
        dense_inputs=draw_inputs(space, rng, index, "dense_inputs", counts),
        sparse_inputs=draw_inputs(space, rng, index, "sparse_inputs", counts),
        left_inputs=draw_inputs(space, rng, index, "left_inputs", counts),
        right_inputs=draw_inputs(space, rng, index, "right_inputs", counts),
        dense_to_sparse=pick(rng, space.dense_to_sparse),
        fm=pick(rng, space.fm),
        operator_bits=draw_bits(space.operator_bits, rng, len(operators)),
        activation_bits=draw_bits(space.activation_bits, rng, len(operators)),
    )
