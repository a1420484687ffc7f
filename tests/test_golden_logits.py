"""Held to the published release: every way of running a genotype gives the logits of the authors' implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec import presets
from nasrec.errors import StateDictError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.interop import release
from nasrec.lowering import lower
from nasrec.lowering.graphs import graph_of
from nasrec.supernet import Supernet
from nasrec_ir import interpret
from nasrec_ir.passes import OPTIMIZE
from tests.release_values import Subnet, SupernetCase, inputs, subnets, supernets, weights

SUBNETS = subnets()
SUPERNETS = supernets()


def tensors(case: Subnet | SupernetCase) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in weights(case.shapes).items()}


def run(model: nn.Module, dataset: str, *extra: Any, dtype: torch.dtype = torch.float32) -> np.ndarray:
    dense, sparse = (torch.from_numpy(value) for value in inputs(dataset))
    with torch.no_grad():
        return model.to(dtype)(dense.to(dtype), sparse, *extra).numpy()


@pytest.mark.parametrize("case", SUBNETS, ids=lambda case: case.name)
def test_interpreter(case: Subnet) -> None:
    """The lowered graph, which is the definition, and the optimised one, in float64."""
    state = weights(case.shapes)
    for graph in (lower(case.genotype, case.features), graph_of(case.genotype, case.features)):
        np.testing.assert_allclose(interpret(graph, state, inputs(case.dataset)), case.logits, rtol=1e-9)


@pytest.mark.parametrize("case", SUBNETS, ids=lambda case: case.name)
def test_optimising_again_changes_nothing(case: Subnet) -> None:
    graph = graph_of(case.genotype, case.features)
    assert OPTIMIZE.run(graph) is graph


@pytest.mark.parametrize("case", SUBNETS, ids=lambda case: case.name)
def test_compiled_model(case: Subnet) -> None:
    model = nasrec.compile(case.genotype, case.features)
    release.load_state_dict(model, tensors(case))
    np.testing.assert_allclose(run(model, case.dataset), case.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run(model, case.dataset, dtype=torch.float64), case.logits, rtol=1e-9)


@pytest.fixture(scope="module", params=SUPERNETS, ids=lambda case: case.name)
def supernet(request: pytest.FixtureRequest) -> tuple[SupernetCase, Supernet]:
    case = request.param
    net = Supernet(case.space, case.features, masking="full_width")
    release.load_state_dict(net, tensors(case))
    return case, net


def test_supernet_has_the_releases_parameters(supernet: tuple[SupernetCase, Supernet]) -> None:
    case, net = supernet
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == dict(case.shapes)


@pytest.mark.parametrize("number", range(3))
def test_supernet_paths(supernet: tuple[SupernetCase, Supernet], number: int) -> None:
    case, net = supernet
    path = case.paths[number]
    assert path.genotype in case.space
    np.testing.assert_allclose(run(net, case.dataset, path.genotype), path.logits, rtol=1e-4, atol=1e-4)
    state = weights(case.shapes)
    got = interpret(net.graph(path.genotype), state, inputs(case.dataset), dtype=np.float32)
    np.testing.assert_allclose(got, path.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", range(3))
def test_extracted_path_equals_the_supernets(supernet: tuple[SupernetCase, Supernet], number: int) -> None:
    case, net = supernet
    genotype = case.paths[number].genotype
    model = net.extract(genotype)
    want = run(net, case.dataset, genotype, dtype=torch.float64)
    np.testing.assert_allclose(run(model, case.dataset, dtype=torch.float64), want, rtol=1e-12, atol=1e-12)


# Table 5 of the paper: millions of multiply-accumulates ("FLOPs") of the best models found.
PUBLISHED_MACS = {
    ("criteo", "small"): 2.20,
    ("criteo", "full"): 1.45,
    ("avazu", "small"): 3.08,
    ("avazu", "full"): 1.87,
    ("kdd", "small"): 3.48,
    ("kdd", "full"): 1.09,
}


@pytest.mark.parametrize(("dataset", "space"), PUBLISHED_MACS)
def test_published_costs(dataset: str, space: str) -> None:
    name = f"ea_{dataset}_kaggle_{'autoctr' if space == 'small' else 'xlarge'}_best_1shot"
    (case,) = [case for case in SUBNETS if case.name == name]
    cost = nasrec.cost(case.genotype, case.features)
    assert cost.macs / 1e6 == pytest.approx(PUBLISHED_MACS[dataset, space], abs=0.011)
    assert cost.live_blocks == case.genotype.live_blocks()
    assert nasrec.cost(case.genotype, case.features, optimized=True).macs <= cost.macs
    assert nasrec.cost(presets.load(f"{dataset}-{space}"), case.features) == cost


def test_criteo_full_has_four_live_blocks() -> None:
    case = next(case for case in SUBNETS if case.name == "ea_criteo_kaggle_xlarge_best_1shot")
    assert len(nasrec.cost(case.genotype, case.features).live_blocks) == 4
    assert {node.scope for node in graph_of(case.genotype, case.features) if node.scope.startswith("b")} == {
        f"b{k}" for k in case.genotype.live_blocks()
    }


# Loading weights -----------------------------------------------------------------------------------------------

CASE = next(case for case in SUBNETS if case.name == "edge02_criteo_e16_ln1")


def a_model() -> tuple[nn.Module, dict[str, Tensor]]:
    return nasrec.compile(CASE.genotype, CASE.features, seed=0), tensors(CASE)


def refused(model: nn.Module, state: Any, message: str) -> None:
    """Loading raises with this message and copies nothing."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(StateDictError, match=message):
        release.load_state_dict(model, state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("entry", ["_final.bias", "_embedding.25.weight", "_final.weight"])
def test_a_missing_entry_is_named(entry: str) -> None:
    model, state = a_model()
    del state[entry]
    refused(model, state, f"^{entry} is missing from the state dict")


def test_a_misshapen_entry_is_named_with_both_shapes() -> None:
    model, state = a_model()
    state["_final.weight"] = state["_final.weight"][:, 1:]
    columns = CASE.shapes["_final.weight"][1]
    refused(model, state, rf"^_final.weight has shape \[1, {columns - 1}\].*expects \[1, {columns}\]")


def test_a_transposed_entry_is_refused() -> None:
    model, state = a_model()
    state["_final.weight"] = state["_final.weight"].T
    refused(model, state, "^_final.weight has shape")


@pytest.mark.parametrize("value", ["words", object(), {"a": 1}, [[1.0], [2.0, 3.0]], None])
def test_what_is_no_tensor_is_named(value: object) -> None:
    model, state = a_model()
    refused(model, state | {"_final.bias": value}, "^_final.bias is ")


@pytest.mark.parametrize(
    "value", [torch.zeros(1, dtype=torch.bool), torch.zeros(1, dtype=torch.complex64), torch.zeros(1, device="meta")]
)
def test_a_tensor_without_real_numbers_is_refused(value: Tensor) -> None:
    model, state = a_model()
    refused(model, state | {"_final.bias": value}, "^_final.bias ")


def test_numpy_arrays_are_taken() -> None:
    model, state = a_model()
    release.load_state_dict(model, {name: value.numpy() for name, value in state.items()})
    np.testing.assert_allclose(run(model, CASE.dataset), CASE.logits, rtol=1e-4, atol=1e-4)


def test_other_entries_are_ignored() -> None:
    model, state = a_model()
    release.load_state_dict(model, state | {"_blocks.99._nodes.0._linear.weight": torch.zeros(3)})


def test_weights_of_pruned_blocks_are_not_needed() -> None:
    case = next(case for case in SUBNETS if case.name == "ea_criteo_kaggle_xlarge_best_1shot")
    live = case.genotype.live_blocks()
    model, state = nasrec.compile(case.genotype, case.features), tensors(case)
    needed = {name for name in state if not name.startswith("_blocks.") or int(name.split(".")[1]) in live}
    assert len(needed) < len(state)
    release.load_state_dict(model, {name: state[name] for name in needed})
    np.testing.assert_allclose(run(model, case.dataset), case.logits, rtol=1e-4, atol=1e-4)


def test_a_supernet_needs_every_entry() -> None:
    case = SUPERNETS[2]
    net = Supernet(case.space, case.features, masking="full_width", seed=0)
    name = next(name for name in case.shapes if name.endswith("_layernorm.bias"))
    refused(net, {key: value for key, value in tensors(case).items() if key != name}, f"^{name} is missing")


def test_sliced_supernets_do_not_take_the_releases_weights() -> None:
    case = SUPERNETS[2]
    net = Supernet(case.space, case.features, masking="sliced", seed=0)
    refused(net, tensors(case), "masking='full_width'")


@pytest.mark.parametrize("state", [None, [], "file.pt", 3])
def test_what_is_no_state_dict(state: object) -> None:
    refused(a_model()[0], state, "a state dict is a mapping")


def test_other_modules_are_refused() -> None:
    refused(nn.Linear(2, 2), {}, "Linear was not made by nasrec")


def test_a_genotype_of_the_full_space_keeps_its_numbering_with_few_operators() -> None:
    """Even where a full-space genotype uses only operators that the small space has."""
    block = {
        "micro": {
            "active_nodes": [0, 5], "dense_in_dims": 16, "sparse_in_dims": 16, "dense_sparse_interact": 0, "deep_fm": 0
        },
        "macro": {"dense_idx": [0], "sparse_idx": [0], "dense_left_idx": [0], "dense_right_idx": [0]},
    }  # fmt: skip
    choice = {"micro": [block["micro"]], "macro": [block["macro"]], "num_blocks": 1, "use_layernorm": 1}
    features = FeatureSpec(3, [5, 5], 16)
    for config, index in (("xlarge", 5), ("autoctr", 2)):
        micro = block["micro"] | {"active_nodes": [0, index]}
        genotype = release.load_genotype(choice | {"config": config, "micro": [micro]})
        names = {ref.name for ref in graph_of(genotype, features).parameters().values()}
        assert f"_blocks.0._nodes.{index}._linear.weight" in names
        assert isinstance(genotype, Genotype)
