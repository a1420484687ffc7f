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
    masked = MaskedModel(model, hidden=4, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in masked.generators.parameters():
            parameter.normal_(std=0.3, generator=generator)
    figures = masked.figures()
    dense, sparse, _, *_ = next(iter(splits.train.reader(32, seed=0).epoch()))
    assert max(found.columns.std() for found in figures.values()) > 0.01
    got = masked(dense, sparse)
    spelled = model_of(splits)
    with torch.no_grad():
        for node, (rows, columns) in figures.items():
            assert ((rows > 0) & (rows < 1)).all()
            mask = torch.from_numpy(np.outer(rows, columns)).float()
            tensor_of(spelled, spelled.graph[node], "weight").mul_(mask)
    torch.testing.assert_close(got, spelled(dense, sparse))
    got.sum().backward()
    assert all(parameter.grad is not None for parameter in masked.parameters() if parameter.shape != (0, 0))
    expected = np.concatenate([np.concatenate(found) for found in figures.values()]).mean()
    assert masked.mean_mask.item() == pytest.approx(expected, rel=1e-5)


def test_masks_begin_equal_and_sparsity_closes_them(splits: Any) -> None:
    means = []
    for sparsity in (0.0, 10.0):
        masked = MaskedModel(model_of(splits), seed=0)
        before = np.concatenate([np.concatenate(found) for found in masked.figures().values()])
        assert before.std() < 1e-6 and before.mean() > 0.8
        run(MaskLearner(masked, sparsity, CONFIG), splits.train, splits.valid, CONFIG)
        means.append(np.mean(np.concatenate([np.concatenate(found) for found in masked.figures().values()])))
    assert means[1] < means[0] - 0.02


def test_masks_are_learned_in_bfloat16_too(splits: Any) -> None:
    config = replace(CONFIG, precision="bfloat16", max_steps=2)
    masked = MaskedModel(model_of(splits), hidden=4)
    run(MaskLearner(masked, 0.1, config), splits.train, None, config)
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in masked.parameters())


@pytest.mark.parametrize("method", ["mask", "magnitude"])
def test_rounds_shrink_the_model_and_repeat(splits: Any, method: str) -> None:
    settings = PruneSettings(rounds=2, share=0.25, method=method, features=False)
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
