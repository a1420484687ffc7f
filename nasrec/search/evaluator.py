"""Values of a genotype that a search optimizes: cost, latency, in-memory figures, scores, or a user's own function."""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import NasrecError, SearchError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.lowering.graphs import cost, graph_of
from nasrec.metrics import Metrics
from nasrec.search.candidates import C
from nasrec.search.objectives import Goal

if TYPE_CHECKING:
    from nasrec_ir import Graph
    from nasrec_pim import Hardware

__all__ = [
    "COSTS",
    "IN_MEMORY",
    "LATENCY",
    "SCORES",
    "Evaluator",
    "costs_of",
    "in_memory_of",
    "in_steps",
    "latency_ms",
    "own_measure",
    "own_names",
    "scores_of",
]

COSTS = ("macs", "parameters", "live_blocks")
"""Counted on the graph, see `nasrec.cost`; parameters without embedding tables."""

LATENCY = "latency_ms"
"""Median time of the compiled model's forward pass on a batch, on this machine."""

IN_MEMORY = ("pim.latency_ns", "pim.energy_nJ", "pim.area_mm2", "pim.interval_ns")
"""Estimated for one sample on in-memory hardware, see `nasrec_pim.estimate`."""

SCORES = ("log_loss", "auc", "normalised_entropy", "calibration")
"""Fields of `nasrec.metrics.Metrics` on validation rows, by the scorer that the search is given."""

Measure = Callable[[Genotype], Mapping[str, float]]


class Evaluator:
    """Measures what a goal names, cheap values first; where they break a limit, the rest is left out.

        goal = Goal((parse_objective("log_loss"),), (parse_limit("macs<=2e6"),))
        evaluator = Evaluator(goal, net.features, scorer=nasrec.supernet.Scorer(net, log.valid))
        evaluator(genotype)  # {"macs": ..., "log_loss": ..., ...}

    Args:
        goal: names the values; beside those above `package.module:function`, a function of a genotype that gives a
            number, found on the import path or in the working folder.
        features: the data's columns.
        scorer: gives the metrics of a genotype on validation rows, such as a `nasrec.supernet.Scorer`.
        hardware: for in-memory values.
        batch: rows of a forward pass whose latency is measured.

    Raises:
        SearchError: a value is unknown, or what it needs was not given.
    """

    def __init__(
        self,
        goal: Goal,
        features: FeatureSpec,
        *,
        scorer: Callable[[Genotype], Metrics] | None = None,
        hardware: Hardware | None = None,
        batch: int = 512,
    ) -> None:
        self._goal, self._features, self._batch = goal, features, batch
        self._hardware = hardware
        self._steps: list[Measure] = []
        wanted = goal.names
        own = own_names(wanted, (*COSTS, LATENCY, *IN_MEMORY, *SCORES))
        if any(name in COSTS for name in wanted):
            self._steps.append(self._costs)
        if any(name in IN_MEMORY for name in wanted):
            if hardware is None:
                raise SearchError("in-memory values need the hardware; name a preset or a description")
            self._steps.append(self._in_memory)
        self._steps += [own_measure(name) for name in own]
        if LATENCY in wanted:
            self._steps.append(self._latency)
        if any(name in SCORES for name in wanted):
            if scorer is None:
                raise SearchError("log loss and AUC need a trained supernet to score with; give one")
            self._steps.append(lambda genotype: scores_of(scorer(genotype)))

    def __call__(self, genotype: Genotype) -> dict[str, float]:
        """The values of a genotype, by name."""
        return in_steps(self._steps, genotype, self._goal)

    def _costs(self, genotype: Genotype) -> Mapping[str, float]:
        return costs_of(genotype, self._features)

    def _in_memory(self, genotype: Genotype) -> Mapping[str, float]:
        assert self._hardware is not None
        return in_memory_of(graph_of(genotype, self._features), self._hardware)

    def _latency(self, genotype: Genotype) -> Mapping[str, float]:
        return {LATENCY: latency_ms(genotype, self._features, self._batch)}


def in_steps(steps: Iterable[Callable[[C], Mapping[str, float]]], candidate: C, goal: Goal) -> dict[str, float]:
    """Values of one step after the other, until they break a limit."""
    values: dict[str, float] = {}
    for step in steps:
        values.update(step(candidate))
        if goal.violation(values):
            break
    return values


def scores_of(metrics: Metrics) -> dict[str, float]:
    """The values of `SCORES`."""
    return {name: getattr(metrics, name) for name in SCORES}


def costs_of(genotype: Genotype, features: FeatureSpec) -> dict[str, float]:
    """The values of `COSTS`."""
    found = cost(genotype, features)
    return {
        "macs": found.macs,
        "parameters": found.parameters - found.embedding_parameters,
        "live_blocks": len(found.live_blocks),
    }


def in_memory_of(graph: Graph, hardware: Hardware) -> dict[str, float]:
    """The values of `IN_MEMORY`. Raises `MappingError` where the graph does not fit onto the chip."""
    from nasrec_pim import estimate_many

    totals = estimate_many([graph], hardware)
    return {name: float(getattr(totals, name.removeprefix("pim."))[0]) for name in IN_MEMORY}


def latency_ms(genotype: Genotype, features: FeatureSpec, batch: int, rounds: int = 7) -> float:
    """Median time of a compiled model's forward pass; tables are cut to 1,000 rows, which fit this machine's caches as
    the popular rows of real ones do."""
    import torch

    from nasrec.compiler import compile as compile_model

    small = FeatureSpec(
        features.num_dense, [min(rows, 1000) for rows in features.cardinalities], features.embedding_dim
    )
    model = compile_model(genotype, small, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(batch, small.num_dense, generator=generator)
    columns = [torch.randint(rows, (batch,), generator=generator) for rows in small.cardinalities]
    sparse = torch.stack(columns, 1)
    times = []
    with torch.no_grad():
        for _ in range(2):
            model(dense, sparse)
        for _ in range(rounds):
            started = time.perf_counter()
            model(dense, sparse)
            times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def own_names(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Those that name a user's function. Raises `SearchError` where another is not known."""
    own = []
    for name in names:
        if ":" in name:
            own.append(name)
        elif name not in known:
            raise SearchError(
                f"{name!r} is no value that is measured; known are {', '.join(known)} and package.module:function"
            )
    return own


def own_measure(name: str) -> Callable[[Any], Mapping[str, float]]:
    """A user's function `package.module:function` of a candidate as a measure of that name.

    Raises:
        SearchError: there is no such function; later, that it failed.
    """
    module_name, _, attribute = name.partition(":")
    function: Any
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SearchError(f"objective {name!r} cannot be imported: {' '.join(str(error).split())}") from None
    if not callable(function):
        raise SearchError(
            f"objective {name!r} is a {type(function).__name__}; a function of a genotype, or of a design, is expected"
        )

    def measure(candidate: Any) -> Mapping[str, float]:
        try:
            return {name: float(function(candidate))}
        except NasrecError:
            raise
        except Exception as error:
            raise SearchError(f"objective {name!r} failed: {type(error).__name__}: {error!s:.200}") from error

    return measure
