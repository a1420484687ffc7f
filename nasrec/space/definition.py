"""The definition of a search space. What can be asked of one is computed in the modules beside this."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec.checks import format_path, format_value
from nasrec.errors import SpaceError
from nasrec.genotype import Genotype
from nasrec.space import counting, encoding, files, membership, mutation, sampling
from nasrec.space.choices import DENSE_WIDTHS, SPARSE_WIDTHS, Choices, Counts, PerBranch

__all__ = ["SearchSpace"]


@dataclass(frozen=True)
class SearchSpace(Choices):
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
        quantized = {"operator_bits": (4, 8), "activation_bits": (8,), "operators_per_branch": "single"}
        return cls.small(num_blocks, dense_dims, sparse_dims, **(quantized | overrides))

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

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SearchSpace:
        """Reads the fields of a space from a TOML file, or from a JSON file (`.json`); see `from_dict`.

        Raises:
            SpaceError: the file cannot be read or is malformed; one line that names file and field.
        """
        values = files.read(path)
        try:
            return cls.from_dict(values)
        except SpaceError as error:
            raise SpaceError(f"{format_path(os.fspath(path))}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what `load` reads, as a whole or not at all. Raises `SpaceError` if the file cannot be written."""
        files.write(self.to_dict(), path)
