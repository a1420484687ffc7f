"""Prepared click logs: the interface of all of them, and the one in memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from nasrec.data.reader import Reader, Rows, batches
from nasrec.data.schema import Schema
from nasrec.data.splits import split_rows
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from nasrec.data.vocabulary import Vocabulary
    from nasrec.features import FeatureSpec

__all__ = ["Batch", "BatchSource", "ClickLog", "Log", "Splits"]

Batch: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""(dense float32 [B, num_dense], sparse int64 [B, num_sparse], label float32 [B])."""


class BatchSource(Protocol):
    """The interface that training and evaluation read; every `Log` has it."""

    @property
    def schema(self) -> Schema: ...

    @property
    def num_rows(self) -> int: ...

    def batches(self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[Batch]: ...


class Log(ABC):
    """Impressions with prepared columns, in memory or on disk. `source` says where they come from, for messages."""

    schema: Schema
    source: str

    @property
    @abstractmethod
    def num_rows(self) -> int: ...

    @property
    @abstractmethod
    def clicks(self) -> int: ...

    @property
    @abstractmethod
    def weighted(self) -> bool:
        """Whether rows have weights."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """A checksum: equal for equal rows in the same form."""

    @abstractmethod
    def fetch(self, rows: NDArray[np.int64] | slice) -> Rows:
        """The given rows, in the given order."""

    def __len__(self) -> int:
        return self.num_rows

    @property
    def click_rate(self) -> float:
        """Share of rows with a click."""
        return self.clicks / self.num_rows

    def features(self, embedding_dim: int = 16) -> FeatureSpec:
        """The features that a model for these columns is compiled for, with `embedding_dim` channels for each table."""
        return self.schema.features(embedding_dim)

    def to_frame(self) -> pd.DataFrame:
        """All rows in memory as a pandas DataFrame: columns by their names, ids as they are, and `label`."""
        import pandas as pd

        rows = self.fetch(slice(None))
        columns: dict[str, Any] = {"label": np.asarray(rows.label, np.int8)}
        columns |= {name: rows.dense[:, j] for j, name in enumerate(self.schema.dense_names)}
        columns |= {name: rows.sparse[:, j] for j, name in enumerate(self.schema.sparse_names)}
        return pd.DataFrame(columns)

    def take(self, rows: NDArray[np.int64] | Sequence[int] | slice) -> ClickLog:
        """The given rows in memory, in the given order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        found = self.fetch(index)
        return ClickLog(
            self.schema, found.dense, found.sparse, found.label.astype(np.float32), self.source, weight=found.weight
        )

    def batches(self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[Batch]:
        """Torch batches of `batch_size` rows (the last one may be smaller): dense [B, num_dense] float32,
        sparse [B, num_sparse] int64, label [B] float32.

        With `shuffle` the order is exact and a function of `seed` and `epoch` alone, the same in memory and on disk;
        `reader` has more choices. Raises `DataError` where rows carry weights, which this form has no place for.
        """
        if self.weighted:
            raise DataError(f"{self.source}: rows carry weights; read them with reader(), which gives the weights too")
        order = "exact" if shuffle else "none"
        return cast("Iterator[Batch]", batches(self, batch_size, shuffle=order, seed=seed, epoch=epoch))

    def reader(
        self, batch_size: int, *, shuffle: str = "exact", seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> Reader:
        """Batches for a training run, divisible among processes and resumable; see `Reader`."""
        return Reader(self, batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)


@dataclass(frozen=True, eq=False)
class ClickLog(Log):
    """N impressions in memory: `dense` float32 [N, num_dense], `sparse` int32 [N, num_sparse], `label` float32 [N] of
    0 and 1, `weight` float32 [N] or None.

    `num_dense` may be 0. `true_logits` float32 [N] is there only for synthetic rows: the logit of the click
    probability that each label was drawn with.
    Raises `DataError` on shapes that disagree, an id outside its column's range, or a value that is not finite.
    """

    schema: Schema
    dense: NDArray[np.float32]
    sparse: NDArray[np.int32]
    label: NDArray[np.float32]
    source: str
    true_logits: NDArray[np.float32] | None = None
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    @property
    def num_rows(self) -> int:
        return len(self.label)

    @property
    def clicks(self) -> int:
        return int(self.label.sum(dtype=np.float64))

    @property
    def weighted(self) -> bool:
        return self.weight is not None

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for array in (self.dense, self.sparse, self.label, *(() if self.weight is None else (self.weight,))):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def fetch(self, rows: NDArray[np.int64] | slice) -> Rows:
        weight = None if self.weight is None else self.weight[rows]
        if isinstance(rows, slice):
            return Rows(self.dense[rows], self.sparse[rows], self.label[rows], weight)
        return Rows(self.dense.take(rows, axis=0), self.sparse.take(rows, axis=0), self.label.take(rows), weight)

    def take(self, rows: NDArray[np.int64] | Sequence[int] | slice) -> ClickLog:
        """The given rows as a log of their own, in the given order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        found = self.fetch(index)
        logits = None if self.true_logits is None else self.true_logits[index]
        return ClickLog(self.schema, found.dense, found.sparse, found.label, self.source, logits, found.weight)

    def split(
        self, *, by: str = "random", fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 2018
    ) -> Splits[ClickLog]:
        """Splits into train, valid and test.

        `by="random"` draws within each class, so that all parts keep the click rate; `by="time"` cuts in row order.
        The ids are not learnt anew: for raw files use `load_logs`, which builds vocabularies from training rows only.
        """
        train, valid, test = split_rows(self.label, by=by, fractions=fractions, seed=seed, source=self.source)
        return Splits(self.take(train), self.take(valid), self.take(test))


AnyLog = TypeVar("AnyLog", bound=Log, covariant=True)


@dataclass(frozen=True, eq=False)
class Splits(Generic[AnyLog]):
    """Train, valid and test logs with one schema; unpacks into the three.

    `vocabularies` map raw texts to the ids of each categorical column (none for synthetic rows).
    """

    train: AnyLog
    valid: AnyLog
    test: AnyLog
    vocabularies: tuple[Vocabulary, ...] = ()

    @property
    def schema(self) -> Schema:
        return self.train.schema

    def __iter__(self) -> Iterator[AnyLog]:
        return iter((self.train, self.valid, self.test))


def _check_shapes(log: ClickLog) -> None:
    rows, schema = len(log.label), log.schema
    wanted: dict[str, tuple[NDArray[Any], tuple[int, ...], type]] = {
        "dense": (log.dense, (rows, schema.num_dense), np.float32),
        "sparse": (log.sparse, (rows, schema.num_sparse), np.int32),
        "label": (log.label, (rows,), np.float32),
    }
    for name, optional in (("true_logits", log.true_logits), ("weight", log.weight)):
        if optional is not None:
            wanted[name] = (optional, (rows,), np.float32)
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
    if log.weight is not None and not (np.isfinite(log.weight) & (log.weight > 0)).all():
        raise DataError(f"{log.source}: weights must be positive and finite")
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
                f"{rows - 1}; map rare or new values to an id of their own"
            )
