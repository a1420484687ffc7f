"""Columns of a click log."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.errors import DataError
from nasrec.features import FeatureSpec

__all__ = ["Schema"]


@dataclass(frozen=True)
class Schema:
    """Columns of a log: names, and the number of ids of each categorical column.

    Id 0 is a missing value. Where ids come from a vocabulary, 1 is a text that it lacks and the most frequent text is
    2; in a synthetic log all ids from 1 on are values.
    """

    dense_names: tuple[str, ...]
    sparse_names: tuple[str, ...]
    cardinalities: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.sparse_names) != len(self.cardinalities):
            raise DataError(
                f"schema: {len(self.sparse_names)} categorical names but {len(self.cardinalities)} "
                "cardinalities; give one cardinality for each name"
            )
        if any(rows < 1 for rows in self.cardinalities):
            raise DataError(f"schema: cardinalities must be at least 1, got {self.cardinalities}")

    @property
    def num_dense(self) -> int:
        return len(self.dense_names)

    @property
    def num_sparse(self) -> int:
        return len(self.sparse_names)

    def features(self, embedding_dim: int = 16) -> FeatureSpec:
        """The features that a model for these columns is compiled for, with `embedding_dim` channels for each table."""
        return FeatureSpec(self.num_dense, self.cardinalities, embedding_dim)
