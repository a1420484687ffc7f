"""Random genotypes of every space: all ways of running one agree, and none can drift from the others."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nasrec import CompiledModel, FeatureSpec, Genotype, SearchSpace, Supernet
from nasrec.compiler import compile_graph
from nasrec.compiler.slices import take
from nasrec.interop import release
from nasrec.lowering import lower
from nasrec.lowering.graphs import graph_of
from nasrec.lowering.store import lower_path
from nasrec_ir import Graph, dump, interpret, parse, verify
from nasrec_ir.codegen import generate

Array = npt.NDArray[Any]

WIDTHS = {"dense_dims": (16, 32), "sparse_dims": (16, 32)}
BATCH = 3


def space(name: str, num_blocks: int) -> SearchSpace:
    """Narrow relatives of the published spaces, and one of a user's own making."""
    match name:
        case "full":
            return SearchSpace.full(num_blocks, **WIDTHS)
        case "small":
            return SearchSpace.small(num_blocks, **WIDTHS)
        case "codesign":
            return SearchSpace.codesign(num_blocks, **WIDTHS)
        case _:  # odd widths, one side without a merger, few connections, no layer norm
            return SearchSpace(
                num_blocks=num_blocks,
                dense_operators=("dot_product", "sigmoid_gating", "sum"),
                dense_widths=(3, 17, 64, 128),
                sparse_widths=(1, 5, 8),
                fm=(True,),
                max_inputs=3,
                max_gate_inputs=2,
                layer_norm=(False,),
            )


FEATURES = (
    FeatureSpec(5, [4, 9, 2], 16),
    FeatureSpec(0, [3], 8),
    FeatureSpec(1, [5] * 16, 16),  # as many fields as the narrowest width
    FeatureSpec(16, [4] * 5, 16),  # as many dense features as channels, and as the narrowest width
)

SPACES = ("full", "small", "codesign", "custom")


@cache
def store(name: str, num_blocks: int, which: int) -> Supernet:
    """A supernet with sliced masking, in float64, every parameter at random."""
    members = space(name, num_blocks)
    net = Supernet(members, FEATURES[which], masking="sliced", layer_norm=members.layer_norm[0], seed=0).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net


@cache
def batch(which: int) -> tuple[torch.Tensor, torch.Tensor]:
    features, rng = FEATURES[which], np.random.default_rng(which)
    dense = torch.from_numpy(rng.normal(size=(BATCH, features.num_dense)))
    sparse = np.stack([rng.integers(0, rows, BATCH) for rows in features.cardinalities], axis=1)
    return dense, torch.from_numpy(sparse)


def numbers(graph: Graph) -> dict[str, Array]:
    """Random values for a graph's parameters, the same for the same name."""
    found = {}
    for ref in graph.parameters().values():
        rng = np.random.default_rng(zlib.crc32(ref.name.encode()))
        found[ref.name] = rng.normal(size=ref.shape) / max(1, ref.shape[-1]) ** 0.5
    return found


def agree(got: torch.Tensor | Array, want: torch.Tensor | Array) -> None:
    got, want = (x.detach().numpy() if isinstance(x, torch.Tensor) else x for x in (got, want))
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11 * scale)


def shape_of(graph: Graph) -> list[tuple[object, ...]]:
    """A graph without its parameters' names and places: what runs."""
    roles = lambda node: tuple((role, ref.view_shape) for role, ref in node.params)  # noqa: E731
    return [(node.id, node.op, node.inputs, node.attrs, node.type, roles(node)) for node in graph]


def check(genotype: Genotype, net: Supernet, which: int, *, thorough: bool) -> None:
    features, data = FEATURES[which], batch(which)
    lowered, graph = lower(genotype, features), graph_of(genotype, features)
    verify(lowered)
    verify(graph, "executable")

    # Text and source.
    twin = parse(dump(graph))
    assert twin == graph
    model = compile_graph(graph, seed=0).double()
    assert generate(twin).text == model.source, "the source depends on the graph alone"

    # The stand-alone model: optimised, generated and run by torch, against the definition run by numpy.
    state = numbers(lowered)
    release.load_state_dict(model, state)
    agree(model(*data), interpret(lowered, state, data))

    # The path of a store: the same graph on slices of shared parameters.
    path = net.graph(genotype)
    assert shape_of(path) == shape_of(graph)
    copy_slices(model, path, net)
    shared = net(*data, genotype)
    agree(model(*data), shared)
    stored = stored_arrays(net)
    definition = lower_path(genotype, net.space, features, "sliced")
    agree(shared, interpret(definition, stored, data))

    if thorough:
        assert parse(dump(lowered)) == lowered
        assert parse(dump(path)) == path
        agree(interpret(graph, state, data), interpret(lowered, state, data))
        agree(net.extract(genotype)(*data), shared)


def copy_slices(model: CompiledModel, path: Graph, net: Supernet) -> None:
    with torch.no_grad():
        for node in path:
            for role, ref in node.params:
                target = model.get_parameter(f"{model.layer_names[node.id]}.{role}")
                target.copy_(take(net.get_parameter(ref.name), ref))


def stored_arrays(net: Supernet) -> Mapping[str, Array]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("which", range(len(FEATURES)))
@pytest.mark.parametrize("name", SPACES)
def test_random_genotypes(name: str, which: int) -> None:
    """Seven blocks, any operators and connections."""
    members = space(name, 7)
    rng = np.random.default_rng([3, which])
    for number in range(7):
        check(members.sample(rng), store(name, 7, which), which, thorough=number < 2)


@pytest.mark.slow
@pytest.mark.parametrize("which", range(len(FEATURES)))
@pytest.mark.parametrize("name", SPACES)
def test_a_thousand_random_genotypes(name: str, which: int) -> None:
    """A thousand of each space, of one to four blocks."""
    rng = np.random.default_rng([4, which])
    for number in range(250):
        num_blocks = 1 + number % 4
        check(space(name, num_blocks).sample(rng), store(name, num_blocks, which), which, thorough=number % 25 == 0)


@pytest.mark.parametrize("name", SPACES)
def test_full_width_masking_agrees_with_its_definition(name: str) -> None:
    """At full width with masks: the optimised graph skips what the masks take away, and computes the same.

    In floats: the scale of a quantised weight is that of the slice left, see tests/supernet/test_quantised.py.
    """
    members = replace(space(name, 4), operator_bits=(), activation_bits=())
    rng = np.random.default_rng(6)
    for which, features in enumerate(FEATURES):
        net = Supernet(members, features, masking="full_width", layer_norm=members.layer_norm[0], seed=1).double()
        for _ in range(3):
            genotype = members.sample(rng)
            definition = lower_path(genotype, members, features, "full_width")
            logits = net(*batch(which), genotype)
            agree(logits, interpret(definition, stored_arrays(net), batch(which)))
            agree(net.extract(genotype)(*batch(which)), logits)
            assert parse(dump(net.graph(genotype))) == net.graph(genotype)
