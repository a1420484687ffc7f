"""The compiler: modules that behave like any other, and source that shows where a person looks for it."""

from __future__ import annotations

import copy
import gc
import inspect
import linecache
import os
import pickle
import subprocess
import sys
import traceback
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import nasrec
import nasrec_ir
from nasrec import CompiledModel, CompileError, FeatureError, FeatureSpec, Genotype, SearchSpace, presets
from nasrec.compiler import compile_graph
from nasrec.errors import NasrecError
from nasrec.lowering.graphs import graph_of
from nasrec_ir import GraphBuilder, TensorType, VerifyError, parse

FEATURES = FeatureSpec(5, [4, 9, 2], 16)
SPACE = SearchSpace.full(3, dense_dims=(16, 32), sparse_dims=(16, 32))
GENOTYPE = SPACE.sample(np.random.default_rng(2))


def batch(size: int = 4, features: FeatureSpec = FEATURES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(0, rows, (size,), generator=generator) for rows in features.cardinalities]
    return torch.randn(size, features.num_dense, generator=generator), torch.stack(ids, dim=1)


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    return nasrec.compile(GENOTYPE, FEATURES, seed=0)


def test_logits(model: CompiledModel) -> None:
    logits = model(*batch())
    assert logits.shape == (4,) and logits.dtype == torch.float32 and torch.isfinite(logits).all()


@pytest.mark.parametrize("size", [0, 1, 7])
def test_any_batch(model: CompiledModel, size: int) -> None:
    assert model(*batch(size)).shape == (size,)


def test_samples_do_not_meet(model: CompiledModel) -> None:
    dense, sparse = batch(6)
    alone = torch.cat([model(dense[i : i + 1], sparse[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(model(dense, sparse), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(model: CompiledModel, dtype: torch.dtype) -> None:
    dense, sparse = batch()
    assert copy.deepcopy(model).to(dtype)(dense.to(dtype), sparse).dtype == dtype


def test_graph_and_source_are_at_hand(model: CompiledModel) -> None:
    assert model.graph == graph_of(GENOTYPE, FEATURES)
    assert model.source.startswith('"""Model: ') and "def forward(self, dense: Tensor, sparse: Tensor)" in model.source
    assert parse(nasrec_ir.dump(model.graph)) == model.graph


def test_every_parameter_of_the_graph_is_one_of_the_module(model: CompiledModel) -> None:
    shapes = {
        f"{model.layer_names[node.id]}.{role}": ref.view_shape for node in model.graph for role, ref in node.params
    }
    assert {name: tuple(value.shape) for name, value in model.named_parameters()} == shapes
    assert sum(p.numel() for p in model.parameters()) == nasrec_ir.cost(model.graph).parameters


@pytest.mark.parametrize("name", presets.names())
def test_gradients_reach_every_parameter(name: str) -> None:
    """Nothing dead is left in a compiled model."""
    features = presets.PRESETS[name].features(rows=6)
    model = nasrec.compile(presets.load(name), features, seed=0)
    model(*batch(8, features)).square().sum().backward()
    missing = [key for key, value in model.named_parameters() if value.grad is None]
    assert not missing


def test_layers_print_what_they_are(model: CompiledModel) -> None:
    text = str(model)
    assert "3 tables, 15 rows x 16" in text and "(final): Linear(" in text


# Seeds ---------------------------------------------------------------------------------------------------------


def test_a_seed_decides_the_initial_values() -> None:
    states = [nasrec.compile(GENOTYPE, FEATURES, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_a_seed_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    nasrec.compile(GENOTYPE, FEATURES, seed=1)
    assert torch.equal(torch.rand(3), want)


def test_without_a_seed_the_global_generator_decides() -> None:
    torch.manual_seed(5)
    first = nasrec.compile(GENOTYPE, FEATURES).state_dict()
    torch.manual_seed(5)
    second = nasrec.compile(GENOTYPE, FEATURES).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_initial_values(model: CompiledModel) -> None:
    """Xavier-uniform weights, zero biases, norms at identity, Xavier-normal tables, as the release draws them."""
    for name, value in model.named_parameters():
        if value.dim() == 2 and not name.startswith("embedding."):
            bound = (6 / sum(value.shape)) ** 0.5
            assert value.abs().max() <= bound and (value.numel() < 50 or value.std() > 0.4 * bound)
        elif name.endswith(("norm_weight", "norm.weight")):
            assert (value == 1).all()
        elif value.dim() == 1:
            assert (value == (1 if name.endswith("weight") else 0)).all()


# Source --------------------------------------------------------------------------------------------------------


def test_source_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed."""
    GENOTYPE.save(tmp_path / "genotype.json")
    script = (
        "import sys; from nasrec.genotype import Genotype; from nasrec.features import FeatureSpec\n"
        "from nasrec.lowering.graphs import graph_of; from nasrec_ir import dump; from nasrec_ir.codegen import "
        "generate\n"
        "graph = graph_of(Genotype.load(sys.argv[1]), FeatureSpec(5, [4, 9, 2], 16))\n"
        "print(dump(graph)); print(generate(graph).text, end='')\n"
        "assert 'torch' not in sys.modules"
    )
    outputs = set()
    for seed in ("0", "1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
        command = [sys.executable, "-c", script, str(tmp_path / "genotype.json")]
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (output,) = outputs
    graph = graph_of(GENOTYPE, FEATURES)
    assert output == nasrec_ir.dump(graph) + "\n" + compile_graph(graph).source


def test_tracebacks_show_the_generated_line(model: CompiledModel) -> None:
    dense, sparse = batch()
    with pytest.raises(NasrecError) as caught:
        model(dense[:, :2], sparse)
    text = "".join(traceback.format_exception(caught.value))
    frame = next(f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename.startswith("<nasrec Model"))
    assert frame.line and frame.line in text and frame.line in model.source
    assert frame.line == model.source.splitlines()[(frame.lineno or 0) - 1].strip()


def test_getsource_shows_forward(model: CompiledModel) -> None:
    forward = inspect.getsource(type(model).forward)
    assert forward.startswith("    def forward(") and forward in model.source


def test_source_lines_are_forgotten_with_the_class() -> None:
    model = nasrec.compile(replace(GENOTYPE, name="short lived"), FEATURES, seed=0)
    filename = type(model).forward.__code__.co_filename
    died = weakref.ref(type(model))
    assert filename in linecache.cache
    del model
    gc.collect()
    assert died() is None and filename not in linecache.cache


def test_models_of_equal_source_share_a_class_that_outlives_either() -> None:
    first, second = (nasrec.compile(replace(GENOTYPE, name="twins"), FEATURES, seed=s) for s in (0, 1))
    assert type(first) is type(second)
    filename = type(first).forward.__code__.co_filename
    del first
    gc.collect()
    assert filename in linecache.cache and second(*batch()).shape == (4,)


def test_the_name_of_a_genotype_names_the_class() -> None:
    model = nasrec.compile(replace(GENOTYPE, name="Criteo: best of 1st run!"), FEATURES)
    assert type(model).__name__ == "CriteoBestOf1stRun"


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("", "model"),
        ("Criteo Full", "criteo_full"),
        ("7 blocks", "model_7_blocks"),
        ("é", "model"),
        ("a" * 120, "a" * 60),
        ("import os; os.system('x')", "import_os_os_system_x"),
        ("class", "class"),
        ("__", "model"),
    ],
)
def test_the_name_of_a_genotype_becomes_an_identifier(name: str, want: str) -> None:
    assert graph_of(replace(GENOTYPE, name=name), FEATURES).name == want


# Copies --------------------------------------------------------------------------------------------------------


def test_models_can_be_copied_and_pickled(model: CompiledModel) -> None:
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is type(model) and twin.graph == model.graph and twin.source == model.source
        assert torch.equal(twin(*batch()), model(*batch()))
        with torch.no_grad():
            next(twin.parameters()).add_(1)
        assert not torch.equal(twin(*batch()), model(*batch()))


def test_models_can_be_saved_and_loaded_by_another_process(model: CompiledModel, tmp_path: Path) -> None:
    torch.save({"model": model, "batch": batch(), "logits": model(*batch()).detach()}, tmp_path / "model.pt")
    script = (
        "import sys, torch; saved = torch.load(sys.argv[1], weights_only=False)\n"
        "assert torch.allclose(saved['model'](*saved['batch']), saved['logits'])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "model.pt")], env=environment, check=True)


def test_weights_go_by_state_dict(model: CompiledModel) -> None:
    other = nasrec.compile(GENOTYPE, FEATURES, seed=9)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(*batch()), model(*batch()))


# Dumps and errors ----------------------------------------------------------------------------------------------


def test_dump_ir_writes_the_graph_after_each_pass(tmp_path: Path) -> None:
    model = nasrec.compile(GENOTYPE, FEATURES, dump_ir=tmp_path / "new" / "ir")
    files = sorted((tmp_path / "new" / "ir").iterdir())
    assert [path.name for path in files] == [
        "00-lowered.ir",
        "01-prune-dead.ir",
        "02-merge-equal.ir",
        "03-elide-zeros.ir",
        "04-merge-equal.ir",
        "05-fuse.ir",
        "06-fuse-attention.ir",
    ]
    graphs = [parse(path.read_text(encoding="utf-8")) for path in files]
    assert graphs[-1] == model.graph
    assert len(graphs[0]) >= len(graphs[1]) >= len(graphs[-1])


def test_dump_ir_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CompileError, match=r"file: cannot be a folder for the IR .* name another"):
        nasrec.compile(GENOTYPE, FEATURES, dump_ir=tmp_path / "file")


def test_tables_that_no_machine_holds_are_refused_before_they_are_made() -> None:
    features = FeatureSpec(5, [2**31 - 1] * 30, 4096)
    with pytest.raises(CompileError, match=r"its parameters take [0-9,.]+ GiB, this machine has"):
        nasrec.compile(GENOTYPE, features)
    assert nasrec.cost(GENOTYPE, features).embedding_parameters == 30 * (2**31 - 1) * 4096


def test_features_that_do_not_fit_an_operator() -> None:
    attentive = Genotype(tuple(replace(block, operators=("fc", "attention")) for block in GENOTYPE.blocks))
    with pytest.raises(FeatureError, match=r"block 0: attention .* multiple of 8, not 12"):
        nasrec.compile(attentive, FeatureSpec(5, [4], 12))


def test_only_executable_graphs_are_compiled() -> None:
    b = GraphBuilder("g")
    x = b.input("x", TensorType((4,)))
    with pytest.raises(VerifyError, match="not one logit per sample"):
        compile_graph(b.finish(b.add("relu", [x])))


def test_cost_needs_no_model_and_agrees_with_one(model: CompiledModel) -> None:
    cost = nasrec.cost(GENOTYPE, FEATURES, optimized=True)
    assert cost == nasrec_ir.cost(model.graph)
    assert cost.live_blocks == GENOTYPE.live_blocks()
    assert cost.macs <= nasrec.cost(GENOTYPE, FEATURES).macs


def test_ids_outside_of_a_table_are_named(model: CompiledModel) -> None:
    dense, sparse = batch()
    sparse[2, 1] = 9
    with pytest.raises(FeatureError, match="field 1 holds id 9 in row 2"):
        model(dense, sparse)
