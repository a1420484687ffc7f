"""Where a run tells how far it has come: the usual bar on standard error, a callback, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from nasrec.progress import Meter, console_meter

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec
    from nasrec.runs.data import RunData
    from nasrec.runs.model import Architecture
    from nasrec_ir import Graph

__all__ = ["Console", "Event", "ProgressLike", "Reporter", "reporter_of"]


@dataclass(frozen=True)
class Event:
    """What a callback is told.

    Attributes:
        label: of the step, such as "training dlrm, seed-0".
        done: units that are done.
        total: units in all; 0 for a remark.
        unit: "rows", "genotypes", "trainings", ...
        text: beside it, such as "loss 0.4512"; or the remark itself.
    """

    label: str
    done: int
    total: int
    unit: str
    text: str


class Reporter(Protocol):
    """What runs report to."""

    def meter(self) -> Meter:
        """Shows one piece of long work."""

    def note(self, text: str) -> None:
        """A remark that stays."""

    def begun(
        self, data: RunData, architecture: Architecture | None, features: FeatureSpec | None, graph: Graph | None
    ) -> None:
        """Rows and model are known, nothing is done yet; `graph` is None where there are several models."""


ProgressLike: TypeAlias = bool | Callable[[Event], None] | Reporter
"""True for a bar on standard error, False for nothing, a callback, or a reporter of one's own."""


class Silent:
    """Shows nothing."""

    def meter(self) -> Meter:
        return _SilentMeter()

    def note(self, text: str) -> None: ...

    def begun(self, data: RunData, *model: Any) -> None: ...


class Console(Silent):
    """A bar with rate and remaining time on a terminal, a line now and then elsewhere; on standard error."""

    def meter(self) -> Meter:
        return console_meter()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201


class _Callback(Silent):
    def __init__(self, receive: Callable[[Event], None]) -> None:
        self._receive = receive

    def meter(self) -> Meter:
        return _CallbackMeter(self._receive)

    def note(self, text: str) -> None:
        self._receive(Event("", 0, 0, "", text))


class _SilentMeter:
    def begin(self, label: str, total: int, unit: str, done: int = 0) -> None: ...

    def advance(self, done: int, text: str = "") -> None: ...

    def note(self, line: str) -> None: ...

    def end(self) -> None: ...


class _CallbackMeter:
    def __init__(self, receive: Callable[[Event], None]) -> None:
        self._receive, self._last = receive, Event("", 0, 0, "", "")

    def begin(self, label: str, total: int, unit: str, done: int = 0) -> None:
        self._tell(Event(label, done, total, unit, ""))

    def advance(self, done: int, text: str = "") -> None:
        last = self._last
        self._tell(Event(last.label, done, last.total, last.unit, text))

    def note(self, line: str) -> None:
        last = self._last
        self._receive(Event(last.label, last.done, last.total, last.unit, line))

    def end(self) -> None: ...

    def _tell(self, event: Event) -> None:
        self._last = event
        self._receive(event)


def reporter_of(progress: ProgressLike) -> Reporter:
    """What a `progress` argument means."""
    if progress is True:
        return Console()
    if progress is False or progress is None:
        return Silent()
    return cast("Reporter", progress) if hasattr(progress, "meter") else _Callback(progress)
