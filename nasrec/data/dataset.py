"""Prepared click logs in memory: dense values, category ids and labels of N impressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasrec.data.splits import split_rows
from nasrec.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from nasrec.data.encode import Encoder
    from nasrec.features import FeatureSpec

__all__ = ["Batch", "BatchSource", "ClickLog", "Schema", "Splits"]

Batch: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""(dense float32 [B, num_dense], sparse int64 [B, num_sparse], label float32 [B])."""


@dataclass(frozen=True)
class Schema:
    """Columns of a log: names, and the number of ids of each categorical column (id 0 = unknown or missing)."""

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
        """What a model for these columns is compiled for; `embedding_dim` channels for each table."""
        from nasrec.features import FeatureSpec

        return FeatureSpec(self.num_dense, self.cardinalities, embedding_dim)


class BatchSource(Protocol):
    """What training and evaluation read. `ClickLog` is the one in memory; a reader of shards on disk fits too."""

    @property
    def schema(self) -> Schema: ...

    @property
    def num_rows(self) -> int: ...

    def batches(self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True, eq=False)
class ClickLog:
    """N impressions: `dense` float32 [N, num_dense], `sparse` int32 [N, num_sparse], `label` float32 [N] of 0 and 1.

    `num_dense` may be 0. `source` says in words where the rows come from. `true_logits` float32 [N] is there only
    for synthetic rows: the logit of the click probability that each label was drawn with.
    Raises `DataError` on shapes that disagree, an id outside its column's range, or a value that is not finite.
    """

    schema: Schema
    dense: NDArray[np.float32]
    sparse: NDArray[np.int32]
    label: NDArray[np.float32]
    source: str
    true_logits: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def num_rows(self) -> int:
        return len(self.label)

    @property
    def click_rate(self) -> float:
        """Share of rows with a click."""
        return float(self.label.mean(dtype=np.float64))

    def features(self, embedding_dim: int = 16) -> FeatureSpec:
        """What a model for these columns is compiled for; `embedding_dim` channels for each table."""
        return self.schema.features(embedding_dim)

    def take(self, rows: NDArray[np.int64] | Sequence[int] | slice) -> ClickLog:
        """The given rows as a log of their own, in the given order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        logits = None if self.true_logits is None else self.true_logits[index]
        return ClickLog(self.schema, self.dense[index], self.sparse[index], self.label[index], self.source, logits)

    def split(self, *, by: str = "random", fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 2018) -> Splits:
        """Cut into train, valid and test.

        `by="random"` draws within each class, so that all parts keep the click rate; `by="time"` cuts in row order.
        The ids are not learnt anew: for raw files use `load_logs`, which builds vocabularies from training rows only.
        """
        train, valid, test = split_rows(self.label, by=by, fractions=fractions, seed=seed, source=self.source)
        return Splits(self.take(train), self.take(valid), self.take(test))

    def batches(self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[Batch]:
        """Torch batches of `batch_size` rows (the last one may be smaller): dense [B, num_dense] float32,
        sparse [B, num_sparse] int64, label [B] float32.

        With `shuffle`, the order is a function of `seed` and `epoch` alone.
        """
        import torch

        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        dense, sparse = torch.from_numpy(self.dense), torch.from_numpy(self.sparse)
        label = torch.from_numpy(self.label)
        starts = range(0, self.num_rows, batch_size)
        if not shuffle:
            for start in starts:
                rows = slice(start, start + batch_size)
                yield dense[rows], sparse[rows].long(), label[rows]
            return
        order = torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(self.num_rows))
        for start in starts:
            picked = order[start : start + batch_size]
            yield (
                dense.index_select(0, picked),
                sparse.index_select(0, picked).long(),
                label.index_select(0, picked),
            )


@dataclass(frozen=True, eq=False)
class Splits:
    """Train, valid and test logs with one schema; unpacks into the three.

    `encoder` maps raw values to ids and dense inputs as the training rows taught it (None for synthetic rows).
    """

    train: ClickLog
    valid: ClickLog
    test: ClickLog
    encoder: Encoder | None = None

    @property
    def schema(self) -> Schema:
        return self.train.schema

    def __iter__(self) -> Iterator[ClickLog]:
        return iter((self.train, self.valid, self.test))


def _check_shapes(log: ClickLog) -> None:
    rows, schema = len(log.label), log.schema
    wanted = {
        "dense": (log.dense, (rows, schema.num_dense), np.float32),
        "sparse": (log.sparse, (rows, schema.num_sparse), np.int32),
        "label": (log.label, (rows,), np.float32),
    }
    if log.true_logits is not None:
        wanted["true_logits"] = (log.true_logits, (rows,), np.float32)
    for name, (array, shape, dtype) in wanted.items():
        if array.shape != shape or array.dtype != dtype:
            raise DataError(
                f"{log.source}: {name} is {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} {list(shape)}"
            )
    if rows == 0:
        raise DataError(f"{log.source}: no rows; a log needs at least one")


def _check_values(log: ClickLog) -> None:
    if not np.isin(log.label, (0.0, 1.0)).all():
        raise DataError(f"{log.source}: labels must be 0 or 1")
    finite = np.isfinite(log.dense)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise DataError(
            f"{log.source}: dense column {log.schema.dense_names[column]!r}, row {row} is not finite; "
            "replace missing values (the loaders use 0)"
        )
    if log.schema.num_sparse == 0:
        return
    low, high = log.sparse.min(axis=0), log.sparse.max(axis=0)
    for name, rows, least, most in zip(log.schema.sparse_names, log.schema.cardinalities, low, high, strict=True):
        if least < 0 or most >= rows:
            raise DataError(
                f"{log.source}: column {name!r} has ids {least} to {most}, its cardinality {rows} allows 0 to "
                f"{rows - 1}; map rare or new values to 0"
            )
