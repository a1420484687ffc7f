"""What a model must know of the data: its dense columns, and the tables of its categorical ones."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

from nasrec.errors import FeatureError

__all__ = ["FeatureSpec"]

MAX_COLUMNS = 65536
MAX_ROWS = 2**31 - 1
MAX_EMBEDDING_DIM = 4096


@dataclass(frozen=True, init=False)
class FeatureSpec:
    """Columns of a data set.

    Attributes:
        num_dense: real-valued columns, 0 or more.
        cardinalities: rows of each categorical column's embedding table, ids for unknown values included.
        embedding_dim: channels of every embedding.

    Raises:
        FeatureError: a value is not an integer in its range.
    """

    num_dense: int
    cardinalities: tuple[int, ...]
    embedding_dim: int

    def __init__(self, num_dense: int, cardinalities: Sequence[int], embedding_dim: int = 16) -> None:
        if isinstance(cardinalities, (str, bytes)) or not hasattr(cardinalities, "__len__"):
            raise FeatureError(f"cardinalities must be a list of integers, not {cardinalities!r:.60}")
        rows = tuple(
            _integer(f"cardinalities[{j}]", count, 1, MAX_ROWS) for j, count in enumerate(cardinalities)
        )
        if not 1 <= len(rows) <= MAX_COLUMNS:
            raise FeatureError(f"cardinalities names {len(rows)} categorical columns; 1 to {MAX_COLUMNS} are needed")
        object.__setattr__(self, "num_dense", _integer("num_dense", num_dense, 0, MAX_COLUMNS))
        object.__setattr__(self, "cardinalities", rows)
        object.__setattr__(self, "embedding_dim", _integer("embedding_dim", embedding_dim, 1, MAX_EMBEDDING_DIM))

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
    def from_dict(cls, values: Any) -> FeatureSpec:
        """The reverse of `to_dict`; `embedding_dim` may be left out (16)."""
        if not isinstance(values, dict):
            raise FeatureError(f"a feature specification must be an object, not {type(values).__name__}")
        known = {"num_dense", "cardinalities", "embedding_dim"}
        if unknown := set(values) - known:
            raise FeatureError(f"unknown key {sorted(map(str, unknown))[0]!r}; known are {', '.join(sorted(known))}")
        for key in ("num_dense", "cardinalities"):
            if key not in values:
                raise FeatureError(f"key {key!r} is missing")
        return cls(values["num_dense"], values["cardinalities"], values.get("embedding_dim", 16))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureSpec:
        """Reads a JSON file as `to_dict` gives it."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FeatureError(f"{path}: cannot be read as JSON ({error})") from None
        try:
            return cls.from_dict(values)
        except FeatureError as error:
            raise FeatureError(f"{path}: {error}") from None


def _integer(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = -1 if isinstance(value, bool) else index(value)
    except TypeError:
        number = -1
    if not least <= number <= most:
        raise FeatureError(f"{name} must be an integer from {least} to {most}, not {value!r:.60}")
    return number
