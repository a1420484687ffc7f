"""Watching a preparation. It is silent unless it is handed a `Progress`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress", "Silent", "console_progress"]


class Progress(Protocol):
    """What a preparation reports: `begin` of each step, any number of `advance`, `end` (after errors too)."""

    def begin(self, step: str, total: int, unit: str) -> None:
        """A step in which `total` bytes, rows or columns are worked on."""

    def advance(self, done: int, rows: int) -> None:
        """`done` of the total are done, earlier runs' work included; `rows` rows more than at the last call."""

    def end(self) -> None: ...


class Silent:
    """Reports nothing."""

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
    out = sys.stderr if stream is None else stream
    return _Bar(out) if out.isatty() else _Lines(out)


class _Pace:
    """How fast a step goes, from this run's own work."""

    def __init__(self, step: str, total: int, unit: str) -> None:
        self.step, self.total, self.unit = step, total, unit
        self.start, self.first, self.done, self.rows = time.perf_counter(), -1, 0, 0

    def advance(self, done: int, rows: int) -> None:
        if self.first < 0 and rows == 0:
            self.first = done
        self.done, self.rows = done, self.rows + rows

    def rate(self) -> str:
        """Rows a second and seconds left, as far as they are known."""
        seconds = time.perf_counter() - self.start
        fresh = self.done - max(0, self.first)
        words = f"{self.rows / max(1e-9, seconds):,.0f} rows/s" if self.rows else ""
        left = f"{seconds * (self.total - self.done) / fresh:,.0f} s left" if fresh > 0 and seconds > 0.5 else ""
        return ", ".join(word for word in (words, left) if word)


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._pace: _Pace | None = None

    def begin(self, step: str, total: int, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        if self._bar is None:
            columns = (TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TextColumn(
                "{task.fields[rate]}"))  # fmt: skip
            self._bar = RichProgress(*columns, console=Console(file=self._stream))
            self._bar.start()
        self._pace = _Pace(step, total, unit)
        self._task = self._bar.add_task(step, total=max(1, total), rate="")

    def advance(self, done: int, rows: int) -> None:
        if self._bar is not None and self._task is not None and self._pace is not None:
            self._pace.advance(done, rows)
            self._bar.update(self._task, completed=done, rate=self._pace.rate())

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Lines:
    _EVERY_S = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pace: _Pace | None = None
        self._shown_at = time.perf_counter()

    def begin(self, step: str, total: int, unit: str) -> None:
        self._pace = _Pace(step, total, unit)

    def advance(self, done: int, rows: int) -> None:
        pace = self._pace
        if pace is None:
            return
        pace.advance(done, rows)
        now = time.perf_counter()
        if now - self._shown_at >= self._EVERY_S:
            self._shown_at = now
            share = pace.done / max(1, pace.total)
            self._stream.write(f"{pace.step}: {share:.0%} of {pace.total:,} {pace.unit}, {pace.rate()}\n")
            self._stream.flush()

    def end(self) -> None:
        pass
