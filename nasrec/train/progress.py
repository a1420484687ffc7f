"""Watching a run. Training is silent unless it is handed a `Progress`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from nasrec.train.result import Evaluation, HistoryPoint

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from nasrec.train.state import State

__all__ = ["Progress", "Several", "Silent", "console_progress"]


class Progress(Protocol):
    """What a run reports, in order: `begin`, any number of the others, `end` (after errors too)."""

    def begin(self, total_rows: int, state: State) -> None:
        """`total_rows` would be read if nothing stopped the run early; `state` is where it goes on from."""

    def advance(self, rows: int, loss: float) -> None:
        """After each step: its rows, and the running mean of the training loss. Must be quick."""

    def recorded(self, point: HistoryPoint) -> None:
        """After each point of the history."""

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        """After each look at the validation log."""

    def end(self) -> None: ...


class Silent:
    """Reports nothing."""

    def begin(self, total_rows: int, state: State) -> None:
        pass

    def advance(self, rows: int, loss: float) -> None:
        pass

    def recorded(self, point: HistoryPoint) -> None:
        pass

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        pass

    def end(self) -> None:
        pass


class Several:
    """Reports to each of several."""

    def __init__(self, *receivers: Progress) -> None:
        self._receivers = receivers

    def begin(self, total_rows: int, state: State) -> None:
        for receiver in self._receivers:
            receiver.begin(total_rows, state)

    def advance(self, rows: int, loss: float) -> None:
        for receiver in self._receivers:
            receiver.advance(rows, loss)

    def recorded(self, point: HistoryPoint) -> None:
        for receiver in self._receivers:
            receiver.recorded(point)

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        for receiver in self._receivers:
            receiver.evaluated(evaluation, is_best)

    def end(self) -> None:
        for receiver in self._receivers:
            receiver.end()


def console_progress(label: str = "training", stream: TextIO | None = None) -> Progress:
    """A bar with rows/s, remaining time and running loss on a terminal, a line every ten seconds elsewhere.

    `stream` is standard error unless given.
    """
    out = sys.stderr if stream is None else stream
    return _Bar(label, out) if out.isatty() else _Lines(label, out)


class _Bar(Silent):
    _REFRESH_S = 0.1

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._held_rows, self._shown_at = 0, 0.0
        self._loss = float("nan")

    def begin(self, total_rows: int, state: State) -> None:
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
        self._task = self._bar.add_task(self._label, total=total_rows, completed=state.rows, loss="", rate="")
        self._before = state.rows
        self._start = self._shown_at = time.perf_counter()

    def advance(self, rows: int, loss: float) -> None:
        self._held_rows += rows
        self._loss = loss
        now = time.perf_counter()
        if now - self._shown_at >= self._REFRESH_S:
            self._shown_at = now
            self._show()

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        if self._bar is not None:
            self._show()
            self._bar.console.print(_evaluation_line(self._label, evaluation, is_best), highlight=False)

    def end(self) -> None:
        if self._bar is not None:
            self._show()
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        if self._bar is None or self._task is None:
            return
        task = self._bar.tasks[self._task]
        rate = (task.completed + self._held_rows - self._before) / max(1e-9, time.perf_counter() - self._start)
        self._bar.update(self._task, advance=self._held_rows, loss=f"loss {self._loss:.4f}", rate=f"{rate:,.0f} rows/s")
        self._held_rows = 0


class _Lines(Silent):
    _EVERY_S = 10.0

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._total = self._done = self._before = 0

    def begin(self, total_rows: int, state: State) -> None:
        self._total, self._done, self._before = total_rows, state.rows, state.rows
        self._start = self._shown_at = time.perf_counter()

    def advance(self, rows: int, loss: float) -> None:
        self._done += rows
        now = time.perf_counter()
        if now - self._shown_at < self._EVERY_S:
            return
        self._shown_at = now
        rate = (self._done - self._before) / (now - self._start)
        left_s = max(0, self._total - self._done) / rate
        self._write(
            f"{self._label}: {self._done:,} of {self._total:,} rows ({self._done / self._total:.0%}), "
            f"{rate:,.0f} rows/s, {left_s:.0f} s left, loss {loss:.4f}"
        )

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        self._write(_evaluation_line(self._label, evaluation, is_best))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _evaluation_line(label: str, evaluation: Evaluation, is_best: bool) -> str:
    mark = " (best so far)" if is_best else ""
    return f"{label}: epoch {evaluation.epoch}, validation {evaluation.metrics}{mark}"
