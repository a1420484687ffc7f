"""Progress reports of a preparation. It is silent unless it is given a `Progress`."""

from __future__ import annotations

import time
from typing import Protocol, TextIO

from nasrec.progress import Meter, console_meter

__all__ = ["Progress", "Silent", "console_progress"]


class Progress(Protocol):
    """What a preparation reports: `begin` of each step, any number of `advance`, `end` (after errors too)."""

    def begin(self, step: str, total: int, unit: str) -> None:
        """A step in which `total` bytes, rows or columns are worked on."""

    def advance(self, done: int, rows: int) -> None:
        """`done` of the total are done, earlier runs' work included; `rows` rows more than at the last call."""

    def end(self) -> None: ...


class Silent:
    """Ignores all events."""

    def begin(self, step: str, total: int, unit: str) -> None:
        pass

    def advance(self, done: int, rows: int) -> None:
        pass

    def end(self) -> None:
        pass


def console_progress(stream: TextIO | None = None) -> Progress:
    """A bar a step with rows/s and remaining time on a terminal, a line every ten seconds and step elsewhere.

    `stream` is standard error unless given.
    """
    return _OnMeter(console_meter(stream))


class _OnMeter:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._step, self._begun = ("", 0, ""), True
        self._start, self._rows = 0.0, 0

    def begin(self, step: str, total: int, unit: str) -> None:
        self._step, self._begun = (step, total, unit), False
        self._start, self._rows = time.perf_counter(), 0

    def advance(self, done: int, rows: int) -> None:
        if not self._begun:  # only now it is known what an earlier run has done
            self._begun = True
            self._meter.begin(*self._step, done if rows == 0 else 0)
        self._rows += rows
        seconds = max(1e-9, time.perf_counter() - self._start)
        self._meter.advance(done, f"{self._rows / seconds:,.0f} rows/s" if self._rows else "")

    def end(self) -> None:
        self._meter.end()
