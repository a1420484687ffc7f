"""Evaluation in several processes of this machine, or of many through Ray.

What is measured follows from the candidate alone, so the number of workers changes the time that a search takes and
nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from nasrec.errors import SearchError
from nasrec.extras import install_command
from nasrec.search.candidates import C
from nasrec.search.run import Evaluate

__all__ = ["in_processes", "on_ray"]

Measure = Callable[[C], Mapping[str, float]]
Maker = Callable[[], Measure[C]]
"""Makes what measures, once in every worker; it and its arguments must be importable, as by functools.partial of a
function at the top of a module."""


@contextmanager
def in_processes(make: Maker[C], workers: int) -> Iterator[Evaluate[C]]:
    """Within the block, evaluation in `workers` processes, which share the cores evenly.

    Raises:
        SearchError: there is no worker, or one died.
    """
    if workers < 1:
        raise SearchError(f"workers must be at least 1, got {workers}")
    threads = max(1, (os.cpu_count() or 1) // workers)
    # A fork would copy locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(make, threads))

    def evaluate(candidates: Sequence[C]) -> Iterator[tuple[int, Mapping[str, float], float]]:
        places: dict[Future[tuple[Mapping[str, float], float]], int] = {
            pool.submit(_measured, candidate): place for place, candidate in enumerate(candidates)
        }
        try:
            for future in as_completed(places):
                values, seconds = future.result()
                yield places[future], values, seconds
        except BrokenProcessPool:
            raise SearchError(
                "a worker died, perhaps for want of memory; what was evaluated is kept: go on with fewer workers"
            ) from None
        finally:
            for future in places:
                future.cancel()

    try:
        yield evaluate
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def on_ray(make: Maker[C], workers: int, *, address: str | None = None) -> Iterator[Evaluate[C]]:
    """Within the block, evaluation by actors of a Ray cluster, one core each.

    Args:
        make: see `Maker`; files that it reads must be there on every machine.
        workers: how many actors.
        address: of the cluster; default: the one that the environment names, else one on this machine.

    Raises:
        SearchError: the package ray is not installed, there is no worker, or one failed.
    """
    if workers < 1:
        raise SearchError(f"workers must be at least 1, got {workers}")
    try:
        import ray  # type: ignore[import-not-found,unused-ignore]
        from ray.util import ActorPool  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise SearchError(f"workers on Ray need the package ray; run: {install_command('ray')}") from None
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    actors: list[Any] = [ray.remote(_Actor).options(num_cpus=1).remote(make) for _ in range(workers)]
    pool = ActorPool(actors)

    def evaluate(candidates: Sequence[C]) -> Iterator[tuple[int, Mapping[str, float], float]]:
        def submit(actor: Any, item: tuple[int, C]) -> Any:
            return actor.measured.remote(*item)

        try:
            yield from pool.map_unordered(submit, list(enumerate(candidates)))
        except ray.exceptions.RayError as error:
            raise SearchError(f"a worker on Ray failed: {' '.join(str(error).split())[:200]}") from None

    try:
        yield evaluate
    finally:
        for actor in actors:
            ray.kill(actor)
        if started:
            ray.shutdown()


_measure: Measure[Any] | None = None


def _start(make: Maker[Any], threads: int) -> None:
    """In a new worker process."""
    import signal

    import torch

    global _measure
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends the workers
    torch.set_num_threads(threads)
    _measure = make()


def _measured(candidate: Any) -> tuple[Mapping[str, float], float]:
    assert _measure is not None
    return _timed(_measure, candidate)


class _Actor:
    def __init__(self, make: Maker[Any]) -> None:
        import torch

        torch.set_num_threads(1)
        self._measure = make()

    def measured(self, place: int, candidate: Any) -> tuple[int, Mapping[str, float], float]:
        return (place, *_timed(self._measure, candidate))


def _timed(measure: Measure[C], candidate: C) -> tuple[Mapping[str, float], float]:
    started = time.perf_counter()
    values = measure(candidate)
    return values, time.perf_counter() - started
