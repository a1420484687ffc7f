"""Search spaces: which genotypes there are, how many, how to draw one and how to change one a little."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from operator import index
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nasrec.errors import GenotypeError, SpaceError
from nasrec.genotype import (
    DENSE_OPERATORS,
    INPUTS,
    MAX_BLOCKS,
    MAX_DENSE_WIDTH,
    MAX_SPARSE_WIDTH,
    SPARSE_OPERATORS,
    Block,
    Genotype,
)

__all__ = ["SearchSpace"]

DENSE_WIDTHS = (16, 32, 64, 128, 256, 512, 768, 1024)
SPARSE_WIDTHS = (16, 32, 48, 64)

Counts = Literal["uniform", "binomial"]
PerBranch = Literal["any", "single"]


@dataclass(frozen=True)
class SearchSpace:
    """A set of genotypes (section 3.3).

    Attributes:
        num_blocks: choice blocks of every genotype.
        dense_operators: operators with a dense result that may be active.
        sparse_operators: operators with a sparse result that may be active.
        dense_widths: choices for a block's dense width, ascending.
        sparse_widths: choices for its sparse width, ascending.
        dense_to_sparse: choices for the dense-to-sparse merger: `(False, True)`, or only one of them.
        fm: choices for the factorization-machine merger.
        max_inputs: most inputs of one kind that a block may read; None for any number (the release samples at most
            4, the paper names no cap).
        max_gate_inputs: the same for each side of sigmoid gating and sum (the release samples exactly 1).
        operators_per_branch: `"any"` non-empty set of operators a branch, or a `"single"` one.
        operator_bits: choices for the weight precision of every operator; empty for float (section 3.3 uses 4, 8).
        layer_norm: choices for the whole genotype's layer norm.

    Raises:
        SpaceError: a field is malformed; the message names it.
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
    layer_norm: tuple[bool, ...] = (True,)

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen: set once, here)
        put("num_blocks", _integer("num_blocks", self.num_blocks, 1, MAX_BLOCKS))
        for name, known in (("dense_operators", DENSE_OPERATORS), ("sparse_operators", SPARSE_OPERATORS)):
            chosen = _choices(name, getattr(self, name))
            if not chosen or not set(chosen) <= set(known):
                raise SpaceError(f"{name} must name some of {', '.join(known)}, not {list(chosen)}")
            put(name, tuple(operator for operator in known if operator in chosen))
        put("dense_widths", _integers("dense_widths", self.dense_widths, 1, MAX_DENSE_WIDTH))
        put("sparse_widths", _integers("sparse_widths", self.sparse_widths, 1, MAX_SPARSE_WIDTH))
        for name in ("dense_to_sparse", "fm", "layer_norm"):
            flags = _choices(name, getattr(self, name))
            if not flags or any(type(flag) is not bool for flag in flags):
                raise SpaceError(f"{name} must be a list of true, false or both, not {list(flags)}")
            put(name, tuple(sorted(flags)))
        for name in ("max_inputs", "max_gate_inputs"):
            if getattr(self, name) is not None:
                put(name, _integer(name, getattr(self, name), 1, MAX_BLOCKS))
        if self.operators_per_branch not in ("any", "single"):
            raise SpaceError(f"operators_per_branch must be 'any' or 'single', not {self.operators_per_branch!r:.40}")
        bits = _choices("operator_bits", self.operator_bits)
        put("operator_bits", _integers("operator_bits", bits, 2, 16) if bits else ())

    @classmethod
    def full(
        cls,
        num_blocks: int = 7,
        dense_dims: Sequence[int] = DENSE_WIDTHS,
        sparse_dims: Sequence[int] = SPARSE_WIDTHS,
        **overrides: Any,
    ) -> SearchSpace:
        """NASRec-Full: all operators."""
        return cls(num_blocks, dense_widths=tuple(dense_dims), sparse_widths=tuple(sparse_dims), **overrides)

    @classmethod
    def small(
        cls,
        num_blocks: int = 7,
        dense_dims: Sequence[int] = DENSE_WIDTHS,
        sparse_dims: Sequence[int] = SPARSE_WIDTHS,
        **overrides: Any,
    ) -> SearchSpace:
        """NASRec-Small: FC, dot-product and EFC."""
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
        """The model side of hardware co-design: NASRec-Small, one operator a branch, weights of 4 or 8 bits each."""
        quantised = {"operator_bits": (4, 8), "operators_per_branch": "single"}
        return cls.small(num_blocks, dense_dims, sparse_dims, **(quantised | overrides))

    # How many ---------------------------------------------------------------------------------------------------

    def cardinality(self) -> int:
        """The exact number of genotypes in the space: any sets of operators and connections that it allows."""
        return len(self.layer_norm) * math.prod(self._block_count(k) for k in range(self.num_blocks))

    def _block_count(self, k: int) -> int:
        precisions = max(1, len(self.operator_bits))
        if self.operators_per_branch == "single":
            sets = len(self.dense_operators) * len(self.sparse_operators) * precisions**2
        else:  # each operator is off, or on with one of the precisions
            sets = math.prod(
                (1 + precisions) ** len(operators) - 1 for operators in (self.dense_operators, self.sparse_operators)
            )
        connections = math.prod(self._subset_count(k, name) for name in INPUTS)
        return sets * self._micro_count() * connections

    def _micro_count(self) -> int:
        return len(self.dense_widths) * len(self.sparse_widths) * len(self.dense_to_sparse) * len(self.fm)

    def _subset_count(self, k: int, name: str) -> int:
        """Non-empty subsets of block k's k+1 possible inputs, under the cap."""
        return sum(math.comb(k + 1, size) for size in range(1, self._cap(k, name) + 1))

    def _cap(self, k: int, name: str) -> int:
        cap = self.max_inputs if name in ("dense_inputs", "sparse_inputs") else self.max_gate_inputs
        return k + 1 if cap is None else min(cap, k + 1)

    def published_cardinality(self) -> int:
        """The paper's count: (operator sets x widths x mergers)^blocks x (blocks!)^2, times precisions.

        5.3e33 for NASRec-Full with 7 blocks, (15 * 3 * 8 * 4 * 2 * 2)^7 * (7!)^2; two quantised operators a block
        multiply it by (number of precisions)^(2 * blocks), 2^14 in the co-design space (sections 3.3 and 5.2). It
        counts k! choices of connections on each side, not sets; `cardinality` counts what can be sampled.
        """
        sets = math.prod(2 ** len(operators) - 1 for operators in (self.dense_operators, self.sparse_operators))
        architectures = (sets * self._micro_count()) ** self.num_blocks * math.factorial(self.num_blocks) ** 2
        return int(architectures * max(1, len(self.operator_bits)) ** (2 * self.num_blocks))

    def enumerate(self) -> Iterator[Genotype]:
        """Every genotype once. For spaces that are small enough; see `cardinality`."""
        per_block = [list(self._blocks(k)) for k in range(self.num_blocks)]
        for layer_norm in self.layer_norm:
            for blocks in itertools.product(*per_block):
                yield Genotype(blocks, layer_norm)

    def _blocks(self, k: int) -> Iterator[Block]:
        subsets = {name: list(self._subsets(k, name)) for name in INPUTS}
        micro = itertools.product(self.dense_widths, self.sparse_widths, self.dense_to_sparse, self.fm)
        for (dense, sparse, d2s, fm), *inputs in itertools.product(micro, *subsets.values()):
            for operators, bits in self._operator_sets():
                yield Block(operators, dense, sparse, *inputs, dense_to_sparse=d2s, fm=fm, operator_bits=bits)

    def _subsets(self, k: int, name: str) -> Iterator[tuple[int, ...]]:
        for size in range(1, self._cap(k, name) + 1):
            yield from itertools.combinations(range(k + 1), size)

    def _operator_sets(self) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        most = 1 if self.operators_per_branch == "single" else None
        branches = []
        for operators in (self.dense_operators, self.sparse_operators):
            sizes = range(1, (most or len(operators)) + 1)
            branches.append([c for size in sizes for c in itertools.combinations(operators, size)])
        for dense, sparse in itertools.product(*branches):
            chosen = dense + sparse
            if not self.operator_bits:
                yield chosen, ()
            else:
                yield from ((chosen, bits) for bits in itertools.product(self.operator_bits, repeat=len(chosen)))

    # Drawing and changing ---------------------------------------------------------------------------------------

    def sample(
        self, rng: np.random.Generator, *, operators: PerBranch | None = None, counts: Counts = "uniform"
    ) -> Genotype:
        """Draws a genotype.

        Args:
            rng: source of randomness; the same state gives the same genotype.
            operators: `"single"` draws one operator a branch (single-operator sampling, section 4.1), `"any"` every
                non-empty set with equal probability. Default: what the space allows.
            counts: distribution of the number of inputs: `"uniform"` over 1..most, or `"binomial"`, 1 + Bin(most-1,
                0.5), as the release has both.
        """
        per_branch = operators or self.operators_per_branch
        if per_branch not in ("any", "single") or counts not in ("uniform", "binomial"):
            raise SpaceError(f"unknown way to sample: operators={operators!r:.40}, counts={counts!r:.40}")
        if self.operators_per_branch == "single":
            per_branch = "single"
        blocks = []
        for k in range(self.num_blocks):
            chosen = self._draw_operators(rng, self.dense_operators, per_branch)
            chosen += self._draw_operators(rng, self.sparse_operators, per_branch)
            block = Block(
                operators=chosen,
                dense_width=_pick(rng, self.dense_widths),
                sparse_width=_pick(rng, self.sparse_widths),
                **{name: self._draw_inputs(rng, k, name, counts) for name in INPUTS},
                dense_to_sparse=_pick(rng, self.dense_to_sparse),
                fm=_pick(rng, self.fm),
                operator_bits=self._draw_bits(rng, chosen),
            )
            blocks.append(block)
        return Genotype(tuple(blocks), _pick(rng, self.layer_norm))

    def _draw_operators(
        self, rng: np.random.Generator, operators: Sequence[str], per_branch: PerBranch
    ) -> tuple[str, ...]:
        if per_branch == "single":
            return (_pick(rng, operators),)
        code = int(rng.integers(1, 2 ** len(operators)))
        return tuple(operator for bit, operator in enumerate(operators) if code >> bit & 1)

    def _draw_inputs(self, rng: np.random.Generator, k: int, name: str, counts: Counts) -> tuple[int, ...]:
        most = self._cap(k, name)
        count = 1 + int(rng.integers(most) if counts == "uniform" else rng.binomial(most - 1, 0.5))
        return tuple(sorted(int(i) for i in rng.choice(k + 1, size=count, replace=False)))

    def _draw_bits(self, rng: np.random.Generator, operators: Sequence[str]) -> tuple[int, ...]:
        return tuple(_pick(rng, self.operator_bits) for _ in operators) if self.operator_bits else ()

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """A neighbour: one of the paper's six mutations (section 4.4), in one random block.

        With equal probability: re-sample the dense width; the sparse width; the dense operators; the sparse
        operators; one kind of connection; one of the mergers. Re-sampled operators draw new precisions where the
        space has any. The result is in the space and differs from the parent wherever the space leaves a choice.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        if (reason := self.why_not(genotype)) is not None:
            raise SpaceError(f"only members can be mutated: {reason}")
        places = [(move, k) for move in range(len(MUTATIONS)) for k in range(self.num_blocks)]
        # A uniform move, then a uniform block; the rest of the order serves spaces in which those have no choice.
        moves = rng.permutation(len(MUTATIONS))
        blocks = rng.permutation(self.num_blocks)
        rank_move = {int(m): r for r, m in enumerate(moves)}
        rank_block = {int(b): r for r, b in enumerate(blocks)}
        for move, k in sorted(places, key=lambda place: (rank_move[place[0]], rank_block[place[1]])):
            old = genotype.blocks[k]
            options = MUTATIONS[move](self, old, k, rng)
            if options:
                new = options[int(rng.integers(len(options)))]
                return replace(genotype, blocks=(*genotype.blocks[:k], new, *genotype.blocks[k + 1 :]))
        return genotype

    def _other_widths(self, side: str, block: Block) -> list[Block]:
        widths = self.dense_widths if side == "dense" else self.sparse_widths
        name = f"{side}_width"
        return [replace(block, **{name: width}) for width in widths if width != getattr(block, name)]

    def _other_operators(self, side: str, block: Block, rng: np.random.Generator) -> list[Block]:
        """Every other set of one branch's operators, each with newly drawn precisions."""
        mine = self.dense_operators if side == "dense" else self.sparse_operators
        bits = dict(zip(block.operators, block.operator_bits, strict=False))
        rest = tuple(operator for operator in block.operators if operator not in mine)
        sizes = range(1, (1 if self.operators_per_branch == "single" else len(mine)) + 1)
        found = []
        for chosen in (c for size in sizes for c in itertools.combinations(mine, size)):
            drawn = bits | dict(zip(chosen, self._draw_bits(rng, chosen), strict=False))
            operators = tuple(o for o in DENSE_OPERATORS + SPARSE_OPERATORS if o in chosen + rest)
            precisions = tuple(drawn[o] for o in operators) if self.operator_bits else ()
            new = replace(block, operators=operators, operator_bits=precisions)
            if new != block:
                found.append(new)
        return found

    def _other_connection(self, block: Block, k: int, rng: np.random.Generator) -> list[Block]:
        names = [name for name in INPUTS if self._subset_count(k, name) > 1]
        if not names:
            return []
        name = _pick(rng, names)
        inputs = getattr(block, name)
        while inputs == getattr(block, name):  # there are others, each drawn with positive probability
            inputs = self._draw_inputs(rng, k, name, "uniform")
        return [replace(block, **{name: inputs})]

    def _other_mergers(self, block: Block) -> list[Block]:
        return [
            replace(block, **{name: not getattr(block, name)})
            for name in ("dense_to_sparse", "fm")
            if len(getattr(self, name)) > 1
        ]

    # Membership and encoding ------------------------------------------------------------------------------------

    def __contains__(self, genotype: object) -> bool:
        return isinstance(genotype, Genotype) and self.why_not(genotype) is None

    def why_not(self, genotype: Genotype) -> str | None:
        """Why a genotype is not in the space; None if it is."""
        if len(genotype.blocks) != self.num_blocks:
            return f"it has {len(genotype.blocks)} blocks, the space {self.num_blocks}"
        if genotype.layer_norm not in self.layer_norm:
            return f"layer_norm = {genotype.layer_norm} is not allowed"
        for k, block in enumerate(genotype.blocks):
            if (reason := self._why_not_block(k, block)) is not None:
                return f"block {k}: {reason}"
        return None

    def _why_not_block(self, k: int, block: Block) -> str | None:
        allowed = self.dense_operators + self.sparse_operators
        for operator in block.operators:
            if operator not in allowed:
                return f"operator {operator} is not one of {', '.join(allowed)}"
        if self.operators_per_branch == "single" and len(block.operators) != 2:
            return f"{len(block.operators)} operators are active; one a branch is allowed"
        for name, choices in (("dense_width", self.dense_widths), ("sparse_width", self.sparse_widths)):
            if getattr(block, name) not in choices:
                return f"{name} = {getattr(block, name)} is not one of {', '.join(map(str, choices))}"
        for name in ("dense_to_sparse", "fm"):
            if getattr(block, name) not in getattr(self, name):
                return f"{name} = {getattr(block, name)} is not allowed"
        for name in INPUTS:
            if len(getattr(block, name)) > self._cap(k, name):
                return f"{name} names {len(getattr(block, name))} inputs, at most {self._cap(k, name)} are allowed"
        if bool(block.operator_bits) != bool(self.operator_bits):
            return "operator_bits must be given" if self.operator_bits else "operator_bits must be empty"
        for bits in block.operator_bits:
            if bits not in self.operator_bits:
                return f"{bits} bits is not one of {', '.join(map(str, self.operator_bits))}"
        return None

    @property
    def encoding_length(self) -> int:
        """Entries of an encoded genotype."""
        return 1 + self.num_blocks * self._block_length

    @property
    def _block_length(self) -> int:
        operators = len(self.dense_operators) + len(self.sparse_operators)
        return operators + 4 + len(INPUTS) * self.num_blocks

    def encode(self, genotype: Genotype) -> npt.NDArray[np.int64]:
        """A genotype as a vector of fixed length: layer norm, then for each block one entry an operator (0 off, i
        on with the i-th precision), the two widths as indices, the two mergers, and 0/1 for every input.

        Raises:
            SpaceError: the genotype is not in the space.
        """
        if (reason := self.why_not(genotype)) is not None:
            raise SpaceError(f"only members can be encoded: {reason}")
        out = [int(genotype.layer_norm)]
        for block in genotype.blocks:
            bits = dict(zip(block.operators, block.operator_bits, strict=False))
            for operator in self.dense_operators + self.sparse_operators:
                precision = self.operator_bits.index(bits[operator]) if operator in bits else 0
                out.append(1 + precision if operator in block.operators else 0)
            out += [self.dense_widths.index(block.dense_width), self.sparse_widths.index(block.sparse_width)]
            out += [int(block.dense_to_sparse), int(block.fm)]
            out += [int(i in getattr(block, name)) for name in INPUTS for i in range(self.num_blocks)]
        return np.array(out, dtype=np.int64)

    def decode(self, vector: npt.ArrayLike) -> Genotype:
        """The reverse of `encode`.

        Raises:
            SpaceError: the vector encodes no member of the space.
        """
        values = np.asarray(vector)
        if values.shape != (self.encoding_length,) or not np.array_equal(values, values.astype(np.int64)):
            raise SpaceError(f"an encoding is {self.encoding_length} integers, not {values.shape} of {values.dtype}")
        numbers = [int(v) for v in values]
        blocks = [
            self._decode_block(k, numbers[1 + k * self._block_length :][: self._block_length])
            for k in range(self.num_blocks)
        ]
        try:
            genotype = Genotype(tuple(blocks), bool(numbers[0]))
        except GenotypeError as error:
            raise SpaceError(f"the encoding is no genotype: {error}") from None
        if numbers[0] not in (0, 1) or (reason := self.why_not(genotype)) is not None:
            raise SpaceError(
                f"the encoding is no member of the space: {reason if numbers[0] in (0, 1) else 'layer norm'}"
            )
        return genotype

    def _decode_block(self, k: int, numbers: list[int]) -> Block:
        names = self.dense_operators + self.sparse_operators
        operators, (dense, sparse, d2s, fm), inputs = (
            numbers[: len(names)],
            numbers[len(names) : len(names) + 4],
            numbers[len(names) + 4 :],
        )
        limits = [1 + max(0, len(self.operator_bits) - 1)] * len(names)
        limits += [len(self.dense_widths) - 1, len(self.sparse_widths) - 1] + [1] * (2 + len(inputs))
        if any(not 0 <= number <= limit for number, limit in zip(numbers, limits, strict=True)):
            raise SpaceError(f"block {k}: an entry of the encoding is out of range")
        sides = {
            name: tuple(i for i in range(self.num_blocks) if inputs[side * self.num_blocks + i])
            for side, name in enumerate(INPUTS)
        }
        active = tuple(name for name, code in zip(names, operators, strict=True) if code)
        bits = tuple(self.operator_bits[code - 1] for code in operators if code) if self.operator_bits else ()
        try:
            return Block(
                active, self.dense_widths[dense], self.sparse_widths[sparse], **sides,
                dense_to_sparse=bool(d2s), fm=bool(fm), operator_bits=bits,
            )  # fmt: skip
        except GenotypeError as error:
            raise SpaceError(f"block {k}: the encoding is no block: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON or TOML; None is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in plain.items() if value is not None
        }

    @classmethod
    def from_dict(cls, values: Any) -> SearchSpace:
        """The reverse of `to_dict`; what is left out takes its default.

        Raises:
            SpaceError: unknown keys or malformed values.
        """
        if not isinstance(values, dict):
            raise SpaceError(f"a search space must be an object, not {type(values).__name__}")
        known = {f.name for f in fields(cls)}
        if unknown := set(values) - known:
            raise SpaceError(f"unknown key {sorted(map(str, unknown))[0]!r:.60}; known are {', '.join(sorted(known))}")
        return cls(**values)


Mutation = Callable[[SearchSpace, Block, int, np.random.Generator], list[Block]]

MUTATIONS: tuple[Mutation, ...] = (
    lambda space, block, k, rng: space._other_widths("dense", block),
    lambda space, block, k, rng: space._other_widths("sparse", block),
    lambda space, block, k, rng: space._other_operators("dense", block, rng),
    lambda space, block, k, rng: space._other_operators("sparse", block, rng),
    lambda space, block, k, rng: space._other_connection(block, k, rng),
    lambda space, block, k, rng: space._other_mergers(block),
)
"""The paper's six mutations: each lists blocks that could take the place of the given one."""


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _choices(name: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise SpaceError(f"{name} must be a list, not {values!r:.60}")
    try:
        distinct = len(set(values)) == len(values)
    except TypeError:
        distinct = False
    if not distinct:
        raise SpaceError(f"{name} = {values!r:.60} must hold distinct plain values")
    return tuple(values)


def _integers(name: str, values: Any, least: int, most: int) -> tuple[int, ...]:
    numbers = tuple(sorted(_integer(name, value, least, most) for value in _choices(name, values)))
    if not numbers:
        raise SpaceError(f"{name} is empty; give at least one")
    return numbers


def _integer(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        raise SpaceError(f"{name} must be an integer from {least} to {most}, not {value!r:.40}")
    return number
