"""The weight-sharing supernet: paths are slices of one store, and nothing outside of a path is touched."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec import Block, FeatureSpec, Genotype, SearchSpace, SpaceError, Supernet
from nasrec.compiler.slices import take
from nasrec.errors import NasrecError
from nasrec.lowering.masking import Masking
from nasrec.supernet import net as supernet_module
from nasrec_ir import ParamRef, verify

FEATURES = FeatureSpec(5, [4, 9, 2], 16)
SPACE = SearchSpace.full(3, dense_dims=(16, 32), sparse_dims=(16, 32))
MASKINGS: tuple[Masking, ...] = ("full_width", "sliced")


def batch(features: FeatureSpec = FEATURES, size: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(0, rows, (size,), generator=generator) for rows in features.cardinalities]
    return torch.randn(size, features.num_dense, generator=generator), torch.stack(ids, dim=1)


def draw(count: int, space: SearchSpace = SPACE, seed: int = 0) -> list[Genotype]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


@pytest.fixture(scope="module", params=MASKINGS)
def net(request: pytest.FixtureRequest) -> Supernet:
    return Supernet(SPACE, FEATURES, masking=request.param, seed=0)


def test_logits(net: Supernet) -> None:
    for genotype in draw(5):
        assert net(*batch(), genotype).shape == (4,)
        verify(net.graph(genotype), "executable")
    assert net(*batch(size=0), genotype).shape == (0,)


def test_paths_are_slices_of_parameters_of_the_store(net: Supernet) -> None:
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    for genotype in draw(20, seed=1):
        for ref in net.graph(genotype).parameters().values():
            assert shapes[ref.name] == ref.shape


def test_gradients_stay_within_the_path(net: Supernet) -> None:
    """Parameters that a path does not read get none, and slices that it does not read get zeros."""
    for genotype in draw(4, seed=2):
        net.zero_grad(set_to_none=True)
        net(*batch(), genotype).square().sum().backward()
        refs: dict[str, list[ParamRef]] = {}
        for ref in net.graph(genotype).parameters().values():
            refs.setdefault(ref.name, []).append(ref)
        for name, parameter in net.named_parameters():
            assert (parameter.grad is not None) == (name in refs), name
            if parameter.grad is not None:
                outside = parameter.grad.clone()
                for ref in refs[name]:
                    clear(outside, ref)
                assert not outside.any(), f"{name} has gradients outside of the path"
    net.zero_grad(set_to_none=True)


def clear(tensor: Tensor, ref: ParamRef) -> None:
    """Zero within the slice."""
    for start, stop in ref.rows:
        if tensor.dim() == 1:
            tensor[start:stop] = 0
        for low, high in ref.columns:
            tensor[start:stop, low:high] = 0


def test_sliced_paths_read_only_their_slice() -> None:
    """With narrow widths, most of the store stays out of a path; full-width masking reads it at full width."""
    space = SearchSpace.full(2, dense_dims=(16, 256), sparse_dims=(16, 64))
    block = Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, False)
    second = replace(block, dense_inputs=(1,), sparse_inputs=(1,))
    graphs = [Supernet(space, FEATURES, masking=m, seed=0).graph(Genotype((block, second))) for m in MASKINGS]
    sizes = [sum(ref.elements for key, ref in g.parameters().items() if "tables" not in key) for g in graphs]
    assert sizes[1] < sizes[0] / 4
    weight = graphs[1]["b1.fc"].param("weight")
    assert weight == ParamRef("_blocks.1._nodes.0._linear.weight", (256, 5 + 256), ((0, 16),), ((5, 21),))


def test_paths_share_their_weights() -> None:
    net = Supernet(SPACE, FEATURES, masking="sliced", seed=0)
    narrow = Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, False)
    one = Genotype((narrow,) * 3)
    other = Genotype((narrow, narrow, replace(narrow, operators=("fc", "sum", "efc"))))
    before = net(*batch(), other)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    net(*batch(), one).sum().backward()
    optimiser.step()
    assert not torch.allclose(net(*batch(), other), before), "the fully connected layer is shared"


def test_training_along_random_paths_learns(net: Supernet) -> None:
    trained = copy.deepcopy(net)
    dense, sparse = batch(size=64)
    clicks = (dense[:, 0] > 0).float()
    optimiser = torch.optim.Adam(trained.parameters(), lr=3e-3)
    losses = []
    for genotype in draw(60, seed=5):
        loss = nn.functional.binary_cross_entropy_with_logits(trained(dense, sparse, genotype), clicks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:15])


def test_extracted_models_stand_alone(net: Supernet) -> None:
    (genotype,) = draw(1, seed=3)
    model = net.extract(genotype)
    torch.testing.assert_close(model(*batch()), net(*batch(), genotype), rtol=1e-5, atol=1e-5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    for node in model.graph:
        for role, ref in node.params:
            copied = model.get_parameter(f"{model.layer_names[node.id]}.{role}") - 1
            torch.testing.assert_close(copied, take(net.get_parameter(ref.name), ref), rtol=0, atol=1e-6)


def test_a_sliced_path_is_the_compiled_model() -> None:
    net = Supernet(SPACE, FEATURES, masking="sliced", seed=0)
    for genotype in draw(10, seed=4):
        assert (
            net.extract(genotype).source.partition("class")[2].partition("(")[2]
            == (nasrec.compile(genotype, FEATURES).source.partition("class")[2].partition("(")[2])
        )


def test_extraction_keeps_the_precision() -> None:
    net = Supernet(SPACE, FEATURES, seed=0).double()
    (genotype,) = draw(1)
    dense, sparse = batch()
    want = net(dense.double(), sparse, genotype)
    torch.testing.assert_close(net.extract(genotype)(dense.double(), sparse), want, rtol=1e-12, atol=1e-12)


def test_a_seed_decides_the_initial_values_and_nothing_else() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    first, second, third = (Supernet(SPACE, FEATURES, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), want)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_initial_values(net: Supernet) -> None:
    for name, value in net.named_parameters():
        if value.dim() == 1:
            assert (value == (1 if name.endswith("weight") else 0)).all(), name
        elif not name.startswith("_embedding."):
            assert value.abs().max() <= (6 / sum(value.shape)) ** 0.5, name


def test_state_dicts_round_trip(net: Supernet) -> None:
    other = Supernet(SPACE, FEATURES, masking=net.masking, seed=9)
    other.load_state_dict(net.state_dict())
    (genotype,) = draw(1)
    assert torch.equal(other(*batch(), genotype), net(*batch(), genotype))


def test_supernets_can_be_copied_and_pickled(net: Supernet) -> None:
    (genotype,) = draw(1)
    want = net(*batch(), genotype)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(*batch(), genotype), want)
        with torch.no_grad():
            twin.get_parameter("_final.bias").add_(1)
        torch.testing.assert_close(twin(*batch(), genotype), want + 1)
    assert torch.equal(net(*batch(), genotype), want)


def test_a_supernet_that_nobody_holds_is_freed_at_once() -> None:
    net = Supernet(SPACE, FEATURES, seed=0)
    net(*batch(), draw(1)[0])
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert gone() is None, "a reference cycle keeps the weights until the garbage collector runs"
    finally:
        gc.enable()


def test_paths_are_lowered_once_and_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet_module, "CACHED_PATHS", 3)
    net = Supernet(SPACE, FEATURES, seed=0)
    first, *others = draw(5)
    graph = net.graph(first)
    for genotype in others:
        net.graph(genotype)
        assert net.graph(first) is graph, "what is used stays"
    assert len(net._paths) == 3


# What paths can be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("channels", [8, 32, 64])
def test_narrow_dense_outputs_become_fields(masking: Masking, channels: int) -> None:
    """Where the widest dense output is just 8 fields of embeddings, the dense-to-sparse merger is a reshape.

    A narrower path then lives in part of a field only.
    """
    features = FeatureSpec(3, [4, 4], channels)
    space = SearchSpace.full(2, dense_dims=(16, 8 * channels), sparse_dims=(16,), dense_to_sparse=(True,))
    net = Supernet(space, features, masking=masking, seed=0).double()
    dense, sparse = batch(features)
    for genotype in draw(8, space):
        want = net(dense.double(), sparse, genotype)
        torch.testing.assert_close(net.extract(genotype)(dense.double(), sparse), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("masking", MASKINGS)
def test_no_dense_features_and_no_layer_norm(masking: Masking) -> None:
    features = FeatureSpec(0, [4], 8)
    space = SearchSpace.full(2, dense_dims=(16, 32), sparse_dims=(16,), layer_norm=(False,))
    net = Supernet(space, features, masking=masking, layer_norm=False, seed=0)
    for genotype in draw(6, space):
        assert torch.isfinite(net(*batch(features), genotype)).all()


# Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", ["masked", "", None, 1])
def test_unknown_masking(masking: object) -> None:
    with pytest.raises(SpaceError, match="masking must be 'full_width' or 'sliced'"):
        Supernet(SPACE, FEATURES, masking=masking)  # type: ignore[arg-type]


def test_genotypes_of_other_spaces(net: Supernet) -> None:
    (wide,) = draw(1, SearchSpace.full(3, dense_dims=(64,), sparse_dims=(16,)))
    (long,) = draw(1, SearchSpace.full(4, dense_dims=(16,), sparse_dims=(16,)))
    for genotype, reason in ((wide, "block 0: dense_width = 64"), (long, "4 blocks")):
        for call in (net.graph, net.extract, lambda g: net(*batch(), g)):
            with pytest.raises(SpaceError, match=f"not in the supernet's space: .*{reason}"):
                call(genotype)


def test_layer_norm_must_agree() -> None:
    both = SearchSpace.full(3, dense_dims=(16,), sparse_dims=(16,), layer_norm=(False, True))
    net = Supernet(both, FEATURES, layer_norm=False, seed=0)
    genotype = replace(draw(1, both)[0], layer_norm=True)
    with pytest.raises(SpaceError, match="layer_norm=True, the supernet False"):
        net.graph(genotype)
    net.graph(replace(genotype, layer_norm=False))


def test_attention_needs_channels_for_its_heads() -> None:
    with pytest.raises(NasrecError, match=r"block 0: attention .* multiple of 8, not 12"):
        Supernet(SPACE, FeatureSpec(5, [4], 12))


def test_inputs_of_other_widths(net: Supernet) -> None:
    dense, sparse = batch()
    genotype = Genotype((Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, True),) * 3)
    for inputs in ((dense[:, :2], sparse), (dense, sparse[:, :1])):
        with pytest.raises(NasrecError):
            net(*inputs, genotype)
