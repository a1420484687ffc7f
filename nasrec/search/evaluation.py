"""Running a search: evaluation here or by workers, and progress on the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic

from nasrec.progress import Meter, console_meter
from nasrec.search.candidates import C
from nasrec.search.journal import Trial
from nasrec.search.objectives import Goal
from nasrec.search.run import Evaluate, serial
from nasrec.search.workers import Maker, Measure, in_processes, on_ray

__all__ = ["ConsoleWatch", "evaluation"]


@contextmanager
def evaluation(make: Maker[C], workers: int, ray: str | None, here: Callable[[], Measure[C]]) -> Iterator[Evaluate[C]]:
    """Within the block, evaluation by workers of this machine or of a Ray cluster, or by one in this process.

    Args:
        make: makes what measures, in another process, see `nasrec.search.workers.Maker`.
        workers: how many; 1 for this process.
        ray: address of a cluster, or "auto"; None for none.
        here: makes what measures in this process, from what it has loaded already.
    """
    if ray:
        with on_ray(make, workers, address=ray) as evaluate:
            yield evaluate
    elif workers > 1:
        with in_processes(make, workers) as evaluate:
            yield evaluate
    else:
        yield serial(here())


class ConsoleWatch(Generic[C]):
    """Progress with the best so far; `what` is searched for, on a meter (default: one on standard error)."""

    def __init__(self, goal: Goal, what: str, meter: Meter | None = None) -> None:
        self._goal, self._what, self._meter, self._done = goal, what, meter or console_meter(), 0

    def begin(self, budget: int, done: int) -> None:
        self._done = done
        self._meter.begin("search", budget, self._what, done)

    def evaluated(self, trial: Trial[C], best: Trial[C] | None) -> None:
        self._done += 1
        name = self._goal.objectives[0].name
        text = f"best {name} {best.values[name]:.5g}" if best is not None else "none keeps the limits yet"
        self._meter.advance(self._done, text)

    def end(self) -> None:
        self._meter.end()
