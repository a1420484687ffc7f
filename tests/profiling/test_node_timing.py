"""Timing node by node runs the model: same logits, same gradients, every node timed once in order."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import nasrec
from nasrec import FeatureSpec, Genotype, SearchSpace, Supernet
from nasrec.profiling.batch import Batch
from nasrec.profiling.clock import clock_of
from nasrec.profiling.node_timing import still, time_forward_nodes, time_step_nodes
from nasrec.profiling.workload import Training, Workload, compiled_model, supernet_path
from nasrec.supernet import Path

SPACE = SearchSpace.full(num_blocks=3, dense_dims=(16, 32), sparse_dims=(16, 32))


@pytest.fixture(params=["compiled", "full_width", "sliced"])
def workload(request: pytest.FixtureRequest, device: str, genotype: Genotype, features: FeatureSpec) -> Workload:
    place = torch.device(device)
    batch = Batch.random(features, 6, device=place, seed=1)
    if request.param == "compiled":
        return compiled_model(nasrec.compile(genotype, features, seed=0).to(place), batch, trained=True)
    net = Supernet(SPACE, features, masking=request.param, seed=0).to(place)
    return supernet_path(net, genotype, batch)


def training_of(workload: Workload) -> Training:
    assert workload.ours.training is not None
    return workload.ours.training


def gradients(workload: Workload) -> list[torch.Tensor | None]:
    """Of all parameters, and of a path's embeddings."""
    lookups = workload.ours.model.lookups if isinstance(workload.ours.model, Path) else []
    leaves = [leaf for bound in workload.nodes for leaf in bound.parameters] + [lookup.leaf for lookup in lookups]
    return [None if leaf.grad is None else leaf.grad.clone() for leaf in leaves]


def untouched_gradients(workload: Workload) -> list[torch.Tensor | None]:
    training_of(workload).forget()
    batch = workload.batch
    binary_cross_entropy_with_logits(workload.ours.model(batch.dense, batch.sparse), batch.label).backward()
    return gradients(workload)


def test_timing_a_pass_gives_the_models_logits(workload: Workload) -> None:
    clock = clock_of(workload.batch.dense.device)
    laps, logits = time_forward_nodes(workload, clock)
    clock.wait()
    torch.testing.assert_close(logits, workload.ours.model(workload.batch.dense, workload.batch.sparse))
    assert not logits.requires_grad
    assert [lap.name for lap in laps] == [node.id for node in workload.graph if node.op != "input"]
    assert {lap.part for lap in laps} == {"forward"}
    for one, two in itertools.pairwise(laps):
        assert clock.seconds(one.first, one.last) >= 0
        assert clock.seconds(one.last, two.first) >= 0


def test_timing_a_step_gives_the_models_gradients(workload: Workload) -> None:
    expected = untouched_gradients(workload)
    assert sum(gradient is not None for gradient in expected) > 10
    for _ in range(2):  # gradients of an earlier step must not be left
        laps, logits = time_step_nodes(workload, training_of(workload), clock_of(workload.batch.dense.device))
    torch.testing.assert_close(logits, workload.ours.model(workload.batch.dense, workload.batch.sparse).detach())
    time_step_nodes(workload, training_of(workload), clock_of(workload.batch.dense.device))
    found = gradients(workload)
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)
    forward = [lap.name for lap in laps if lap.part == "forward"]
    backward = [lap.name for lap in laps if lap.part == "backward"]
    assert forward == [bound.node.id for bound in workload.nodes]
    assert backward == [name for name in reversed(forward) if name in set(backward)]
    on_a_path = isinstance(workload.ours.model, Path)  # where embeddings are leaves
    assert "final" in backward and ("embedding" in backward) != on_a_path
    parts = {lap.part for lap in laps}
    assert parts == {"forward", "backward", "loss", "gradient sums", "optimiser"} | (
        {"lowering"} if on_a_path else set()
    )


def test_a_step_at_rate_zero_changes_no_weight(workload: Workload) -> None:
    leaves = [leaf for bound in workload.nodes for leaf in bound.parameters]
    before = [leaf.detach().clone() for leaf in leaves]
    time_step_nodes(workload, training_of(workload), clock_of(workload.batch.dense.device))
    for old, leaf in zip(before, leaves, strict=True):
        assert torch.equal(old, leaf)


def test_every_way_is_trained_the_same(workload: Workload) -> None:
    """A rival gets the same gradients, and its optimiser takes them."""
    expected = untouched_gradients(workload)
    eager = workload.backends["eager"]()
    assert eager.training is not None
    eager.training.forget()
    batch = workload.batch
    binary_cross_entropy_with_logits(eager.model(batch.dense, batch.sparse), batch.label).backward()
    eager.training.update()
    for one, other in zip(expected, gradients(workload), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def test_gradients_are_numerically_right(genotype: Genotype, features: FeatureSpec) -> None:
    """Not only like autograd's in one go: the loss falls as the gradient says."""
    batch = Batch.random(features, 5, device=torch.device("cpu"), seed=2)
    model = nasrec.compile(genotype, features, seed=0).double()
    double = Batch(batch.dense.double(), batch.sparse, batch.label.double())
    workload = compiled_model(model, double, trained=True)
    time_step_nodes(workload, training_of(workload), clock_of(torch.device("cpu")))

    def loss() -> float:
        with torch.no_grad():
            return float(binary_cross_entropy_with_logits(model(double.dense, double.sparse), double.label))

    found = [(p, torch.zeros_like(p) if p.grad is None else p.grad) for p in model.parameters()]
    square = sum(float(gradient.square().sum()) for _, gradient in found)
    step, before = 1e-5, loss()
    with torch.no_grad():
        for parameter, gradient in found:
            parameter -= step * gradient
    assert before - loss() == pytest.approx(step * square, rel=1e-2)


def test_still_nodes_are_those_that_only_rename(workload: Workload) -> None:
    forward, backward = still(workload, training_of(workload))
    ops = {bound.node.id: bound.node.op for bound in workload.nodes}
    assert {"flat", "logit"} <= forward
    assert {ops[name] for name in forward} <= {"reshape", "slice"}
    assert "flat" in backward and "add" in {ops[name] for name in backward}
    assert {ops[name] for name in backward} <= {"reshape", "add", "concat"}
    assert all(gradient is None for gradient in gradients(workload))
    assert still(workload, None) == (forward, set())


def test_random_rows_fit_the_columns(features: FeatureSpec, device: str) -> None:
    batch = Batch.random(features, 1000, device=torch.device(device), seed=3)
    assert batch.dense.shape == (1000, 3) and batch.sparse.shape == (1000, 4) and len(batch) == 1000
    assert batch.sparse.amax(0).tolist() == [10, 6, 4, 8] and batch.sparse.amin(0).tolist() == [0] * 4
    assert batch.label.unique().tolist() == [0.0, 1.0]
    again = Batch.random(features, 1000, device=torch.device(device), seed=3)
    assert torch.equal(batch.dense, again.dense) and torch.equal(batch.sparse, again.sparse)
    assert not torch.equal(batch.dense, Batch.random(features, 1000, device=torch.device(device), seed=4).dense)
