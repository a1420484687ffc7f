"""Processes that fail together report one error."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from nasrec.errors import OtherRankFailed

__all__ = ["report_first_failure"]

_FAILED, _INTERRUPTED = "failed", "interrupted"
_STORE_S = 10.0
_LAST_WORDS_S = 2.0
_SILENCE_S = 0.3
"""torchrun ends all processes when one has ended; it should be the one that has something to say."""


@contextmanager
def report_first_failure(store: Store, rank: int, size: int) -> Iterator[None]:
    """Around everything that joined ranks do; leaves the process group at the end.

    An exception on one rank ends the others through their broken exchanges, and one on all comes from each. The first
    of these raises its exception, with a note; the others raise `OtherRankFailed`, or `KeyboardInterrupt` if the first
    did.

    Args:
        store: what the ranks share, for these words alone.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        own = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else _FAILED
        said = _first_word(store, own)
        _leave(failed=True)
        _await_others(store, rank, size)
        if said == _INTERRUPTED:
            raise KeyboardInterrupt from None
        if said == _FAILED:
            time.sleep(_SILENCE_S)
            raise OtherRankFailed("another rank of this run has failed, and has said why") from None
        error.add_note(f"rank {rank} of {size} failed first")
        raise
    _leave(failed=False)


def _first_word(store: Store, own: str) -> str | None:
    """What the rank that failed first has said; None if that is this one, or there is no way to know."""
    with suppress(RuntimeError):
        store.set_timeout(timedelta(seconds=_STORE_S))
        token = f"{own} {os.getpid()} {time.time_ns()}"
        found = store.compare_set("first", "", token).decode()
        return None if found == token else found.split()[0]
    return None


def _leave(*, failed: bool) -> None:
    """Closes this rank's connections, which ends what others wait for."""
    with suppress(RuntimeError, ValueError, AssertionError):
        if failed and "nccl" in str(dist.get_backend_config()):
            # What this rank has started may never end on a card; destroying would wait for it.
            dist.distributed_c10d._abort_process_group()
        else:
            dist.destroy_process_group()


def _await_others(store: Store, rank: int, size: int) -> None:
    """Where the first rank holds the store, it stays until the others have read it, but not for long."""
    with suppress(RuntimeError):
        left = store.add("left", 1)
        if rank or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            return
        until = time.monotonic() + _LAST_WORDS_S
        while left < size and time.monotonic() < until:
            time.sleep(0.02)
            left = store.add("left", 0)
