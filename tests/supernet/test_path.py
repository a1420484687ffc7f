"""A path's step on leaf views against ordinary autograd and torch's optimiser on the whole store."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrec.errors import StateDictError, TrainError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.lowering.masking import Masking
from nasrec.space import SearchSpace
from nasrec.supernet import PathAdagrad, Supernet

FEATURES = FeatureSpec(num_dense=5, cardinalities=[7, 30, 4], embedding_dim=8)
MASKINGS: tuple[Masking, ...] = ("full_width", "sliced")


def space(*, small: bool = False) -> SearchSpace:
    make = SearchSpace.small if small else SearchSpace.full
    return make(num_blocks=3, dense_dims=(16, 32, 64), sparse_dims=(16, 32))


def batch(size: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    dense = torch.randn(size, 5, generator=random, dtype=torch.float64)
    sparse = torch.stack([torch.randint(rows, (size,), generator=random) for rows in FEATURES.cardinalities], 1)
    return dense, sparse, torch.randint(2, (size,), generator=random).double()


def draws(count: int, seed: int = 0, **options: str) -> list[Genotype]:
    rng = np.random.default_rng(seed)
    return [space().sample(rng, **options) for _ in range(count)]  # type: ignore[arg-type]


def loss_of(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, target)


@pytest.mark.parametrize("masking", MASKINGS)
def test_logits_and_gradients_are_those_of_the_whole_store(masking: Masking) -> None:
    net = Supernet(space(), FEATURES, masking=masking, seed=0).double()
    dense, sparse, target = batch()
    for genotype in draws(12):
        net.zero_grad()
        logits = net(dense, sparse, genotype)
        loss_of(logits, target).backward()
        path = net.path(genotype)
        own = path(dense, sparse)
        assert torch.equal(own, logits)
        before = {name: parameter.grad for name, parameter in net.named_parameters()}
        net.zero_grad()
        loss_of(own, target).backward()
        assert all(parameter.grad is None for parameter in net.parameters())
        for name, grad in before.items():
            expected = torch.zeros_like(net.get_parameter(name)) if grad is None else grad
            torch.testing.assert_close(whole_gradient(path, net, name), expected, rtol=1e-10, atol=1e-12)


def whole_gradient(path: object, net: Supernet, name: str) -> Tensor:
    """A stored parameter's gradient, put together from a path's leaves."""
    whole = torch.zeros_like(net.get_parameter(name))
    for touched in path.touched:  # type: ignore[attr-defined]
        if touched.name == name and touched.leaf.grad is not None:
            for cell in touched.cells:
                whole[cell.stored] += touched.leaf.grad[cell.taken]
    for lookup in path.lookups:  # type: ignore[attr-defined]
        for field, table in enumerate(lookup.names):
            if table == name:
                whole.index_add_(0, lookup.ids[:, field], lookup.leaf.grad[:, field])
    return whole


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("small", [False, True])
def test_steps_equal_the_dense_optimiser(masking: Masking, small: bool) -> None:
    net = Supernet(space(small=small), FEATURES, masking=masking, seed=0).double()
    dense_net = copy.deepcopy(net)
    ours = PathAdagrad(net, 0.1, eps=1e-3, initial_accumulator_value=0.01)
    torchs = torch.optim.Adagrad(dense_net.parameters(), 0.1, eps=1e-3, initial_accumulator_value=0.01)
    rng = np.random.default_rng(1)
    for step in range(8):
        genotype = net.space.sample(rng)
        dense, sparse, target = batch(seed=step)
        path = net.path(genotype)
        loss_of(path(dense, sparse), target).backward()
        ours.step(path)
        torchs.zero_grad(set_to_none=False)
        loss_of(dense_net(dense, sparse, genotype), target).backward()
        torchs.step()
    for name, parameter in net.named_parameters():
        expected = dense_net.get_parameter(name)
        torch.testing.assert_close(parameter, expected, rtol=1e-9, atol=1e-11, msg=lambda text, n=name: f"{n}: {text}")
        torch.testing.assert_close(ours.sums[name], torchs.state[expected]["sum"], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("masking", MASKINGS)
def test_a_step_leaves_everything_else_as_it_was(masking: Masking) -> None:
    net = Supernet(space(), FEATURES, masking=masking, seed=0)
    before = copy.deepcopy(net.state_dict())
    optimiser = PathAdagrad(net)
    (genotype,) = draws(1, seed=3)
    dense, sparse, target = batch()
    path = net.path(genotype)
    loss_of(path(dense.float(), sparse), target.float()).backward()
    optimiser.step(path)
    used: dict[str, Tensor] = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in before.items()}
    for touched in path.touched:
        for cell in touched.cells:
            used[touched.name][cell.stored] = True
    for lookup in path.lookups:
        for field, table in enumerate(lookup.names):
            used[table][lookup.ids[:, field]] = True
    changed = 0
    for name, value in net.state_dict().items():
        assert torch.equal(value[~used[name]], before[name][~used[name]]), name
        changed += int((value != before[name]).sum())
    assert changed > 0


def test_two_runs_with_one_seed_are_equal() -> None:
    results = []
    for _ in range(2):
        net = Supernet(space(), FEATURES, masking="sliced", seed=4)
        optimiser = PathAdagrad(net)
        for step, genotype in enumerate(draws(4, seed=5, operators="single", counts="binomial")):
            dense, sparse, target = batch(64, seed=step)
            path = net.path(genotype)
            loss_of(path(dense.float(), sparse), target.float()).backward()
            optimiser.step(path)
        results.append(net.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_a_path_can_be_stepped_again() -> None:
    net = Supernet(space(), FEATURES, seed=0)
    optimiser = PathAdagrad(net, 0.05)
    (genotype,) = draws(1, seed=6)
    dense, sparse, target = batch(32)
    path = net.path(genotype)
    losses = []
    for _ in range(15):
        loss = loss_of(path(dense.float(), sparse), target.float())
        loss.backward()
        optimiser.step(path)
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("masking", MASKINGS)
def test_a_step_in_bfloat16_is_near_the_one_in_float32(masking: Masking) -> None:
    (genotype,) = draws(1, seed=7)
    dense, sparse, target = batch(64)
    moves = []
    for dtype in (None, torch.bfloat16):
        net = Supernet(space(), FEATURES, masking=masking, seed=0)
        before = copy.deepcopy(net.state_dict())
        # A large eps makes a move proportional to the gradient, small ones included.
        optimiser = PathAdagrad(net, 0.1, eps=10.0)
        path = net.path(genotype, dtype=dtype)
        logits = path(dense.float(), sparse)
        assert logits.dtype == (dtype or torch.float32)
        loss_of(logits.float(), target.float()).backward()
        optimiser.step(path)
        assert all(value.dtype == torch.float32 for value in net.state_dict().values())
        moves.append(torch.cat([(value - before[name]).flatten() for name, value in net.state_dict().items()]))
    assert torch.nn.functional.cosine_similarity(moves[0], moves[1], dim=0) > 0.99
    assert moves[1].norm() == pytest.approx(moves[0].norm().item(), rel=0.1)


def test_state_survives_a_save() -> None:
    net = Supernet(space(), FEATURES, seed=0)
    first = PathAdagrad(net, 0.05, eps=1e-4)
    first.sums["_final.bias"].fill_(3.0)
    second = PathAdagrad(net)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.lr == 0.05 and second.eps == 1e-4
    assert torch.equal(second.sums["_final.bias"], first.sums["_final.bias"])
    assert second.sums["_final.bias"] is not first.sums["_final.bias"]


def test_bad_use_is_one_clear_error() -> None:
    net = Supernet(space(), FEATURES, seed=0)
    with pytest.raises(TrainError, match="lr must be a number from 0, got -1"):
        PathAdagrad(net, -1)
    optimiser = PathAdagrad(net)
    with pytest.raises(TrainError, match=r"has no gradients; call loss\.backward"):
        optimiser.step(net.path(draws(1)[0]))
    state = optimiser.state_dict()
    with pytest.raises(StateDictError, match=r"_final.bias is in one of them only"):
        optimiser.load_state_dict(state | {"sums": {k: v for k, v in state["sums"].items() if k != "_final.bias"}})
    with pytest.raises(StateDictError, match=r"sums of _final.bias: expected \[1\], got \[2\]"):
        optimiser.load_state_dict(state | {"sums": state["sums"] | {"_final.bias": torch.zeros(2)}})
