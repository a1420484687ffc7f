"""Dropout added to lowered graphs: where, without effect on inference, parameters and their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nasrec_ir
from nasrec import FeatureSpec, SearchSpace, presets
from nasrec.compiler import compile_graph
from nasrec.lowering.graphs import graph_of
from nasrec_ir.errors import PassError
from nasrec_ir.ops import attributes
from nasrec_ir.passes import Dropout

FEATURES = FeatureSpec(3, [7, 5, 6], 8)


def test_rate_zero_gives_the_very_graph() -> None:
    graph = graph_of(presets.load("criteo-full"), FEATURES)
    assert Dropout(0.0).apply(graph) is graph


@pytest.mark.parametrize("name", ["criteo-full", "kdd-full", "avazu-small"])
def test_behind_every_norm_and_before_the_last_product(name: str) -> None:
    plain = graph_of(presets.load(name), FEATURES)
    graph = graph_of(presets.load(name), FEATURES, dropout=0.25)
    nasrec_ir.verify(graph, "executable")
    assert nasrec_ir.parse(nasrec_ir.dump(graph)) == graph
    drops = [node for node in graph if node.op == "dropout"]
    assert drops and all(attributes(node)["rate"] == 0.25 for node in drops)
    assert all(graph[operand].op == "dropout" for operand in graph["final"].inputs)
    sources = {operand for node in drops for operand in node.inputs}
    normed = {
        node.id
        for node in plain
        if node.op == "field_attention" or (node.op in ("linear", "field_linear") and attributes(node)["norm"])
    }
    assert normed <= sources
    assert len(drops) == len(sources)  # nothing is dropped twice


def test_inference_and_parameters_stay_and_training_draws() -> None:
    genotype = SearchSpace.full(2, (16, 32), (16,)).sample(np.random.default_rng(3))
    plain = compile_graph(graph_of(genotype, FEATURES), seed=0)
    dropped = compile_graph(graph_of(genotype, FEATURES, dropout=0.5), seed=1)
    dropped.load_state_dict(plain.state_dict())
    dense, sparse = torch.randn(6, 3), torch.randint(5, (6, 3))
    torch.testing.assert_close(dropped.eval()(dense, sparse), plain.eval()(dense, sparse), rtol=0, atol=0)
    torch.manual_seed(0)
    dropped.train()
    assert not torch.equal(dropped(dense, sparse), dropped(dense, sparse))


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan"), "x"])
def test_a_rate_that_is_no_share(rate: float) -> None:
    with pytest.raises(PassError, match="dropout: the rate must be a number from 0 to below 1, not"):
        Dropout(rate)
