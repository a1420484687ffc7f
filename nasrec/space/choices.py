"""What a search space leaves open, field by field, and what follows from these fields alone.

`SearchSpace` adds what can be asked of a space; the modules that answer it (membership, counting, sampling, mutation,
encoding) need no more of a space than this.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

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
    Precision,
    smallest_space,
)

__all__ = ["DENSE_WIDTHS", "SPARSE_WIDTHS", "Choices", "Counts", "PerBranch"]

DENSE_WIDTHS = (16, 32, 64, 128, 256, 512, 768, 1024)
SPARSE_WIDTHS = (16, 32, 48, 64)
"""Widths of the published spaces (section 3.3)."""

Counts = Literal["uniform", "binomial"]
PerBranch = Literal["any", "single"]

_FLAGS = ("dense_to_sparse", "fm", "layer_norm")
_CAPS = ("max_inputs", "max_gate_inputs")


@dataclass(frozen=True)
class Choices:
    """The fields of a search space, checked and put in order; `SearchSpace` explains each of them.

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
