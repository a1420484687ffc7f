"""Quantised paths of a supernet: what the oracle computes, on scales of the active slice, learnt straight through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nasrec import FeatureSpec, SearchSpace, Supernet
from nasrec.lowering.masking import Masking
from nasrec_ir import interpret

FEATURES = FeatureSpec(num_dense=5, cardinalities=[20] * 7, embedding_dim=16)
SPACES = {
    "codesign": SearchSpace.codesign(3, (16, 32), (16, 32)),
    "full": SearchSpace.full(3, (16, 32), (16, 32), operator_bits=(4, 6, 8), activation_bits=(5, 8)),
}


def rows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return dense, torch.randint(0, 20, (count, 7), generator=generator)


@pytest.mark.parametrize("masking", ["full_width", "sliced"])
@pytest.mark.parametrize("name", SPACES)
def test_a_path_computes_what_its_graph_says(name: str, masking: Masking) -> None:
    net, rng = Supernet(SPACES[name], FEATURES, masking=masking, seed=0).double(), np.random.default_rng(1)
    for _ in range(3):
        genotype = SPACES[name].sample(rng)
        graph = net.graph(genotype)
        assert any(dict(node.attrs).get("act_bits") for node in graph)
        logits = net(*rows(40), genotype).detach()
        oracle = interpret(graph, net.state_dict(), rows(40))
        # A value that lies between two integers may be rounded either way, which changes its row.
        same = np.isclose(logits.numpy(), oracle, rtol=1e-9, atol=1e-11)
        assert same.mean() > 0.9
        torch.testing.assert_close(net.extract(genotype)(*rows(40)), logits)
        path = net.path(genotype)
        torch.testing.assert_close(path(*rows(40)).detach(), logits)


def test_bits_matter_and_gradients_pass() -> None:
    space = SPACES["codesign"]
    net, genotype = Supernet(space, FEATURES, masking="sliced", seed=0), space.sample(np.random.default_rng(2))
    dense, sparse = rows(40)
    path = net.path(genotype)
    logits = path(dense.float(), sparse)
    floats = Supernet(SearchSpace.small(3, (16, 32), (16, 32)), FEATURES, masking="sliced", seed=0)
    plain = replace(genotype, blocks=tuple(replace(b, operator_bits=(), activation_bits=()) for b in genotype.blocks))
    gap = (logits - floats(dense.float(), sparse, plain)).abs().max()
    assert 1e-4 < gap < 1
    logits.sum().backward()
    assert all(t.leaf.grad is not None and t.leaf.grad.isfinite().all() for t in path.touched)
    assert sum(float(t.leaf.grad.abs().sum()) for t in path.touched) > 0
