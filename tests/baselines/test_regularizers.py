"""Batch norm and dropout in hand-crafted models: training and evaluation, state, and every reader of their graphs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasrec
import nasrec_ir
from nasrec import CompiledModel, FeatureSpec, baselines
from nasrec.compiler import tensor_of
from nasrec.compiler.executor import execute
from nasrec.errors import CompileError
from nasrec.layers import Embedding
from nasrec_pim import Hardware, estimate, map_graph

MIXED = FeatureSpec(num_dense=3, cardinalities=(5, 7, 4, 6), embedding_dim=8)
NO_NUMBERS = FeatureSpec(num_dense=0, cardinalities=(5, 7, 4), embedding_dim=6)
BOTH: dict[str, Any] = {"hidden": (7, 5), "batch_norm": True, "dropout": 0.4}
OPTIONS: dict[str, dict[str, Any]] = {
    "wide_and_deep": BOTH,
    "deepfm": BOTH,
    "xdeepfm": BOTH | {"cin": (4,)},
    "dcn_v2": BOTH | {"layers": 2, "structure": "parallel"},
    "autoint_plus": BOTH
    | {"layers": 2, "heads": 2, "head_width": 3}
    | {"layer_norm": True, "project_residual": False, "attention_dropout": 0.3},
    "dlrm": BOTH | {"bottom": (6,)},
}
CASES = [pytest.param(name, f, id=f"{name}-{f.num_dense}d") for name in OPTIONS for f in (MIXED, NO_NUMBERS)]


def batch(features: FeatureSpec, size: int = 33) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(size)
    columns = [torch.randint(0, rows, (size,), generator=draw) for rows in features.cardinalities]
    return torch.randn(size, features.num_dense, generator=draw), torch.stack(columns, 1)


def trained(name: str, features: FeatureSpec, **changes: Any) -> CompiledModel:
    """A model after some steps, so that running statistics are no longer those that it starts with."""
    model = nasrec.compile_graph(baselines.build(name, features, **OPTIONS[name] | changes), seed=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for size in (20, 40, 30):
        optimiser.zero_grad()
        model(*batch(features, size)).square().mean().backward()
        optimiser.step()
    return model


def test_every_model_with_a_perceptron_is_here() -> None:
    assert set(OPTIONS) == {name for name in baselines.BASELINES if "batch_norm" in baselines.options_of(name)}
    assert set(baselines.BASELINES) - set(OPTIONS) == {"logistic_regression"}


@pytest.mark.parametrize(("name", "features"), CASES)
def test_graph_interpreter_and_executor_mean_the_module_in_evaluation(name: str, features: FeatureSpec) -> None:
    model = trained(name, features).double().eval()
    graph = model.graph
    nasrec_ir.verify(graph, "executable")
    assert nasrec_ir.parse(nasrec_ir.dump(graph)) == graph
    dense, sparse = batch(features)
    inputs = (dense.double(), sparse)
    by_name = {ref.name: tensor_of(model, node, role) for node in graph for role, ref in node.params}
    logits = model(*inputs)
    assert torch.equal(logits, model(*inputs)), "nothing is drawn at random"
    plain = torch.from_numpy(nasrec_ir.interpret(graph, by_name, inputs))
    torch.testing.assert_close(logits, plain, rtol=1e-9, atol=1e-9)
    run = execute(graph, lambda node: {role: tensor_of(model, node, role) for role, _ in node.params}, inputs)
    torch.testing.assert_close(logits, run, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "features"), CASES)
def test_the_mode_tells_what_is_computed(name: str, features: FeatureSpec) -> None:
    model, inputs = trained(name, features), batch(features)
    before = {key: value.clone() for key, value in model.named_buffers()}
    assert {key.rpartition(".")[2] for key in before} == {"running_mean", "running_var"}
    model.eval()(*inputs)
    assert all(torch.equal(value, before[key]) for key, value in model.named_buffers())
    torch.manual_seed(5)
    first = copy.deepcopy(model).train()(*inputs)
    torch.manual_seed(5)
    again = model.train()(*inputs)
    assert torch.equal(first, again), "the global generator is all that training draws from"
    assert not torch.equal(again, model(*inputs)) and not torch.equal(again, model.eval()(*inputs))
    assert all(not torch.equal(value, before[key]) for key, value in model.named_buffers())


@pytest.mark.parametrize("training", [True, False])
def test_hidden_layers_are_linear_norm_relu_in_this_order(training: bool) -> None:
    model = trained("wide_and_deep", NO_NUMBERS, dropout=0.0).train(training)
    layers: list[nn.Module] = []
    for index, (inputs, units) in enumerate(((18, 7), (7, 5))):
        linear, norm = nn.Linear(inputs, units), nn.BatchNorm1d(units)
        linear.load_state_dict(model.get_submodule(f"deep_{index}").state_dict())
        norm.load_state_dict(model.get_submodule(f"deep_{index}_norm").state_dict(), strict=False)  # counts batches
        layers += [linear, norm, nn.ReLU()]
    perceptron = nn.Sequential(*layers).train(training)
    dense, sparse = batch(NO_NUMBERS)
    tables = dict(model.named_parameters())
    x = torch.cat([tables[f"fields.tables.{j}"][sparse[:, j]] for j in range(3)], 1)
    wide = sum(tables[f"wide_weights.tables.{j}"][sparse[:, j], 0] for j in range(3))
    out = model.get_submodule("deep_out")
    expected = wide + nn.functional.linear(perceptron(x), out.weight, out.bias).squeeze(1)  # type: ignore[arg-type]
    torch.testing.assert_close(model(dense, sparse), expected, rtol=1e-4, atol=1e-5)
    for index, norm in enumerate(perceptron[1::3]):
        torch.testing.assert_close(model.get_buffer(f"deep_{index}_norm.running_mean"), norm.running_mean)
        torch.testing.assert_close(model.get_buffer(f"deep_{index}_norm.running_var"), norm.running_var)


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    graph = baselines.deepfm(NO_NUMBERS, hidden=(9,), dropout=0.25)
    layer = nasrec.compile_graph(graph).get_submodule("deep_0_dropout")
    torch.manual_seed(0)
    y = layer.train()(torch.ones(20_000))
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02
    assert torch.equal(layer.eval()(torch.ones(5)), torch.ones(5))


def test_state_dict_carries_running_statistics(tmp_path: Path) -> None:
    model, inputs = trained("deepfm", MIXED).eval(), batch(MIXED)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    fresh = nasrec.compile_graph(model.graph).eval()
    assert not torch.equal(fresh(*inputs), model(*inputs))
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(fresh(*inputs), model(*inputs))
    assert not any(value.requires_grad for value in model.buffers())
    layer = fresh.get_submodule("deep_0_norm")
    layer.reset_parameters()  # type: ignore[operator]
    assert torch.equal(layer.running_var, torch.ones(7)) and not layer.running_mean.any()  # type: ignore[operator]


@pytest.mark.parametrize(("name", "form"), [("autoint_plus", "pt2"), ("deepfm", "onnx")])
def test_exported_files_are_of_evaluation(name: str, form: str, tmp_path: Path) -> None:
    """The exporter itself compares logits at several batch sizes, one row among them."""
    pytest.importorskip("onnxruntime")
    from nasrec.export import export_onnx, export_pt2

    model = trained(name, NO_NUMBERS, hidden=(4,))
    found = {"pt2": export_pt2, "onnx": export_onnx}[form](model, tmp_path / "model")
    assert found.max_difference < 1e-4 < found.max_logit
    assert model.training


def test_costs_count_what_is_trained() -> None:
    plain = nasrec_ir.cost(baselines.deepfm(MIXED, hidden=(7, 5)))
    full = nasrec_ir.cost(baselines.deepfm(MIXED, **BOTH))
    assert full.macs == plain.macs
    assert full.parameters == plain.parameters + 2 * (7 + 5)
    model = nasrec.compile_graph(baselines.deepfm(MIXED, **BOTH))
    assert full.parameters == sum(p.numel() for p in model.parameters())


PUBLISHED_PARAMETERS = {
    "dlrm": (417_891, {"interaction": "cat"}),
    "deepfm": (423_280, {}),
    "autoint_plus": (
        622_180 - 1,  # its two parts have a bias each
        {"layers": 5, "heads": 4, "head_width": 32, "layer_norm": True, "project_residual": False},
    ),
    "dcn_v2": (458_391, {"layers": 4, "structure": "parallel"}),
    "xdeepfm": (429_809 - 1 - 64, {"cin": (64,)}),  # likewise, and its convolution has biases, which one bias sums up
}


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_as_many_parameters_as_the_leaderboard_counts(name: str) -> None:
    """The logs of the BARS leaderboard for Frappe_x1, whose ten tables have 5,389 rows."""
    parameters, options = PUBLISHED_PARAMETERS[name]
    graph = baselines.build(name, FeatureSpec(0, (5380, *[1] * 9), 10), hidden=(400,) * 3, batch_norm=True, **options)
    assert nasrec_ir.cost(graph).parameters == parameters


def test_on_hardware_a_batch_norm_is_digital_work_and_dropout_nothing() -> None:
    hardware = Hardware.preset("default")
    mapping = map_graph(baselines.deepfm(MIXED, **BOTH), hardware)
    norm, drop = mapping["deep.0.norm"], mapping["deep.0.dropout"]
    assert norm.home == "digital" and norm.demand.work.multiplies == norm.demand.work.adds == 7
    assert drop.home == "wire" and drop.demand.work.moved == 0 and mapping["deep.1"].demand.sources == ("deep.0.relu",)
    without = map_graph(baselines.deepfm(MIXED, **BOTH | {"dropout": 0.0}), hardware)
    assert estimate(mapping).energy_nJ == pytest.approx(estimate(without).energy_nJ)
    assert estimate(mapping).latency_ns == pytest.approx(estimate(without).latency_ns)


def test_initial_tables_of_a_given_spread() -> None:
    graph = baselines.deepfm(FeatureSpec(0, (4000, 3), 10), hidden=(4,))
    model = nasrec.compile_graph(graph, seed=2, embedding_std=1e-3)
    tables = [table for module in model.modules() if isinstance(module, Embedding) for table in module.tables]
    assert len(tables) == 4
    assert all(abs(table.std().item() / 1e-3 - 1) < 0.1 for table in tables if table.numel() >= 4000)
    assert all(table.abs().max() < 0.01 for table in tables)
    again = nasrec.compile_graph(graph, seed=2, embedding_std=1e-3).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())
    for wrong in (0.0, -1.0, float("nan"), True, "wide"):
        with pytest.raises(CompileError, match="embedding_std must be a positive number or None, not "):
            nasrec.compile_graph(graph, embedding_std=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deepfm", {"dropout": 1.0}, "deepfm: dropout must be a number from 0 to below 1, not 1.0"),
        ("deepfm", {"dropout": -0.1}, "deepfm: dropout must be"),
        ("deepfm", {"dropout": float("nan")}, "deepfm: dropout must be"),
        ("deepfm", {"dropout": True}, "deepfm: dropout must be"),
        ("deepfm", {"dropout": "some"}, "deepfm: dropout must be a number from 0 to below 1, not 'some'"),
        ("dlrm", {"batch_norm": 1}, "dlrm: batch_norm must be true or false, not 1"),
        ("dlrm", {"interaction": "sum"}, "dlrm: interaction must be 'dot' or 'cat', not 'sum'"),
        ("autoint_plus", {"layer_norm": None}, "autoint_plus: layer_norm must be true or false, not None"),
        ("autoint_plus", {"project_residual": 0}, "autoint_plus: project_residual must be true or false"),
        ("autoint_plus", {"attention_dropout": 2}, "autoint_plus: attention_dropout must be a number from 0"),
        ("logistic_regression", {"dropout": 0.1}, "logistic_regression has no option 'dropout'"),
    ],
)
def test_says_what_is_wrong(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(baselines.BaselineError, match=message):
        baselines.build(name, MIXED, **options)


def test_a_single_column_is_enough_for_concatenation() -> None:
    model = nasrec.compile_graph(baselines.dlrm(FeatureSpec(0, (5,), 4), interaction="cat", hidden=(3,)), seed=0)
    assert model(torch.zeros(3, 0), torch.tensor([[0], [4], [2]])).isfinite().all()
