"""What a pass is, and pipelines of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from nasrec_ir.errors import NasrecError, PassError, VerifyError
from nasrec_ir.graph import Graph
from nasrec_ir.verify import Level, verify

__all__ = ["Pass", "Pipeline"]

logger = logging.getLogger(__name__)


class Pass(Protocol):
    """A pure function from graph to graph, with a name; a frozen dataclass whose fields are its options.

    Contract: given a graph that verifies, it returns one that verifies and computes the same. It returns the very
    graph it was given where there was nothing to do. Scales of quantised weights are those of the rows and columns
    that a node reads, so that they may become finer where a pass takes away what meets only zeros.
    """

    name: ClassVar[str]

    def apply(self, graph: Graph) -> Graph:
        """The graph after the pass."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """Passes in order.

    Attributes:
        passes: what to run.
        level: what the last graph must satisfy.
    """

    passes: Sequence[Pass]
    level: Level = "lowered"

    def run(
        self, graph: Graph, observe: Callable[[str, Graph], None] | None = None, *, check_each: bool = True
    ) -> Graph:
        """Runs all passes; the graph is verified before the first and after each that changed something.

        Args:
            graph: where to start.
            observe: called with `"lowered"` and the graph, then with each pass's name and its result.
            check_each: verify between the passes too. Off where time counts, as in a supernet that lowers a new path
                at every step: the last graph alone is verified then.

        Raises:
            VerifyError: the graph given does not verify.
            PassError: a pass failed or broke the graph; the message names it and those before it.
        """
        if check_each:
            verify(graph)
        if observe:
            observe("lowered", graph)
        done: list[str] = []
        for step in self.passes:
            try:
                after = step.apply(graph)
            except NasrecError as error:
                raise PassError(f"{step.name} failed{_history(done)}: {error}") from error
            if after is not graph:
                if check_each:
                    self._check(after, step.name, done, "lowered", graph)
                logger.debug("%s: %d -> %d nodes", step.name, len(graph), len(after))
            graph = after
            done.append(step.name)
            if observe:
                observe(step.name, graph)
        if self.level != "lowered" or not check_each:
            self._check(graph, "the pipeline", done, self.level)
        return graph

    def _check(self, graph: Graph, by: str, done: Sequence[str], level: Level, before: Graph | None = None) -> None:
        try:
            verify(graph, level, before=before)
        except VerifyError as error:
            raise PassError(f"{by} broke the graph{_history(done)}: {error}") from error


def _history(done: Sequence[str]) -> str:
    return f" after {', '.join(done)}" if done else ""
