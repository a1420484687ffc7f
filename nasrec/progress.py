"""How far long work has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Meter", "console_meter"]


class Meter(Protocol):
    """Shown work: `begin` of each step, any number of the others, `end` (after errors too)."""

    def begin(self, label: str, total: int, unit: str, done: int = 0) -> None:
        """A step of `total` units, of which `done` were done before."""

    def advance(self, done: int, text: str = "") -> None:
        """So many are done in all; `text` is shown beside."""

    def note(self, line: str) -> None:
        """A line that stays."""

    def end(self) -> None: ...


def console_meter(stream: TextIO | None = None) -> Meter:
    """With rate and remaining time; `stream` is standard error unless given."""
    out = sys.stderr if stream is None else stream
    return _Bar(out) if out.isatty() else _Lines(out)


class _Pace:
    """How fast a step goes, from this process's own work."""

    def __init__(self, label: str, total: int, unit: str, done: int) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.first = self.done = done
        self.start = self.shown_at = time.perf_counter()

    def is_time(self, every_s: float) -> bool:
        now = time.perf_counter()
        if now - self.shown_at < every_s:
            return False
        self.shown_at = now
        return True

    def words(self) -> str:
        """Units a second and time left, as far as they are known."""
        seconds, fresh = time.perf_counter() - self.start, self.done - self.first
        if fresh <= 0:
            return ""
        rate = fresh / max(1e-9, seconds)
        per_second = f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{60 * rate:,.1f} {self.unit}/min"
        left = max(0.0, (self.total - self.done) / rate)
        return f"{per_second}, {_duration(left)} left" if self.done < self.total else per_second


class _Bar:
    _EVERY_S = 0.1

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._pace = _Pace("", 0, "", 0)
        self._text = ""

    def begin(self, label: str, total: int, unit: str, done: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        if self._bar is None:
            self._bar = RichProgress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[words]}"),
                console=Console(file=self._stream),
            )
            self._bar.start()
        self._pace = _Pace(label, total, unit, done)
        self._task = self._bar.add_task(label, total=max(1, total), completed=done, words="")

    def advance(self, done: int, text: str = "") -> None:
        self._pace.done, self._text = done, text
        if self._pace.is_time(self._EVERY_S):
            self._show()

    def note(self, line: str) -> None:
        if self._bar is not None:
            self._show()
            self._bar.console.print(line, highlight=False, markup=False)

    def end(self) -> None:
        if self._bar is not None:
            self._show()
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            words = ", ".join(part for part in (self._pace.words(), self._text) if part)
            self._bar.update(self._task, completed=self._pace.done, words=words)


class _Lines:
    _EVERY_S = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pace = _Pace("", 0, "", 0)

    def begin(self, label: str, total: int, unit: str, done: int = 0) -> None:
        self._pace = _Pace(label, total, unit, done)

    def advance(self, done: int, text: str = "") -> None:
        pace = self._pace
        pace.done = done
        if pace.is_time(self._EVERY_S):
            share = done / max(1, pace.total)
            head = f"{pace.label}: {done:,} of {pace.total:,} {pace.unit} ({share:.0%})"
            self.note(", ".join(part for part in (head, pace.words(), text) if part))

    def note(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def end(self) -> None:
        pass


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
