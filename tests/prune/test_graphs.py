"""Pruned graphs of random genotypes: equal to the masked original, and usable like any other graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import nasrec_ir
import nasrec_pim
from nasrec import FeatureSpec, SearchSpace, baselines
from nasrec.compiler import compile_graph, tensor_of
from nasrec.export import export_onnx
from nasrec.lowering.graphs import graph_of
from nasrec.prune import inherit
from nasrec_ir import Graph, ParamRef, cost, interpret, verify
from nasrec_ir.codegen import generate
from nasrec_ir.ops import attributes
from nasrec_ir.pruning import Cut, Pruned, couple, remove
from tests.ir.masked import run_masked

WIDTHS = {"dense_dims": (16, 32), "sparse_dims": (16, 32)}
FEATURES = (FeatureSpec(5, [4, 9, 2], 16), FeatureSpec(0, [3] * 4, 8), FeatureSpec(16, [4] * 5, 16))


def random_model(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    make = (SearchSpace.full, SearchSpace.small, SearchSpace.codesign)[seed % 3]
    # In floats: a quantised row's scale follows from its largest entry, which may leave.
    space = replace(make(3, **WIDTHS), operator_bits=(), activation_bits=())
    return graph_of(space.sample(rng), FEATURES[seed // 3 % 3])


def prune_at_random(graph: Graph, seed: int, share: float = 0.4) -> tuple[dict[str, Cut], Pruned]:
    """Random structures leave, as many as leave two rows to every node."""
    rng, coupling = np.random.default_rng([seed, 1]), couple(graph)
    left = {node: len(labels) for node, labels in coupling.rows.items()}
    leaving = []
    for structure in rng.permutation(coupling.count)[: round(share * coupling.count)]:
        counts = {node: int((labels == structure).sum()) for node, labels in coupling.rows.items()}
        if all(left[node] - count >= min(2, left[node]) for node, count in counts.items()):
            leaving.append(int(structure))
            left = {node: left[node] - counts[node] for node in left}
    cuts = coupling.cuts(leaving)
    return cuts, remove(graph, cuts)


@pytest.mark.parametrize("seed", range(12))
def test_random_genotypes(seed: int) -> None:
    """Against the masked original in double precision; the compiled model with inherited weights; round trips."""
    graph = random_model(seed)
    cuts, pruned = prune_at_random(graph, seed)
    parent = compile_graph(graph, seed=seed).double()
    with torch.no_grad():
        for parameter in parent.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    child = compile_graph(pruned.graph, seed=0).double()
    inherit(child, pruned, parent)

    rng, (dense, sparse) = np.random.default_rng(seed), graph.inputs
    tables = [ref.shape[0] for node in graph if node.op == "embedding" for _, ref in node.params]
    inputs = {
        dense.id: rng.normal(size=(3, *dense.type.shape)),
        sparse.id: np.stack([rng.integers(0, rows, 3) for rows in tables], axis=1),
    }
    values = {ref.name: tensor_of(parent, node, role).detach().numpy() for node in graph for role, ref in node.params}
    own = {ref.name: ref for ref in graph.parameters().values()}
    stored = {}
    for name, value in values.items():  # the masked run cuts slices out of parameters of full size
        ref = own[name]
        full = np.zeros(ref.shape)
        full[np.ix_(*(np.concatenate([np.arange(*r) for r in axis] or [np.arange(0)]) for axis in
                      ((ref.rows, ref.columns) if len(ref.shape) == 2 else (ref.rows,))))] = value  # fmt: skip
        stored[name] = full
    want = run_masked(graph, stored, inputs, cuts)
    small = {ref.name: tensor_of(child, node, role) for node in pruned.graph for role, ref in node.params}
    got = interpret(pruned.graph, small, inputs)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)
    logits = child(torch.from_numpy(inputs[dense.id]), torch.from_numpy(inputs[sparse.id]))
    np.testing.assert_allclose(logits.detach().numpy(), want, rtol=1e-6, atol=1e-7)

    assert cost(pruned.graph).macs < cost(graph).macs and cost(pruned.graph).parameters < cost(graph).parameters
    assert nasrec_ir.parse(nasrec_ir.dump(pruned.graph)) == pruned.graph
    taken = [node for node in pruned.graph if node.op == "take"]
    assert all(pruned.graph[node.inputs[0]].op == "input" for node in taken)  # nothing else is gathered
    assert len([node for node in pruned.graph if node.op in ("pad", "slice", "concat")]) <= len(graph)


def test_rounds_take_from_the_arguments_once() -> None:
    graph = baselines.build("dlrm", FEATURES[2], bottom=(32, 16), hidden=(32,))
    for seed in range(3):
        _, pruned = prune_at_random(graph, seed, 0.3)
        graph = pruned.graph
    assert [node.inputs for node in graph if node.op == "take"] == [("dense",), ("sparse",)]


@pytest.mark.parametrize("name", sorted(baselines.BASELINES))
def test_baselines_can_be_pruned(name: str) -> None:
    graph = baselines.build(name, FEATURES[2])
    cuts, pruned = prune_at_random(graph, 0)
    assert cuts and cost(pruned.graph).macs < cost(graph).macs
    assert generate(pruned.graph).text != generate(graph).text


@pytest.mark.slow
def test_a_pruned_model_is_exported_and_mapped(tmp_path: object) -> None:
    graph = random_model(2)
    _, pruned = prune_at_random(graph, 2)
    model = compile_graph(pruned.graph, seed=0)
    exported = export_onnx(model, f"{tmp_path}/model.onnx")
    assert exported.max_difference < 1e-4
    chip = nasrec_pim.Hardware.mnsim(xbar=64)
    whole, small = (nasrec_pim.estimate(nasrec_pim.map_graph(g, chip)) for g in (graph, pruned.graph))
    assert small.energy_nJ < whole.energy_nJ and small.mapping.tiles <= whole.mapping.tiles
    reloaded = compile_graph(nasrec_ir.parse(nasrec_ir.dump(pruned.graph)), seed=1)
    reloaded.load_state_dict(model.state_dict())
    dense, sparse = torch.randn(4, *graph.inputs[0].type.shape), torch.zeros(4, *graph.inputs[1].type.shape).long()
    torch.testing.assert_close(reloaded(dense, sparse), model(dense, sparse))


@pytest.mark.parametrize("seed", range(4))
def test_precisions_stay_with_their_products(seed: int) -> None:
    """Of quantised products with stored scales of their operands."""
    rng = np.random.default_rng(seed)
    model = SearchSpace.codesign(3, **WIDTHS).sample(rng)
    quantised = graph_of(model, FEATURES[0])
    nodes = [
        replace(node, params=(*node.params, ("act_scale", ParamRef(f"{node.id}.act_scale", (1,)))))
        if dict(node.attrs).get("act_bits") and node.op in ("linear", "field_linear")
        else node
        for node in quantised
    ]
    graph = Graph(quantised.name, nodes, quantised.output)
    verify(graph, "executable")
    _, pruned = prune_at_random(graph, seed)
    for node in pruned.graph:
        if node.op in ("linear", "field_linear"):
            before = graph[node.id]
            for name in ("weight_bits", "act_bits", "per_tensor"):
                assert attributes(node)[name] == attributes(before)[name]
            assert node.param("act_scale") == before.param("act_scale")
    child, parent = (compile_graph(one, seed=seed) for one in (pruned.graph, graph))
    inherit(child, pruned, parent)
    with torch.no_grad():
        for module in child.modules():
            if getattr(module, "act_scale", None) is not None:
                module.act_scale.fill_(0.1)
    logits = child(torch.randn(3, 5), torch.zeros(3, 3, dtype=torch.int64))
    assert logits.shape == (3,) and logits.isfinite().all()
