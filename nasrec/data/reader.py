"""Batches of a log for a training run: shuffled, divided among processes, and resumable at any batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasrec.checks import format_value, integer
from nasrec.data.order import order_of
from nasrec.data.schema import Schema
from nasrec.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Reader", "RowSource", "Rows", "WeightedBatch", "batches"]

WeightedBatch: TypeAlias = "tuple[Tensor, Tensor, Tensor, Tensor]"
"""A batch and the rows' weights, float32 [B]."""

_POOL_ROWS = 1 << 16
"""Rows fetched at a time: enough that the cost of opening files and calling NumPy does not count."""


class RowSource(Protocol):
    """What a reader reads: a log, in memory or on disk."""

    @property
    def schema(self) -> Schema: ...

    @property
    def num_rows(self) -> int: ...

    @property
    def source(self) -> str: ...

    @property
    def sha256(self) -> str:
        """Equal for equal rows."""

    @property
    def weighted(self) -> bool: ...

    def fetch(self, rows: NDArray[np.int64] | slice) -> Rows: ...


@dataclass(frozen=True, eq=False)
class Rows:
    """K rows: dense float32 [K, n], sparse int32 [K, m], label uint8 or float32 [K], weight float32 [K] or None."""

    dense: NDArray[np.float32]
    sparse: NDArray[np.int32]
    label: NDArray[Any]
    weight: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Plan:
    """How `rows` rows fall into global batches of `batch_size` rows for each of `world_size` ranks.

    All global batches are full but the last, whose rows are dealt out evenly: every rank has the same number of
    batches, but the last one of some is empty where these rows are fewer than ranks.
    """

    rows: int
    batch_size: int
    world_size: int

    @property
    def count(self) -> int:
        """Batches of each rank."""
        return -(-self.rows // (self.batch_size * self.world_size))

    def span(self, batch: int, rank: int) -> tuple[int, int]:
        """Places [start, end) of a rank's share of a global batch."""
        start = batch * self.batch_size * self.world_size
        if batch < self.count - 1:
            start += rank * self.batch_size
            return start, start + self.batch_size
        share, more = divmod(self.rows - start, self.world_size)
        start += rank * share + min(rank, more)
        return start, start + share + (rank < more)


def batches(
    log: RowSource,
    batch_size: int,
    *,
    shuffle: str,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, ...]]:
    """The batches of one rank in one epoch, from number `start` on: dense float32 [B, n], sparse int64 [B, m], label
    float32 [B], and weight float32 [B] where rows have weights."""
    import torch

    plan = _plan(log, batch_size, rank, world_size)
    order = order_of(shuffle, log.num_rows, seed, epoch)
    together = max(1, _POOL_ROWS // batch_size)
    for first in range(start, plan.count, together):
        spans = [plan.span(batch, rank) for batch in range(first, min(first + together, plan.count))]
        if world_size == 1 and shuffle == "none":
            pool = log.fetch(slice(spans[0][0], spans[-1][1]))
        else:
            pool = log.fetch(order(np.concatenate([np.arange(*span) for span in spans])))
        dense, sparse = torch.from_numpy(pool.dense), torch.from_numpy(pool.sparse.astype(np.int64))
        columns = [dense, sparse, torch.from_numpy(pool.label.astype(np.float32))]
        if pool.weight is not None:
            columns.append(torch.from_numpy(pool.weight))
        sizes = [end - begin for begin, end in spans]
        yield from zip(*(column.split(sizes) for column in columns), strict=True)


class Reader:
    """Batches of a log, epoch after epoch, or one process's share of them.

        reader = data.train.reader(512, seed=0)
        for dense, sparse, label in reader.epoch():    # what is left of the current epoch
            ...
            saved = reader.state_dict()                # after this batch
        reader.load_state_dict(saved)                  # goes on with the next one

    All ranks see the same order, which is a function of `seed` and epoch: global batch i is rows
    [i W B, (i + 1) W B) of it, and rank r takes the r-th B of these. So W ranks with batches of B read what one rank
    reads with batches of W B. Every row comes once an epoch, and ranks have equally many batches; where fewer than W
    rows are left for the last ones, those of some ranks are empty.

    Args:
        shuffle: "exact", "block" or "none", see `nasrec.data.order`.
    """

    def __init__(
        self,
        log: RowSource,
        batch_size: int,
        *,
        shuffle: str = "exact",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.log, self.batch_size, self.shuffle, self.seed = log, batch_size, shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch_number = self.position = 0
        self._plan = _plan(log, batch_size, rank, world_size)
        order_of(shuffle, log.num_rows, seed, 0)

    def __len__(self) -> int:
        """Batches of an epoch, the same for every rank."""
        return self._plan.count

    def epoch(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches that are left of the current epoch; after the last one the next epoch is current."""
        found = batches(
            self.log, self.batch_size, shuffle=self.shuffle, seed=self.seed, epoch=self.epoch_number,
            start=self.position, rank=self.rank, world_size=self.world_size,
        )  # fmt: skip
        for batch in found:
            self.position += 1
            if self.position == len(self):
                self.epoch_number, self.position = self.epoch_number + 1, 0
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the position (`epoch`, and `position` in batches) and the settings that determine the order."""
        return {"epoch": self.epoch_number, "position": self.position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues where `state` was taken. Raises `DataError` if it belongs to other rows or another order."""
        for key, value in self._identity().items():
            if key not in state or state[key] != value:
                raise DataError(
                    f"the reader's state does not fit: {key} was {format_value(state.get(key))}, is "
                    f"{format_value(value)}; "
                    "go on with the same data, seed, shuffling and rows of a step"
                )
        epoch, position = integer(state.get("epoch")), integer(state.get("position"))
        if epoch is None or epoch < 0 or position is None or not 0 <= position < len(self):
            raise DataError(
                f"the reader's state is damaged: epoch {format_value(epoch)}, position {format_value(position)}"
            )
        self.epoch_number, self.position = epoch, position

    def _identity(self) -> dict[str, Any]:
        """Not rank and world size: a state saved by one rank serves all, and other numbers of ranks whose batches
        together are as large."""
        return {
            "seed": self.seed,
            "shuffle": self.shuffle,
            "global_batch": self.batch_size * self.world_size,
            "data": self.log.sha256,
        }


def _plan(log: RowSource, batch_size: int, rank: int, world_size: int) -> _Plan:
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= rank < world_size:
        raise DataError(f"rank {rank} of {world_size} is no rank; ranks go from 0 to world_size - 1")
    if log.num_rows < world_size:
        raise DataError(f"{log.source}: {log.num_rows} rows are too few for {world_size} ranks")
    return _Plan(log.num_rows, batch_size, world_size)
