"""From raw columns to model inputs. What is learnt from data (vocabularies) is learnt from training rows only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec.data.dataset import ClickLog, Schema
from nasrec.errors import DataError

__all__ = ["Encoder", "RawLog", "squash"]


@dataclass(frozen=True, eq=False)
class RawLog:
    """Parsed rows before encoding.

    `dense` float64 [N, num_dense], NaN = missing. Column j of the categories is `values[j][codes[j]]`, a code of -1
    is missing; `values[j]` holds distinct texts.
    """

    label: NDArray[np.float32]
    dense: NDArray[np.float64]
    codes: tuple[NDArray[np.int32], ...]
    values: tuple[list[str], ...]
    dense_names: tuple[str, ...]
    sparse_names: tuple[str, ...]
    source: str


def squash(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """x -> sign(x) * ln(1 + |x|), missing (NaN) -> 0.

    The usual ln(1 + x) for counts, odd about zero, so that Criteo's few negative values keep their order.
    """
    squashed: NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values))
    return np.nan_to_num(squashed, nan=0.0).astype(np.float32)


@dataclass(frozen=True)
class Encoder:
    """Raw values to ids. `vocabularies[j]` maps text to id 1, 2, ... of column j by falling training frequency
    (ties in text order); every other text, and a missing one, is id 0."""

    dense_names: tuple[str, ...]
    sparse_names: tuple[str, ...]
    vocabularies: tuple[dict[str, int], ...]

    @classmethod
    def fit(cls, raw: RawLog, rows: NDArray[np.int64] | slice, min_count: int) -> Encoder:
        """Learn the vocabularies from the training `rows`; values seen fewer than `min_count` times there are cut."""
        if min_count < 1:
            raise DataError(f"min_count must be at least 1, got {min_count}")
        vocabularies = tuple(
            _vocabulary(codes[rows], values, min_count) for codes, values in zip(raw.codes, raw.values, strict=True)
        )
        return cls(raw.dense_names, raw.sparse_names, vocabularies)

    @property
    def schema(self) -> Schema:
        return Schema(self.dense_names, self.sparse_names, tuple(1 + len(words) for words in self.vocabularies))

    def transform(self, raw: RawLog) -> ClickLog:
        """Encode all rows; raises `DataError` when the columns are not those the encoder was fitted on."""
        if (raw.dense_names, raw.sparse_names) != (self.dense_names, self.sparse_names):
            raise DataError(f"{raw.source}: columns differ from those that the vocabularies were built on")
        sparse = np.zeros((len(raw.label), len(raw.codes)), dtype=np.int32)
        for column, (codes, values, words) in enumerate(zip(raw.codes, raw.values, self.vocabularies, strict=True)):
            # The extra last entry serves code -1, a missing value.
            ids = np.array([words.get(value, 0) for value in values] + [0], dtype=np.int32)
            sparse[:, column] = ids[codes]
        return ClickLog(self.schema, squash(raw.dense), sparse, raw.label, raw.source)


def _vocabulary(codes: NDArray[np.int32], values: list[str], min_count: int) -> dict[str, int]:
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    kept = np.flatnonzero(counts >= min_count)
    ranked = sorted(kept.tolist(), key=lambda code: (-counts[code], values[code]))
    return {values[code]: rank for rank, code in enumerate(ranked, start=1)}
