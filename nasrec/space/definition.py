"""The definition of a search space. What can be asked of one is computed in the modules beside this."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nasrec.checks import format_value, integer, integers
from nasrec.errors import SpaceError
from nasrec.genotype import (
    DENSE_OPERATORS,
    MAX_BITS,
    MAX_BLOCKS,
    MAX_DENSE_WIDTH,
    MAX_SPARSE_WIDTH,
    MIN_BITS,
    PRECISIONS,
    SPARSE_OPERATORS,
    Genotype,
    Precision,
    smallest_space,
)
from nasrec.space import counting, encoding, membership, mutation, sampling

__all__ = ["Counts", "PerBranch", "SearchSpace"]

DENSE_WIDTHS = (16, 32, 64, 128, 256, 512, 768, 1024)
SPARSE_WIDTHS = (16, 32, 48, 64)
"""Widths of the published spaces (section 3.3)."""

Counts = Literal["uniform", "binomial"]
PerBranch = Literal["any", "single"]

_FLAGS = ("dense_to_sparse", "fm", "layer_norm")
_CAPS = ("max_inputs", "max_gate_inputs")


@dataclass(frozen=True)
class SearchSpace:
    """A set of genotypes (section 3.3): every block takes its choices independently of the others.

    Choices are kept ascending, operators in canonical order. Block b (from 0) may read inputs 0 to b.

    Attributes:
        num_blocks: choice blocks of every genotype.
        dense_operators: operators with a dense result that may be active.
        sparse_operators: operators with a sparse result that may be active.
        dense_widths: choices for a block's dense width.
        sparse_widths: choices for its sparse width.
        dense_to_sparse: choices for the dense-to-sparse merger: `(False, True)`, or only one of them.
        fm: choices for the factorization-machine merger.
        max_inputs: most of `dense_inputs`, and most of `sparse_inputs`, that a block may name; None for any number
            (the release samples at most 4, the paper names no cap).
        max_gate_inputs: the same for each side of sigmoid gating and sum (the release samples exactly 1). All four
            inputs belong to a genotype whether or not an active operator reads them, as in the release.
        operators_per_branch: `"any"` non-empty set of operators for each of a block's two outputs, or a `"single"`
            operator.
        operator_bits: choices for the weight precision of every active operator; empty for float.
        activation_bits: the same for what its stored matrices are multiplied with.
        layer_norm: choices for the whole genotype's layer norm.
        balanced_dot: whether the dot-product is operator-balanced (section 4.2), in all genotypes alike.

    Raises:
        SpaceError: a field is malformed; the message names it and what is allowed.
    """

    num_blocks: int = 7
    dense_operators: tuple[str, ...] = DENSE_OPERATORS
    sparse_operators: tuple[str, ...] = SPARSE_OPERATORS
    dense_widths: tuple[int, ...] = DENSE_WIDTHS
    sparse_widths: tuple[int, ...] = SPARSE_WIDTHS
    dense_to_sparse: tuple[bool, ...] = (False, True)
    fm: tuple[bool, ...] = (False, True)
    max_inputs: int | None = None
    max_gate_inputs: int | None = None
    operators_per_branch: PerBranch = "any"
    operator_bits: tuple[int, ...] = ()
    activation_bits: tuple[int, ...] = ()
    layer_norm: tuple[bool, ...] = (True,)
    balanced_dot: bool = True

    def __post_init__(self) -> None:
        self._keep("num_blocks", _integer("num_blocks", self.num_blocks, 1, MAX_BLOCKS))
        for name, known in (("dense_operators", DENSE_OPERATORS), ("sparse_operators", SPARSE_OPERATORS)):
            self._keep(name, _operators(name, getattr(self, name), known))
        for name, low, high in (
            ("dense_widths", 1, MAX_DENSE_WIDTH),
            ("sparse_widths", 1, MAX_SPARSE_WIDTH),
            *((name, MIN_BITS, MAX_BITS) for name in PRECISIONS),
        ):
            self._keep(name, _integers(name, getattr(self, name), low, high, empty=name in PRECISIONS))
        for name in _FLAGS:
            self._keep(name, _flags(name, getattr(self, name)))
        for name in _CAPS:
            if getattr(self, name) is not None:
                self._keep(name, _integer(name, getattr(self, name), 1, MAX_BLOCKS))
        if not isinstance(self.operators_per_branch, str) or self.operators_per_branch not in ("any", "single"):
            raise SpaceError(
                f"operators_per_branch must be 'any' or 'single', not {format_value(self.operators_per_branch)}"
            )
        if not isinstance(self.balanced_dot, bool):
            raise SpaceError(f"balanced_dot must be true or false, not {format_value(self.balanced_dot)}")

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def full(
        cls,
        num_blocks: int = 7,
        dense_dims: Sequence[int] = DENSE_WIDTHS,
        sparse_dims: Sequence[int] = SPARSE_WIDTHS,
        **overrides: Any,
    ) -> SearchSpace:
        """NASRec-Full: all operators. `overrides` are further fields of the space."""
        chosen = {"num_blocks": num_blocks, "dense_widths": dense_dims, "sparse_widths": sparse_dims}
        return cls.from_dict(chosen | overrides)

    @classmethod
    def small(
        cls,
        num_blocks: int = 7,
        dense_dims: Sequence[int] = DENSE_WIDTHS,
        sparse_dims: Sequence[int] = SPARSE_WIDTHS,
        **overrides: Any,
    ) -> SearchSpace:
        """NASRec-Small: FC, dot-product and EFC. `overrides` are further fields of the space."""
        operators = {"dense_operators": ("fc", "dot_product"), "sparse_operators": ("efc",)}
        return cls.full(num_blocks, dense_dims, sparse_dims, **(operators | overrides))

    @classmethod
    def codesign(
        cls,
        num_blocks: int = 7,
        dense_dims: Sequence[int] = DENSE_WIDTHS,
        sparse_dims: Sequence[int] = SPARSE_WIDTHS,
        **overrides: Any,
    ) -> SearchSpace:
        """The model side of hardware co-design: NASRec-Small, one operator a branch, weights of 4 or 8 bits each,
        multiplied with activations of 8 bits."""
        quantised = {"operator_bits": (4, 8), "activation_bits": (8,), "operators_per_branch": "single"}
        return cls.small(num_blocks, dense_dims, sparse_dims, **(quantised | overrides))

    @property
    def operators(self) -> tuple[str, ...]:
        """All operators that may be active, in canonical order."""
        return self.dense_operators + self.sparse_operators

    @property
    def published(self) -> str:
        """The published space, "small" or "full", by whose numbering of operators this one's genotypes go."""
        return smallest_space(self.operators)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Choices for the precision of an operator."""
        return tuple(itertools.product(self.operator_bits or (None,), self.activation_bits or (None,)))

    def input_cap(self, block: int, name: str) -> int:
        """Most inputs that a block (from 0) may name as `name`, one of "dense_inputs", ..., "right_inputs"."""
        cap = self.max_inputs if name in ("dense_inputs", "sparse_inputs") else self.max_gate_inputs
        return block + 1 if cap is None else min(cap, block + 1)

    def __contains__(self, genotype: object) -> bool:
        return membership.violation(self, genotype) is None

    def violation(self, genotype: object) -> str | None:
        """Why a genotype is not in the space, naming block and field; None if it is."""
        return membership.violation(self, genotype)

    def cardinality(self) -> int:
        """The exact number of genotypes in the space: any sets of operators and connections that it allows."""
        return counting.cardinality(self)

    def published_cardinality(self) -> int:
        """The paper's count; see `nasrec.space.counting.published_cardinality` for the formula."""
        return counting.published_cardinality(self)

    def enumerate(self) -> Iterator[Genotype]:
        """Every genotype once, lazily. For spaces that are small enough; see `cardinality`."""
        return counting.enumerate_genotypes(self)

    def sample(
        self, rng: np.random.Generator, *, operators: PerBranch | None = None, counts: Counts = "uniform"
    ) -> Genotype:
        """Draws a genotype of the space, its blocks and choices independent of each other.

        Args:
            rng: source of randomness; the same state gives the same genotype.
            operators: `"single"` draws one operator a branch (single-operator sampling, section 4.1), `"any"` every
                non-empty set with equal probability. Default, and at most: what the space allows.
            counts: distribution of the number of inputs: `"uniform"` over 1 to the most allowed, or `"binomial"`,
                1 + Bin(most - 1, 0.5); every set of that many inputs is then as likely.

        Raises:
            SpaceError: an argument is not one of these.
        """
        return sampling.sample(self, rng, operators or self.operators_per_branch, counts)

    def widest(self) -> Genotype:
        """All operators and connections at the largest widths and precisions, mergers and norm where they are a
        choice: the path that a supernet's training begins with (section 4.1).

        It holds every genotype of the space, but is not itself a member of one that limits operators or inputs.
        """
        return sampling.widest(self)

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """A neighbour by one of the paper's six mutations (section 4.4); see `nasrec.space.mutation`.

        Args:
            genotype: the parent, a member.
            rng: source of randomness; the same state gives the same child.

        Returns:
            A member that differs from the parent in one choice of one block; the parent itself only where the space
            leaves nothing to choose.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        return mutation.mutate(self, genotype, rng)

    def cross(self, one: Genotype, other: Genotype, rng: np.random.Generator) -> tuple[Genotype, Genotype]:
        """Two children of two members: at each place the first has the block of one parent or the other with equal
        probability, the second the other one's. A block's inputs are those before it in every parent, so that any
        mixture is a member.

        Raises:
            SpaceError: a genotype is not in the space.
        """
        return mutation.cross(self, one, other, rng)

    @property
    def encoding_length(self) -> int:
        """Entries of an encoded genotype."""
        return encoding.length(self)

    def encode(self, genotype: Genotype) -> npt.NDArray[np.int64]:
        """A genotype as a vector of `encoding_length` integers; see `nasrec.space.encoding` for the layout.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        return encoding.encode(self, genotype)

    def decode(self, vector: npt.ArrayLike) -> Genotype:
        """The way back from `encode`; floats are accepted where they are whole.

        Raises:
            SpaceError: the vector encodes no member of the space.
        """
        return encoding.decode(self, vector)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON or TOML; None is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in plain.items() if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSpace:
        """The way back from `to_dict`; what is left out takes its default.

        Raises:
            SpaceError: a key is unknown or a value malformed.
        """
        if not isinstance(values, Mapping):
            raise SpaceError(f"a search space must be an object, not {format_value(values)}")
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise SpaceError(f"a search space has no {format_value(key)}; allowed: {', '.join(known)}")
        return cls(**values)


def _operators(name: str, values: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    given = values if isinstance(values, (list, tuple)) else ()
    chosen = tuple(operator for operator in known if any(isinstance(v, str) and v == operator for v in given))
    if not chosen or len(chosen) != len(given):
        raise SpaceError(f"{name} must be a list of some of {', '.join(known)}, none twice, not {format_value(values)}")
    return chosen


def _integers(name: str, values: Any, low: int, high: int, *, empty: bool) -> tuple[int, ...]:
    numbers = integers(values)
    if numbers is None or any(not low <= n <= high for n in numbers) or len(set(numbers)) != len(numbers):
        raise SpaceError(f"{name} must be a list of distinct integers from {low} to {high}, not {format_value(values)}")
    if not numbers and not empty:
        raise SpaceError(f"{name} must name at least one choice")
    return tuple(sorted(numbers))


def _flags(name: str, values: Any) -> tuple[bool, ...]:
    given = (values,) if isinstance(values, bool) else values
    if (
        not isinstance(given, (list, tuple))
        or not all(isinstance(value, bool) for value in given)
        or len(set(given)) != len(given)
        or not given
    ):
        raise SpaceError(f"{name} must be true, false or a list of both, not {format_value(values)}")
    return tuple(sorted(given))


def _integer(name: str, value: Any, low: int, high: int) -> int:
    number = integer(value)
    if number is None or not low <= number <= high:
        raise SpaceError(f"{name} must be an integer from {low} to {high}, not {format_value(value)}")
    return number
