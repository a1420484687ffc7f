"""In-memory estimates: one layer, one 7-block genotype, and a population as a search asks for it.

MNSIM 2.0 itself takes 37 ms for a layer and 171-200 ms for a network of 20 layers (its own classes, without output, on
another machine); it cannot be run here, so that those figures are for orientation only.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import nasrec
from benchmarks.common import arguments, report
from nasrec import SearchSpace, presets
from nasrec.lowering import lower
from nasrec_ir.passes import PruneDead
from nasrec_pim import Hardware, chain_cost, estimate, estimate_many, linear_cost, map_graph

CHIPS = ("mnsim", "isaac-like", "default")
WIDTHS = (13, 512, 1024, 768, 256, 1024, 512, 64, 1024, 1024, 128, 768, 512, 1024, 256, 256, 64, 16, 512, 256, 1)
LAYERS = list(itertools.pairwise(WIDTHS))
"""A chain of 20 layers as wide as those of a full search space."""


def main() -> None:
    options = arguments(__doc__.splitlines()[0], population=60)
    space, rng = SearchSpace.full(num_blocks=7), np.random.default_rng(0)
    features = presets.PRESETS["criteo-full"].features()
    genotypes = [space.sample(rng) for _ in range(options.population)]
    graphs = [nasrec.graph_of(genotype, features) for genotype in genotypes]
    graph = nasrec.graph_of(presets.load("criteo-full"), features)

    jobs: dict[str, tuple[int, Callable[[], object]]] = {
        "linear_cost, 1024 x 1024": (1, lambda: linear_cost(1024, 1024)),
        "chain_cost, 20 layers": (1, lambda: chain_cost(LAYERS)),
    }
    for chip in CHIPS:
        warm = Hardware.preset(chip)
        mapping = map_graph(graph, warm)
        estimate_many(graphs, warm)
        jobs |= {
            f"{chip}: estimate, criteo-full": (1, lambda m=mapping: estimate(m)),
            f"{chip}: map and estimate, criteo-full": (1, lambda h=warm: estimate(map_graph(graph, h))),
            f"{chip}: map and estimate, nothing cached": (1, lambda h=warm: estimate(map_graph(graph, fresh(h)))),
            f"{chip}: estimate_many, random": (len(graphs), lambda h=warm: estimate_many(graphs, h)),
            f"{chip}: estimate_many, nothing cached": (len(graphs), lambda h=warm: estimate_many(graphs, fresh(h))),
        }
    pairs = itertools.cycle(genotypes)
    jobs["lowering and pruning a genotype"] = (1, lambda: PruneDead().apply(lower(next(pairs), features)))
    report("pim_estimate", rows(jobs, options.rounds), options.json)


def fresh(hardware: Hardware) -> Hardware:
    """An equal chip that remembers nothing."""
    return replace(hardware)


def rows(jobs: dict[str, tuple[int, Callable[[], object]]], rounds: int) -> list[dict[str, Any]]:
    """Times all jobs in turns, so that a change of the machine's speed meets all of them.

    `cpu_ms` is the least processor time of a round: what is left of a machine that others use, too.
    """
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    gc.collect()
    for _ in range(rounds):
        for name, (_, run) in jobs.items():
            started, worked = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - worked)
    out = []
    for name, (items, _) in jobs.items():
        median, best = statistics.median(wall[name]) / items, min(cpu[name]) / items
        times = {"median_ms": round(1e3 * median, 3), "cpu_ms": round(1e3 * best, 3)}
        out.append({"job": name, **times, "per_second": round(1 / median), "per_cpu_second": round(1 / best)})
    return out


if __name__ == "__main__":
    main()
