"""Ids outside their tables, on a GPU: found there, and told with as little waiting as possible.

A lookup on a GPU writes NaN for an id outside its table and goes on, since raising at once would have the processor
wait for the GPU at each step. The first such id is found by a kernel of its own and copied to the processor behind the
lookup. The error is raised

- at once, where no backward follows (nothing is recorded for autograd);
- else in the lookup's backward, by when the copy has long arrived: before an optimiser can spread the NaN.

Nothing is checked while a CUDA graph is captured, or in traced programs.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasrec.kernels import reference

__all__ = ["look", "settle"]


@dataclass(frozen=True)
class _Look:
    """One check under way: `place` [1] in pinned memory will hold the first wrong id's place in ids, or -1."""

    ids: Tensor
    rows: tuple[int, ...]
    place: Tensor
    arrived: torch.cuda.Event


_lock = threading.Lock()  # backward runs on a thread of its own
_under_way: list[_Look] = []
_latest: tuple[weakref.ref[Tensor], int, tuple[int, ...]] | None = None  # the ids last looked at, their version, rows


def look(ids: Tensor, rows: Sequence[int], *, wait: bool) -> None:
    """Checks ids int64 [B, n] on a GPU against the rows of n tables; raises now or, without `wait`, in `settle`.

    Raises:
        FeatureError: one of these ids, or of earlier ones whose check has ended, lies outside its table.
    """
    global _latest
    key = (ids._version, tuple(rows))
    if _latest is not None and _latest[0]() is ids and _latest[1:] == key:  # a step's update after its lookup
        settle(wait=wait)
        return
    with torch.cuda.device(ids.device):
        if torch.cuda.is_current_stream_capturing():
            return
        found = torch.ops.nasrec.find_wrong_id(ids, rows)
        place = torch.empty(1, dtype=torch.int64, pin_memory=True).copy_(found, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
    with _lock:
        _under_way.append(_Look(ids, tuple(rows), place, arrived))
        _latest = (weakref.ref(ids), *key)
    settle(wait=wait)


def settle(*, wait: bool) -> None:
    """Raises `FeatureError` about the first wrong id of the checks that have ended; with `wait`, of all."""
    global _latest
    with _lock:
        ended = [check for check in _under_way if wait or check.arrived.query()]
        _under_way[:] = [check for check in _under_way if not any(check is other for other in ended)]
    for check in ended:
        check.arrived.synchronize()
        place = int(check.place)
        if place >= 0:
            _latest = None
            sample, field = divmod(place, len(check.rows))
            raise reference.wrong_id(field, int(check.ids[sample, field]), sample, check.rows[field])
