"""One way to take times on processors that finish a call before it returns and on those that do not."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

__all__ = ["Clock", "clock_of", "quiet", "seconds_of"]


class Clock(Protocol):
    """Marks put between pieces of work; their distances are known once all of the work is done."""

    def mark(self) -> Any:
        """A point in time between two pieces of work."""

    def seconds(self, first: Any, last: Any) -> float:
        """Time between two marks, after `wait`."""

    def wait(self) -> None:
        """Returns when all work that was given out is done."""


class _HostClock:
    """For work that is done when its call returns."""

    mark = staticmethod(time.perf_counter)

    def seconds(self, first: float, last: float) -> float:
        return last - first

    def wait(self) -> None:
        pass


class _CudaClock:
    """For a stream of kernels: events in the stream, so that nobody waits between two nodes."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        return float(first.elapsed_time(last)) * 1e-3

    def wait(self) -> None:
        torch.cuda.synchronize()


def clock_of(device: torch.device) -> Clock:
    """The clock for work on a device."""
    return _CudaClock() if device.type == "cuda" else _HostClock()


def seconds_of(work: Callable[[], object], clock: Clock, calls: int = 1) -> float:
    """Time of one call, the mean of `calls` calls in a row."""
    clock.wait()
    first = clock.mark()
    for _ in range(calls):
        work()
    last = clock.mark()
    clock.wait()
    return clock.seconds(first, last) / calls


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection within the block: it would fall on whichever node comes next."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
