"""What a model is told about the data: how many columns, how large the tables, how wide an embedding."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path, format_value, integer, integers
from nasrec.errors import FeatureError
from nasrec.io.json import read_json

__all__ = ["FeatureSpec"]

MAX_COLUMNS = 1 << 16
MAX_ROWS = (1 << 31) - 1
MAX_EMBEDDING_DIM = 1 << 12
"""Bounds far above any click log, so that a mistyped number is named instead of exhausting the memory."""


@dataclass(frozen=True)
class FeatureSpec:
    """The columns of a data set as a model sees them.

    Attributes:
        num_dense: number of numeric columns, 0 or more (the paper's Avazu has none, Table 3).
        cardinalities: rows of each categorical column's embedding table, out-of-vocabulary rows included. Any
            sequence of integers is accepted and kept as a tuple. At least one column.
        embedding_dim: E, channels of every embedding; 16 in the paper.

    Raises:
        FeatureError: a value is not an integer or out of range; the message names the field.
    """

    num_dense: int
    cardinalities: tuple[int, ...]
    embedding_dim: int = 16

    if TYPE_CHECKING:
        # The dataclass's own signature would promise tuples only.
        def __init__(self, num_dense: int, cardinalities: Sequence[int], embedding_dim: int = 16) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_dense", _bounded("num_dense", self.num_dense, 0, MAX_COLUMNS))
        rows = integers(self.cardinalities)
        if rows is None:
            raise FeatureError(
                f"cardinalities must be a sequence of integers, one per categorical column, "
                f"not {format_value(self.cardinalities)}"
            )
        if not 1 <= len(rows) <= MAX_COLUMNS:
            raise FeatureError(f"cardinalities must name 1 to {MAX_COLUMNS} categorical columns, not {len(rows)}")
        for j, count in enumerate(rows):
            _bounded(f"cardinalities[{j}]", count, 1, MAX_ROWS)
        object.__setattr__(self, "cardinalities", rows)
        width = _bounded("embedding_dim", self.embedding_dim, 1, MAX_EMBEDDING_DIM)
        object.__setattr__(self, "embedding_dim", width)

    @property
    def num_sparse(self) -> int:
        """Number of categorical columns."""
        return len(self.cardinalities)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "num_dense": self.num_dense,
            "cardinalities": list(self.cardinalities),
            "embedding_dim": self.embedding_dim,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """The way back from `to_dict`; `embedding_dim` may be absent.

        Raises:
            FeatureError: a key is unknown or missing, a value has a wrong type or is out of range.
        """
        if not isinstance(values, Mapping):
            raise FeatureError(f"a feature specification must be an object, not {format_value(values)}")
        known = ("num_dense", "cardinalities", "embedding_dim")
        for key in values:
            if key not in known:
                raise FeatureError(f"a feature specification has no {format_value(key)}; allowed: {', '.join(known)}")
        for key in known[:2]:
            if key not in values:
                raise FeatureError(f"a feature specification lacks {key!r}")
        return cls(**values)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureSpec:
        """Reads a JSON file of the form that `to_dict` gives.

        Raises:
            FeatureError: the file cannot be read or is malformed; one line that names the file and the field.
        """
        values = read_json(path, FeatureError)
        try:
            return cls.from_dict(values)
        except FeatureError as failure:
            raise FeatureError(f"{format_path(os.fspath(path))}: {failure}") from None


def _bounded(name: str, value: Any, low: int, high: int) -> int:
    number = integer(value)
    if number is None or not low <= number <= high:
        raise FeatureError(f"{name} must be an integer from {low} to {high}, not {format_value(value)}")
    return number
