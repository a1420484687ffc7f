"""A sweep node by node is the model: same logits, same gradients, every node timed once in order."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import nasrec
from nasrec import FeatureSpec, Genotype, SearchSpace, Supernet
from nasrec.profiling.clock import clock_of
from nasrec.profiling.subject import Batch, Subject, compiled_model, supernet_path
from nasrec.profiling.sweep import forward_sweep, step_sweep, still

SPACE = SearchSpace.full(num_blocks=3, dense_dims=(16, 32), sparse_dims=(16, 32))


@pytest.fixture(params=["compiled", "published", "sliced"])
def subject(request: pytest.FixtureRequest, device: str, genotype: Genotype, features: FeatureSpec) -> Subject:
    place = torch.device(device)
    batch = Batch.random(features, 6, device=place, seed=1)
    if request.param == "compiled":
        return compiled_model(nasrec.compile(genotype, features, seed=0).to(place), batch)
    net = Supernet(SPACE, features, masking=request.param, seed=0).to(place)
    return supernet_path(net, genotype, batch)


def untouched_gradients(subject: Subject) -> list[torch.Tensor | None]:
    for parameter in subject.parameters:
        parameter.grad = None
    batch = subject.batch
    binary_cross_entropy_with_logits(subject.model(batch.dense, batch.sparse), batch.label).backward()
    return [parameter.grad for parameter in subject.parameters]


def optimiser(subject: Subject) -> torch.optim.Optimizer:
    return torch.optim.SGD(subject.parameters, lr=0.0)


def test_forward_sweep_gives_the_models_logits(subject: Subject) -> None:
    clock = clock_of(subject.batch.dense.device)
    laps, logits = forward_sweep(subject, clock)
    clock.wait()
    torch.testing.assert_close(logits, subject.model(subject.batch.dense, subject.batch.sparse))
    assert not logits.requires_grad
    assert [lap.name for lap in laps] == [node.id for node in subject.graph if node.op != "input"]
    assert {lap.part for lap in laps} == {"forward"}
    for one, two in itertools.pairwise(laps):
        assert clock.seconds(one.first, one.last) >= 0
        assert clock.seconds(one.last, two.first) >= 0


def test_step_sweep_gives_the_models_gradients(subject: Subject) -> None:
    expected = untouched_gradients(subject)
    assert sum(gradient is not None for gradient in expected) > 10
    for _ in range(2):  # gradients of an earlier step must not be left
        laps, logits = step_sweep(subject, clock_of(subject.batch.dense.device), optimiser(subject))
    torch.testing.assert_close(logits, subject.model(subject.batch.dense, subject.batch.sparse).detach())
    for gradient, parameter in zip(expected, subject.parameters, strict=True):
        assert (gradient is None) == (parameter.grad is None)
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    forward = [lap.name for lap in laps if lap.part == "forward"]
    backward = [lap.name for lap in laps if lap.part == "backward"]
    assert forward == [bound.node.id for bound in subject.nodes]
    assert backward == [name for name in reversed(forward) if name in set(backward)]
    assert {"embedding", "final"} <= set(backward)
    parts = {lap.part for lap in laps}
    assert parts == {"forward", "backward", "loss", "gradient sums", "optimiser"} | (
        {"lowering"} if subject.lower else set()
    )


def test_a_step_at_rate_zero_changes_no_weight(subject: Subject) -> None:
    before = [parameter.detach().clone() for parameter in subject.parameters]
    step_sweep(subject, clock_of(subject.batch.dense.device), optimiser(subject))
    for old, parameter in zip(before, subject.parameters, strict=True):
        assert torch.equal(old, parameter)


def test_gradients_are_numerically_right(genotype: Genotype, features: FeatureSpec) -> None:
    """Not only like autograd's in one go: the loss falls as the gradient says."""
    batch = Batch.random(features, 5, device=torch.device("cpu"), seed=2)
    model = nasrec.compile(genotype, features, seed=0).double()
    subject = compiled_model(model, Batch(batch.dense.double(), batch.sparse, batch.label.double()))
    step_sweep(subject, clock_of(torch.device("cpu")), optimiser(subject))

    def loss() -> float:
        with torch.no_grad():
            logits = subject.model(subject.batch.dense, subject.batch.sparse)
            return float(binary_cross_entropy_with_logits(logits, subject.batch.label))

    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in subject.parameters]
    square = sum(float(g.square().sum()) for g in gradients)
    step, before = 1e-5, loss()
    with torch.no_grad():
        for parameter, gradient in zip(subject.parameters, gradients, strict=True):
            parameter -= step * gradient
    assert before - loss() == pytest.approx(step * square, rel=1e-2)


def test_still_nodes_are_those_that_only_rename(subject: Subject) -> None:
    forward, backward = still(subject, trained=True)
    ops = {bound.node.id: bound.node.op for bound in subject.nodes}
    assert {"flat", "logit"} <= forward
    assert {ops[name] for name in forward} <= {"reshape", "slice"}
    assert "flat" in backward and "add" in {ops[name] for name in backward}
    assert {ops[name] for name in backward} <= {"reshape", "add", "concat"}
    assert all(parameter.grad is None for parameter in subject.parameters)
    assert still(subject, trained=False) == (forward, set())


def test_random_rows_fit_the_columns(features: FeatureSpec, device: str) -> None:
    batch = Batch.random(features, 1000, device=torch.device(device), seed=3)
    assert batch.dense.shape == (1000, 3) and batch.sparse.shape == (1000, 4) and len(batch) == 1000
    assert batch.sparse.amax(0).tolist() == [10, 6, 4, 8] and batch.sparse.amin(0).tolist() == [0] * 4
    assert batch.label.unique().tolist() == [0.0, 1.0]
    again = Batch.random(features, 1000, device=torch.device(device), seed=3)
    assert torch.equal(batch.dense, again.dense) and torch.equal(batch.sparse, again.sparse)
    assert not torch.equal(batch.dense, Batch.random(features, 1000, device=torch.device(device), seed=4).dense)
