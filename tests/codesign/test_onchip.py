"""Trained models on simulated crossbars, fine-tuning for their noise, and what designs are held against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import nasrec
from nasrec import baselines
from nasrec.codesign.noise import NoiseTuning, NoisyLearner, tune_for_noise
from nasrec.codesign.onchip import run_on_chip
from nasrec.codesign.references import ratios, reference_designs
from nasrec.compiler import CompiledModel, compile_graph
from nasrec.errors import TrainError
from nasrec.train import TrainConfig, train
from nasrec.train.learner import StepBatch
from nasrec.train.store import FolderStore
from nasrec_ir.quantize import quantize
from nasrec_pim import Hardware, MappingError, Nonideal, map_graph

CONFIG = TrainConfig(batch_size=128, lr=0.1)
CHIP = Hardware.preset("default").override("device.variation_percent=20")


@pytest.fixture(scope="module")
def graph(splits: Any) -> Any:
    return baselines.build("dlrm", splits.train.features(8), hidden=(24,))


@pytest.fixture
def model(graph: Any, splits: Any) -> CompiledModel:
    model = compile_graph(graph, seed=0)
    train(model, splits.train, None, CONFIG)
    return model


def test_scores_on_the_chip(model: CompiledModel, splits: Any) -> None:
    fine = CHIP.override("adc.choice=1")
    rows = splits.valid
    found = run_on_chip(model, fine, splits.train, rows, chips=2, seed=5)
    assert found.model.rows == found.quantized.rows == rows.num_rows
    assert abs(found.quantized.log_loss - found.model.log_loss) < 2e-3
    assert abs(found.converters.log_loss - found.quantized.log_loss) < 2e-3
    one, other = found.chips
    assert one != other and abs(one.log_loss - found.quantized.log_loss) > abs(
        found.converters.log_loss - found.quantized.log_loss
    )
    again = run_on_chip(model, fine, splits.train, rows, chips=1, seed=6)
    assert again.chips == (other,) and again.to_dict()["chips"][0]["log_loss"] == other.log_loss
    with pytest.raises(MappingError, match="tiles"):
        run_on_chip(model, fine.override("noc.grid=1x1", "tile.pes=1x1"), splits.train, rows)


def batch_of(log: Any) -> StepBatch:
    dense, sparse, label = next(iter(log.reader(64, seed=0).epoch()))
    return StepBatch(dense, sparse, label, None, 64.0)


def test_a_noisy_step_applies_the_gradients_of_the_cells_weights_to_the_clean_ones(
    model: CompiledModel, splits: Any
) -> None:
    """With exact cells, the gradients are those of the quantised weights; whatever the cells, weights stay clean."""
    mapping = map_graph(model.graph, CHIP)
    stored = {node.id for node in mapping.nodes if node.stored is not None}
    exact = NoiseTuning(share=1.0, cells=Nonideal(variation=False, stuck=False, read_noise=False, adc=False))
    learner = NoisyLearner(model, CONFIG, mapping, exact)
    assert set(learner._stored) == stored and len(stored) == 2
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = batch_of(splits.train)
    model.zero_grad(set_to_none=True)
    learner._gradients_of(batch)
    seen = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        for one in learner._stored.values():
            one.weight.copy_(torch.from_numpy(quantize(one.weight.double().numpy(), 8).values))
    model.zero_grad(set_to_none=True)
    model(batch.dense, batch.sparse).sigmoid()
    torch.nn.functional.binary_cross_entropy_with_logits(
        model(batch.dense, batch.sparse), batch.label.float()
    ).backward()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(seen[name], weight.grad, atol=1e-6), name


def test_every_noisy_step_has_a_chip_of_its_own(model: CompiledModel, splits: Any) -> None:
    learner = NoisyLearner(model, CONFIG, map_graph(model.graph, CHIP), NoiseTuning(share=1.0))
    held = []
    for step in (0, 1, 0):
        with learner._written(step):
            held.append({name: one.weight.detach().clone() for name, one in learner._stored.items()})
    for name, one in learner._stored.items():
        assert torch.equal(held[0][name], held[2][name])
        spread = (held[0][name] - held[1][name]).std() / one.weight.std()
        assert 0.02 < spread < 0.6, (name, float(spread))


def test_what_cells_hold_is_not_rounded_again(space: Any, splits: Any) -> None:
    """A model of few bits learns through its rounding; in a noisy step the cells have done that already."""
    genotype = next(
        g for g in (space.model.sample(np.random.default_rng(i)) for i in range(9)) if len(g.live_blocks()) > 1
    )
    model = nasrec.compile(genotype, splits.train.features(8), seed=0)
    learner = NoisyLearner(model, CONFIG, map_graph(model.graph, CHIP), NoiseTuning(share=1.0))
    layers = {name: model.get_submodule(layer) for name, layer in model.layer_names.items()}
    bits = {name: one.layer.weight_bits for name, one in learner._stored.items()}
    assert {4, 8} & set(bits.values()) and set(learner._stored) <= set(layers)
    with learner._written(0):
        for name, one in learner._stored.items():
            assert torch.equal(layers[name].quantized_weight(), one.weight)
    assert {name: one.layer.weight_bits for name, one in learner._stored.items()} == bits


def test_shares_of_steps(model: CompiledModel) -> None:
    mapping = map_graph(model.graph, CHIP)
    for share, expected in ((0.0, 0), (0.25, 10), (0.5, 20), (1.0, 40)):
        learner = NoisyLearner(model, CONFIG, mapping, NoiseTuning(share=share))
        assert sum(map(learner._is_noisy, range(40))) == expected
    for wrong in ({"steps": 0}, {"share": 1.5}, {"rate": 0.0}):
        with pytest.raises(TrainError):
            NoiseTuning(**wrong)


def test_tuning_goes_on_where_it_was_stopped(model: CompiledModel, splits: Any, tmp_path: Any) -> None:
    start = {name: value.clone() for name, value in model.state_dict().items()}
    tuning = NoiseTuning(steps=12)
    whole = tune_for_noise(model, CHIP, splits.train, splits.valid, CONFIG, tuning)
    ended = {name: value.clone() for name, value in model.state_dict().items()}
    assert (
        whole.result.steps == 12 and not whole.kept and not all(torch.equal(start[name], ended[name]) for name in start)
    )
    model.load_state_dict(start)
    real, calls = NoisyLearner.step, []

    def stopping(self: NoisyLearner, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NoisyLearner, "step", stopping)
        store = FolderStore(tmp_path / "checkpoints")
        assert tune_for_noise(model, CHIP, splits.train, splits.valid, CONFIG, tuning, store=store).result.interrupted
    model.load_state_dict(start)
    tune_for_noise(model, CHIP, splits.train, splits.valid, CONFIG, tuning, store=FolderStore(tmp_path / "checkpoints"))
    assert all(torch.equal(value, ended[name]) for name, value in model.state_dict().items())


def test_tuning_that_does_harm_is_taken_back_and_tables_stay(model: CompiledModel, splits: Any) -> None:
    start = {name: value.clone() for name, value in model.state_dict().items()}
    harm = tune_for_noise(
        model, CHIP, splits.train, splits.valid, replace(CONFIG, lr=50.0), NoiseTuning(steps=4, rate=1.0)
    )
    assert harm.kept and harm.result.best is not None
    assert harm.result.best.metrics.log_loss > harm.before.log_loss
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    help_ = tune_for_noise(model, CHIP, splits.train, splits.valid, CONFIG, NoiseTuning(steps=12))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert not help_.kept and changed and not any("tables" in name for name in changed)
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.slow
def test_tuning_for_noise_helps_under_noise(splits: Any) -> None:
    """Against as many steps without noise, on chips that neither has seen."""
    chip = Hardware.preset("default").override(
        "device.variation_percent=60", "device.stuck_hrs_percent=3", "device.stuck_lrs_percent=3"
    )
    graph = baselines.build("dlrm", splits.train.features(8), hidden=(48, 24))
    losses: dict[float, list[float]] = {0.0: [], 1.0: []}
    for seed in range(2):
        for share, found in losses.items():
            model = compile_graph(graph, seed=seed)
            train(model, splits.train, None, replace(CONFIG, seed=seed, epochs=4))
            tuning = NoiseTuning(steps=60, share=share, rate=1.0)
            tune_for_noise(model, chip, splits.train, splits.valid, replace(CONFIG, seed=seed), tuning)
            scores = run_on_chip(model, chip, splits.train, splits.valid, chips=4, seed=100)
            found += [metrics.log_loss for metrics in scores.chips]
    assert np.mean(losses[1.0]) < np.mean(losses[0.0]) - 0.01


def test_reference_designs_say_what_they_assume(splits: Any) -> None:
    base = Hardware.preset("default")
    known = {one.name: one for one in reference_designs(base)}
    isaac = Hardware.preset("isaac-like")
    assert known["handcrafted"].hardware == isaac
    same = known["handcrafted, same surroundings"].hardware
    for section in ("digital", "noc", "buffer", "memory"):
        assert getattr(same, section) == getattr(base, section)
    assert (same.crossbar, same.adc, same.dac, same.mapping) == (isaac.crossbar, isaac.adc, isaac.dac, isaac.mapping)
    assert known["RecNMP, our digital units"].hardware.digital == base.digital
    graph = nasrec.graph_of(nasrec.SearchSpace.codesign(2).sample(np.random.default_rng(0)), splits.train.features(8))
    one = known["handcrafted"].report(graph)
    rows = list(ratios(one, one))
    assert {row["ratio"] for row in rows} == {1.0} and {row["what"] for row in rows} == {"speed", "energy", "area"}
    assert known["handcrafted"].claims == {"speed": 1.5, "energy": 1.8}
    assert len({rival.assumption for rival in known.values()}) == len(known)
