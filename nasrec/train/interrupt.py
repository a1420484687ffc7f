"""Ctrl-C between steps, never inside one: half an optimiser update would leave weights that no step made."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["InterruptGuard"]


class InterruptGuard:
    """Context manager over a run. An interrupt inside `step()` is raised when that step is over, a second one at
    once. Outside the main thread, where signals do not arrive, and where a caller handles SIGINT in a way of its
    own, it changes nothing.

    Args:
        deferred: never raise the first interrupt; the run asks `asked_to_stop`, so that several processes can agree
            on a step to stop at. SIGTERM, which whoever started these processes may send, counts as a first one.
    """

    def __init__(self, *, deferred: bool = False) -> None:
        self._deferred = deferred
        self._inside = False
        self._pending = False
        self._installed = False

    def __enter__(self) -> InterruptGuard:
        own_thread = threading.current_thread() is threading.main_thread()
        if own_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)
            self._installed = True
            if self._deferred and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._on_termination)
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if signal.getsignal(signal.SIGTERM) == self._on_termination:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._installed = False

    @property
    def asked_to_stop(self) -> bool:
        """Has an interrupt come that was not raised?"""
        return self._pending

    @contextmanager
    def step(self) -> Iterator[None]:
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        if self._pending and not self._deferred:
            self._pending = False
            raise KeyboardInterrupt

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._pending or not (self._inside or self._deferred):
            self._pending = False
            raise KeyboardInterrupt
        self._pending = True

    def _on_termination(self, signum: int, frame: FrameType | None) -> None:
        self._pending = True
