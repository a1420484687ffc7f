"""Progress reports of a run. Training is silent unless it is given a `Progress`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

from nasrec.progress import Meter, console_meter
from nasrec.train.result import Evaluation, HistoryPoint

if TYPE_CHECKING:
    from nasrec.train.state import State

__all__ = ["MeterProgress", "Progress", "Several", "Silent", "console_progress"]


class Progress(Protocol):
    """Receives the events of a run, in order: `begin`, any number of the others, `end` (after errors too)."""

    def begin(self, total_rows: int, state: State) -> None:
        """`total_rows` are read unless the run stops early; `state` is where it starts, or resumes."""

    def advance(self, rows: int, loss: float) -> None:
        """After each step: its rows, and the running mean of the training loss. Must be quick."""

    def recorded(self, point: HistoryPoint) -> None:
        """After each point of the history."""

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        """After each evaluation on the validation log."""

    def end(self) -> None: ...


class Silent:
    """Ignores all events."""

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
    """Passes events on to several receivers."""

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
    return MeterProgress(label, console_meter(stream))


class MeterProgress(Silent):
    """A run shown on a meter: its rows, running loss, and the scores of each evaluation."""

    def __init__(self, label: str, meter: Meter) -> None:
        self._label, self._meter, self._rows = label, meter, 0

    def begin(self, total_rows: int, state: State) -> None:
        self._rows = state.rows
        self._meter.begin(self._label, total_rows, "rows", state.rows)

    def advance(self, rows: int, loss: float) -> None:
        self._rows += rows
        self._meter.advance(self._rows, f"loss {loss:.4f}")

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        mark = " (best so far)" if is_best else ""
        self._meter.note(f"{self._label}: epoch {evaluation.epoch}, validation {evaluation.metrics}{mark}")

    def end(self) -> None:
        self._meter.end()
