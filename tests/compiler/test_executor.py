"""The executor against the interpreter, op by op, on random graphs in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from nasrec.compiler.executor import EXECUTE, execute, slices_of
from nasrec_ir import Graph, interpret
from tests.ir.random_graphs import random_inputs, random_parameters
from tests.ir.test_pruning import executable

SEEDS = range(120)


@cache
def graph_of(seed: int) -> Graph:
    return executable(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_equal_the_interpreter(seed: int) -> None:
    graph = graph_of(seed)
    values, inputs = random_parameters(graph, seed), random_inputs(graph, seed)
    stored = {name: torch.from_numpy(value) for name, value in values.items()}
    got = execute(graph, slices_of(stored.__getitem__), [torch.from_numpy(inputs[node.id]) for node in graph.inputs])
    want = interpret(graph, values, inputs)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-11 * max(1.0, float(np.abs(want).max(initial=0))))


def test_they_hold_every_op() -> None:
    assert set(EXECUTE) <= {node.op for seed in SEEDS for node in graph_of(seed)}
