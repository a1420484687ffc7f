"""Watching a run. Training is silent unless it is handed a `Progress`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from nasrec.train.metrics import Metrics

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress", "Silent", "console_progress"]


class Progress(Protocol):
    """What a run reports, in order: `begin`, any number of `advance` and `evaluated`, `end` (after errors too)."""

    def begin(self, total_rows: int) -> None:
        """`total_rows` would be read if nothing stopped the run early."""

    def advance(self, rows: int, loss: float) -> None:
        """After each step: its rows, and the running mean of the training loss. Must be quick."""

    def evaluated(self, epoch: int, metrics: Metrics, is_best: bool) -> None:
        """After each look at the validation log; `epoch` counts from 1."""

    def end(self) -> None: ...


class Silent:
    """Reports nothing."""

    def begin(self, total_rows: int) -> None:
        pass

    def advance(self, rows: int, loss: float) -> None:
        pass

    def evaluated(self, epoch: int, metrics: Metrics, is_best: bool) -> None:
        pass

    def end(self) -> None:
        pass


def console_progress(label: str = "training", stream: TextIO | None = None) -> Progress:
    """A bar with rows/s, remaining time and running loss on a terminal, a line every ten seconds elsewhere.

    `stream` is standard error unless given.
    """
    out = sys.stderr if stream is None else stream
    return _Bar(label, out) if out.isatty() else _Lines(label, out)


class _Bar:
    _REFRESH_S = 0.1

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._held_rows, self._shown_at = 0, 0.0
        self._loss = float("nan")

    def begin(self, total_rows: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=Console(file=self._stream),
        )
        self._bar.start()
        self._task = self._bar.add_task(self._label, total=total_rows, loss="", rate="")
        self._start = self._shown_at = time.perf_counter()

    def advance(self, rows: int, loss: float) -> None:
        self._held_rows += rows
        self._loss = loss
        now = time.perf_counter()
        if now - self._shown_at >= self._REFRESH_S:
            self._shown_at = now
            self._show()

    def evaluated(self, epoch: int, metrics: Metrics, is_best: bool) -> None:
        if self._bar is not None:
            self._show()
            self._bar.console.print(_evaluation_line(self._label, epoch, metrics, is_best), highlight=False)

    def end(self) -> None:
        if self._bar is not None:
            self._show()
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        if self._bar is None or self._task is None:
            return
        task = self._bar.tasks[self._task]
        rate = (task.completed + self._held_rows) / max(1e-9, time.perf_counter() - self._start)
        self._bar.update(self._task, advance=self._held_rows, loss=f"loss {self._loss:.4f}", rate=f"{rate:,.0f} rows/s")
        self._held_rows = 0


class _Lines:
    _EVERY_S = 10.0

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._total = self._done = 0

    def begin(self, total_rows: int) -> None:
        self._total, self._done = total_rows, 0
        self._start = self._shown_at = time.perf_counter()

    def advance(self, rows: int, loss: float) -> None:
        self._done += rows
        now = time.perf_counter()
        if now - self._shown_at < self._EVERY_S:
            return
        self._shown_at = now
        rate = self._done / (now - self._start)
        left_s = max(0, self._total - self._done) / rate
        self._write(
            f"{self._label}: {self._done:,} of {self._total:,} rows ({self._done / self._total:.0%}), "
            f"{rate:,.0f} rows/s, {left_s:.0f} s left, loss {loss:.4f}"
        )

    def evaluated(self, epoch: int, metrics: Metrics, is_best: bool) -> None:
        self._write(_evaluation_line(self._label, epoch, metrics, is_best))

    def end(self) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _evaluation_line(label: str, epoch: int, metrics: Metrics, is_best: bool) -> str:
    mark = " (best so far)" if is_best else ""
    return f"{label}: epoch {epoch}, validation {metrics}{mark}"
