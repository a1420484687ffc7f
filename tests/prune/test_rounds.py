"""Masks, rounds of pruning and training, and weights that go back to the beginning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nasrec import baselines
from nasrec.compiler import CompiledModel, compile_graph, tensor_of
from nasrec.data import synthesize
from nasrec.prune import MaskedModel, MaskLearner, PruneSettings, Round, prune, run_rounds
from nasrec.train import TrainConfig
from nasrec.train.loop import run
from nasrec_ir import cost

CONFIG = TrainConfig(batch_size=128, optimizer="adam", lr=0.01, max_steps=8)


@pytest.fixture(scope="module")
def splits() -> Any:
    return synthesize("frappe", 3000, 0).log.split(by="random")


def model_of(splits: Any, seed: int = 0) -> CompiledModel:
    graph = baselines.build("dlrm", splits.train.features(8), bottom=(8,), hidden=(24, 16))
    return compile_graph(graph, seed=seed)


def test_the_masked_model_runs_with_weights_times_masks(splits: Any) -> None:
    model = model_of(splits)
    masked = MaskedModel(model, PruneSettings(mask_units=4), seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in masked.generators.parameters():
            parameter.normal_(std=0.3, generator=generator)
    dense, sparse, _, *_ = next(iter(splits.train.reader(32, seed=0).epoch()))
    got = masked(dense, sparse)
    spelled, opened = model_of(splits), []
    with torch.no_grad():
        for node, masks in masks_of(masked).items():
            tensor_of(spelled, spelled.graph[node], "weight").mul_(torch.outer(*masks))
            opened += [mask[mask != 1] for mask in masks]
            figures = masked.figures()[node]
            for mask, figure in zip(masks, figures, strict=True):
                np.testing.assert_allclose(figure, mask / mask.mean(), rtol=1e-5)
    torch.testing.assert_close(got, spelled(dense, sparse))
    got.sum().backward()
    assert all(parameter.grad is not None for parameter in masked.parameters() if parameter.shape != (0, 0))
    assert torch.cat(opened).std() > 0.01 and 0 < torch.cat(opened).min() <= torch.cat(opened).max() < 1
    assert masked.mean_mask.item() == pytest.approx(torch.cat(opened).mean().item(), rel=1e-5)


def masks_of(masked: MaskedModel) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    with torch.no_grad():
        return {
            node: masked.generators[layer](masked.model.get_submodule(layer).weight)
            for node, layer in masked.nodes.items()
        }


def means_of(masked: MaskedModel) -> tuple[float, float]:
    """Mean and deviation of what has a mask."""
    masks = torch.cat([mask[mask != 1] for both in masks_of(masked).values() for mask in both])
    return float(masks.mean()), float(masks.std())


@pytest.mark.parametrize("features", [True, False])
def test_what_cannot_leave_has_no_mask(splits: Any, features: bool) -> None:
    masked = MaskedModel(model_of(splits), PruneSettings(features=features))
    with torch.no_grad():
        for parameter in masked.generators.parameters():
            parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    masks = masks_of(masked)
    pairs, *hidden, logit = masks.values()  # of ten fields alone, as these rows have no dense columns
    assert ((pairs[1] != 1) == features).all() and (pairs[0] != 1).all()
    assert (logit[0] == 1).all() and (logit[1] != 1).all()
    assert all((mask != 1).all() for both in hidden for mask in both)


def test_masks_begin_equal_and_sparsity_closes_them(splits: Any) -> None:
    means = []
    for sparsity in (0.0, 10.0):
        masked, settings = MaskedModel(model_of(splits), seed=0), PruneSettings(sparsity=sparsity, mask_lr=0.01)
        mean, deviation = means_of(masked)
        assert deviation < 1e-6 and mean > 0.8
        run(MaskLearner(masked, settings, CONFIG), splits.train, splits.valid, CONFIG)
        means.append(means_of(masked)[0])
    assert means[1] < means[0] - 0.02


def test_masks_are_learned_by_adam_at_a_rate_of_their_own(splits: Any) -> None:
    """However the weights are trained: a large rate of Adagrad would close or open all masks in a few steps."""
    config, moved = TrainConfig(batch_size=128, optimizer="adagrad", lr=0.5, max_steps=1, warmup=0), []
    for mask_lr in (1e-3, 1e-2):
        masked = MaskedModel(model_of(splits), seed=0)
        before = torch.nn.utils.parameters_to_vector(masked.generators.parameters()).detach()
        run(MaskLearner(masked, PruneSettings(mask_lr=mask_lr), config), splits.train, None, config)
        after = torch.nn.utils.parameters_to_vector(masked.generators.parameters()).detach()
        moved.append(float((after - before).abs().max()))
    assert moved == pytest.approx([1e-3, 1e-2], rel=0.01)


def test_masks_are_learned_in_bfloat16_too(splits: Any) -> None:
    config = replace(CONFIG, precision="bfloat16", max_steps=2)
    masked = MaskedModel(model_of(splits))
    run(MaskLearner(masked, PruneSettings(), config), splits.train, None, config)
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in masked.parameters())


@pytest.mark.parametrize("method", ["mask", "magnitude"])
def test_rounds_shrink_the_model_and_repeat(splits: Any, method: str) -> None:
    settings = PruneSettings(rounds=2, share=0.25, method=method)
    runs = [prune(model_of(splits), splits.train, splits.valid, CONFIG, settings) for _ in range(2)]
    macs = [cost(found.model.graph).macs for found in runs[0]]
    assert macs[1] <= 0.75 * macs[0] and macs[2] <= 0.75 * macs[1]
    for first, second in zip(*runs, strict=True):
        assert first.model.graph == second.model.graph
        for name, tensor in first.model.state_dict().items():
            assert torch.equal(tensor, second.model.state_dict()[name])
        assert first.report.steps == CONFIG.max_steps


class Untrained:
    """Trains nothing, but moves the weights, as training would."""

    def __init__(self) -> None:
        self.initial: list[dict[str, torch.Tensor]] = []

    def train(self, number: int, model: CompiledModel) -> int:
        self.initial.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
        return number

    def learn_masks(self, number: int, model: MaskedModel) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))


@pytest.mark.parametrize("method", ["mask", "magnitude"])
def test_every_round_begins_with_the_initial_weights_that_are_left(splits: Any, method: str) -> None:
    model, trainer = model_of(splits), Untrained()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found: list[Round] = list(run_rounds(model, PruneSettings(rounds=3, share=0.2, method=method), 0, trainer))
    assert [one.report for one in found] == [0, 1, 2, 3] and found[0].pruned is None
    wanted = {f"{node.id}.{role}": start[f"{model.layer_names[node.id]}.{role}"] for node in model.graph for role, _ in
              node.params}  # fmt: skip
    for one, initial in zip(found[1:], trainer.initial[1:], strict=True):
        assert one.pruned is not None
        by_name = {ref.name: f"{node.id}.{role}" for node in found[one.number - 1].model.graph for role, ref in
                   node.params}  # fmt: skip
        before = {f"{kept.node}.{kept.role}": kept for kept in one.pruned.kept.values()}
        assert set(before) <= set(by_name.values())
        now = {}
        for node in one.model.graph:
            for role, ref in node.params:
                kept = one.pruned.kept[ref.name]
                now[f"{node.id}.{role}"] = kept.take(wanted[f"{kept.node}.{kept.role}"])
                assert torch.equal(initial[f"{one.model.layer_names[node.id]}.{role}"], now[f"{node.id}.{role}"])
        wanted = now
