"""The reference of the speed ratios computes what the published release computes: names, logits and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.release import ReleaseSubnet, ReleaseSupernet
from tests.release_values import Array, Subnet, SupernetCase, inputs, subnets, supernets, weights

SUBNETS, SUPERNETS = subnets(), supernets()


def tensors(case: Subnet | SupernetCase) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in weights(case.shapes).items()}


def batch(dataset: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    dense, sparse = (torch.from_numpy(value) for value in inputs(dataset))
    return dense.to(dtype), sparse


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("case", SUBNETS, ids=lambda case: case.name)
def test_subnets(case: Subnet) -> None:
    """All sixteen, dead blocks included, in float64."""
    model = ReleaseSubnet(case.genotype, case.features)
    assert shapes(model) == dict(case.shapes)
    model.load_state_dict(tensors(case))
    model.double().eval()
    with torch.no_grad():
        logits = model(*batch(case.dataset, torch.float64))
    np.testing.assert_allclose(logits.numpy(), case.logits, rtol=1e-9)


@pytest.mark.parametrize("case", SUBNETS, ids=lambda case: case.name)
def test_training_mode_computes_the_same(case: Subnet) -> None:
    """Recording gradients takes other code paths of the library's attention, and FM is added in place."""
    model = ReleaseSubnet(case.genotype, case.features).double()
    model.load_state_dict(tensors(case))
    logits = model.train()(*batch(case.dataset, torch.float64))
    np.testing.assert_allclose(logits.detach().numpy(), case.logits, rtol=1e-9)
    logits.sum().backward()
    assert model.get_parameter("_final.weight").grad is not None


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("case", SUPERNETS, ids=lambda case: case.name)
def test_supernets(case: SupernetCase, number: int) -> None:
    """Three paths of each, in float32 as the golden logits are."""
    net = ReleaseSupernet(case.space, case.features)
    assert shapes(net) == dict(case.shapes)
    net.load_state_dict(tensors(case))
    path = case.paths[number]
    with torch.no_grad():
        logits: Array = net(*batch(case.dataset, torch.float32), path.genotype).numpy()
    np.testing.assert_allclose(logits, path.logits, rtol=1e-4, atol=1e-4)


def test_a_masked_path_leaves_idle_operators_without_gradients() -> None:
    """As in the release, whose optimiser then skips them: only active operators and mergers are trained."""
    case = SUPERNETS[0]
    net = ReleaseSupernet(case.space, case.features)
    genotype = case.paths[0].genotype
    net(*batch(case.dataset, torch.float32), genotype).sum().backward()
    for index, choice in enumerate(genotype.blocks):
        block = net._blocks[index]
        for number, name in block.operators.items():
            trained = any(value.grad is not None for value in block._nodes[str(number)].parameters())
            assert trained <= (name in choice.operators)
    last = net._blocks[-1]
    active = [str(number) for number, name in last.operators.items() if name in genotype.blocks[-1].operators]
    assert all(value.grad is not None for key in active for value in last._nodes[key].parameters())
