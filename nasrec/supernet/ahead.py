"""Lowering of the coming paths in a thread of its own, while the current step computes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from nasrec.genotype import Genotype
from nasrec.supernet.sampling import PathSampler
from nasrec_ir import Graph

__all__ = ["PathPrefetcher"]

DEPTH = 2
"""Steps ahead: enough that a step shorter than the lowering of its successor need not wait for it twice."""

SWITCH_S = 2e-4
"""How long the thread may keep the interpreter from the step. At Python's own 5 ms it would hold up every operator of
the step, and overlap nothing."""


class PathPrefetcher:
    """Graphs by step. What is lowered ahead and when changes no result: a path follows from its step.

    Args:
        sampler: the path of each step.
        lower: makes its graph.
    """

    def __init__(self, sampler: PathSampler, lower: Callable[[Genotype], Graph]) -> None:
        self._sampler, self._lower = sampler, lower
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[Graph]] = {}
        self._widest: Graph | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The thread works within the block. When that ends, so does the thread, after the path in its hands."""
        before = sys.getswitchinterval()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nasrec-lowering")
        sys.setswitchinterval(min(before, SWITCH_S))
        try:
            yield
        finally:
            sys.setswitchinterval(before)
            pool, self._pool, self._coming = self._pool, None, {}
            pool.shutdown(cancel_futures=True)

    def graph(self, step: int) -> Graph:
        """The graph of a step's path; starts on those of the next steps. What lowering raised is raised here."""
        coming = self._coming.pop(step, None)
        graph = self._graph(step) if coming is None else coming.result()
        if self._pool is not None:
            ahead = range(step + 1, min(step + 1 + DEPTH, self._sampler.total_steps))
            self._coming = {n: self._coming.get(n) or self._pool.submit(self._graph, n) for n in ahead}
        return graph

    def _graph(self, step: int) -> Graph:
        path = self._sampler.path(step)
        if path != self._sampler.widest:
            return self._lower(path)
        if self._widest is None:  # a path that comes again and again while a run warms up
            self._widest = self._lower(path)
        return self._widest
