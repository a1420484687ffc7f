"""The check that rivals compute the same passes where they do, in all three relations, and fails where they do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from benchmarks import supernet_step
from benchmarks.agreement import Disagreement, Link, check_logits, check_step, copy_weights, model_links, path_links
from benchmarks.release import ReleaseSubnet, ReleaseSupernet
from benchmarks.steps import adagrad, our_adagrad, train_step
from nasrec import FeatureSpec, SearchSpace, Supernet, presets
from nasrec.profiling.batch import Batch

FEATURES = FeatureSpec(13, [20] * 26)
SPACE = SearchSpace.full(3, (16, 32, 128), (16, 32))
BATCH = Batch.random(FEATURES, 64, device=torch.device("cpu"))
PATHS = [
    SPACE.sample(np.random.default_rng([5, index]), operators=operators, counts="binomial")
    for index, operators in enumerate(["single", "single", "any"])
]


def stepper(model: nn.Module, *extra: object, settings: str = "release") -> Callable[[], None]:
    ours = settings == "release" and not isinstance(model, ReleaseSubnet | ReleaseSupernet)
    optimizer = our_adagrad(model.parameters()) if ours else adagrad(model.parameters(), settings)
    return lambda: train_step(lambda: model(BATCH.dense, BATCH.sparse, *extra), BATCH.label, optimizer)


def alone() -> tuple[ReleaseSubnet, nn.Module, list[Link]]:
    torch.manual_seed(0)
    genotype = presets.load("criteo-full")
    reference, model = ReleaseSubnet(genotype, FEATURES), nasrec.compile(genotype, FEATURES)
    links = model_links(model)
    copy_weights(reference, links)
    return reference, model, links


def logits(model: nn.Module, *extra: object) -> Tensor:
    with torch.no_grad():
        return model(BATCH.dense, BATCH.sparse, *extra)  # type: ignore[no-any-return]


def test_a_compiled_model_agrees() -> None:
    reference, model, links = alone()
    check_logits("model", logits(model), logits(reference))
    check_step("model", reference, links, (stepper(reference), stepper(model)))


def path_stepper(net: Supernet, path: nasrec.Genotype) -> Callable[[], None]:
    update = supernet_step.our_adagrad(net)
    return lambda: supernet_step.our_step(net, path, BATCH.dense, BATCH.sparse, BATCH.label, update)


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_a_full_width_path_agrees_with_the_reference_supernet(path: nasrec.Genotype) -> None:
    torch.manual_seed(0)
    reference, net = ReleaseSupernet(SPACE, FEATURES), Supernet(SPACE, FEATURES, masking="full_width")
    links = path_links(net, path)
    copy_weights(reference, links)
    check_logits("path", logits(net, path), logits(reference, path))
    check_step("path", reference, links, (stepper(reference, path), path_stepper(net, path)))


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_a_sliced_path_agrees_with_its_stand_alone_reference(path: nasrec.Genotype) -> None:
    torch.manual_seed(0)
    reference, net = ReleaseSubnet(path, FEATURES), Supernet(SPACE, FEATURES, masking="sliced")
    links = path_links(net, path)
    copy_weights(reference, links)
    check_logits("path", logits(net, path), logits(reference))
    check_step("path", reference, links, (stepper(reference), path_stepper(net, path)))


def test_one_changed_weight_is_seen_in_the_logits() -> None:
    reference, model, links = alone()
    with torch.no_grad():
        next(link for link in links if link.reference.name == "_final.weight").parameter[0, 0] += 0.5
    with pytest.raises(Disagreement, match="logits differ"):
        check_logits("model", logits(model), logits(reference))


def test_logits_that_are_no_numbers_are_seen() -> None:
    reference, _, _ = alone()
    want = logits(reference)
    with pytest.raises(Disagreement, match="logits differ"):
        check_logits("model", want * float("nan"), want)


def test_another_optimiser_is_seen() -> None:
    reference, model, links = alone()
    with pytest.raises(Disagreement, match="moves differently"):
        check_step("model", reference, links, (stepper(reference), stepper(model, settings="plain")))


@pytest.mark.parametrize("name", ["_embedding.25.weight", "_final.bias", "_mha.in_proj_weight"])
def test_a_parameter_that_is_not_trained_is_seen(name: str) -> None:
    reference, model, links = alone()
    idle = next(link for link in links if link.reference.name.endswith(name))
    ours = stepper(model)
    idle.parameter.requires_grad_(False)
    with pytest.raises(Disagreement, match=f"{name} moves differently"):
        check_step("model", reference, links, (stepper(reference), ours))
