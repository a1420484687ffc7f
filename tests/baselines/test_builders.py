"""Hand-crafted models against independent implementations, and what every graph of the project must satisfy."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import nasrec
import nasrec_ir
from nasrec import FeatureSpec, baselines
from nasrec.errors import FeatureError, NasrecError
from nasrec_ir.codegen import generate

MIXED = FeatureSpec(num_dense=3, cardinalities=(5, 7, 4, 6), embedding_dim=8)
NO_NUMBERS = FeatureSpec(num_dense=0, cardinalities=(5, 7, 4), embedding_dim=6)
ONE_COLUMN = FeatureSpec(num_dense=1, cardinalities=(9,), embedding_dim=4)
CRITEO = FeatureSpec(num_dense=13, cardinalities=(50,) * 26, embedding_dim=16)

# Options away from the defaults, small and lopsided; () means no hidden layer.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "logistic_regression": [{}],
    "wide_and_deep": [{"hidden": (7,)}, {"hidden": (5, 3, 9)}, {"hidden": ()}],
    "deepfm": [{"hidden": (7, 5)}, {"hidden": ()}],
    "xdeepfm": [{"cin": (5, 3, 4), "hidden": (7, 5)}, {"cin": (1,), "hidden": ()}],
    "dcn_v2": [
        {"layers": 3, "hidden": (7, 5)},
        {"layers": 2, "rank": 2, "hidden": (7,)},
        {"layers": 1, "structure": "parallel", "hidden": (7, 5)},
        {"layers": 2, "rank": 3, "structure": "parallel", "hidden": ()},
        {"layers": 1, "hidden": ()},
    ],
    "autoint_plus": [
        {"layers": 2, "heads": 2, "head_width": 3, "hidden": (7, 5)},
        {"layers": 1, "heads": 1, "head_width": 1, "hidden": ()},
        {"layers": 3, "heads": 4, "head_width": 2, "hidden": (3,)},
        {"layers": 3, "heads": 2, "head_width": 3, "hidden": (3,), "layer_norm": True, "project_residual": False},
    ],
    "dlrm": [
        {"bottom": (9, 5), "hidden": (7, 6)},
        {"bottom": (), "hidden": ()},
        {"bottom": (4,), "hidden": (7,), "interaction": "cat"},
    ],
}
CASES = [
    pytest.param(name, options, features, id=f"{name}-{i}-{features.num_dense}d{features.num_sparse}s")
    for name, all_options in OPTIONS.items()
    for i, options in enumerate(all_options)
    for features in (MIXED, NO_NUMBERS, ONE_COLUMN)
]


# Independent implementations: (parameters by module name, dense, sparse, options) -> logits -------------------------

Parameters = Mapping[str, Tensor]


def looked_up(p: Parameters, layer: str, sparse: Tensor) -> list[Tensor]:
    return [p[f"{layer}.tables.{j}"][sparse[:, j]] for j in range(sparse.shape[1])]


def numeric(p: Parameters, dense: Tensor) -> list[Tensor]:
    return [dense[:, j, None] * p["numeric.weight"][j] for j in range(dense.shape[1])]


def perceptron(p: Parameters, layer: str, x: Tensor, depth: int) -> Tensor:
    for index in range(depth):
        x = torch.relu(x @ p[f"{layer}_{index}.weight"].T + p[f"{layer}_{index}.bias"])
    return x


def unit(p: Parameters, layer: str, x: Tensor) -> Tensor:
    return functional.linear(x, p[f"{layer}.weight"], p[f"{layer}.bias"]).squeeze(1)


def linear_terms(p: Parameters, dense: Tensor, sparse: Tensor) -> Tensor:
    total = sum((w.squeeze(1) for w in looked_up(p, "wide_weights", sparse)), torch.zeros(len(sparse)).double())
    return total + dense @ p["wide_dense.weight"][0] if dense.shape[1] else total


def logistic_regression(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    total = linear_terms(p, dense, sparse)
    return total + p["wide_dense.bias"] if dense.shape[1] else total


def wide_and_deep(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    x = torch.cat([*looked_up(p, "fields", sparse), dense], 1)
    return linear_terms(p, dense, sparse) + unit(p, "deep_out", perceptron(p, "deep", x, len(options["hidden"])))


def deepfm(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    vectors = numeric(p, dense) + looked_up(p, "fields", sparse)
    pairs = torch.zeros(len(sparse)).double()
    for a, b in itertools.combinations(vectors, 2):
        pairs = pairs + (a * b).sum(1)
    deep = perceptron(p, "deep", torch.cat(vectors, 1), len(options["hidden"]))
    return linear_terms(p, dense, sparse) + pairs + unit(p, "deep_out", deep)


def xdeepfm(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    vectors = numeric(p, dense) + looked_up(p, "fields", sparse)
    first = layer = torch.stack(vectors, 1)
    parts = [perceptron(p, "deep", torch.cat(vectors, 1), len(options["hidden"]))]
    for index, maps in enumerate(options["cin"]):
        weight = p[f"cin_{index}.weight"].view(maps, layer.shape[1], first.shape[1])
        layer = torch.einsum("hij,bie,bje->bhe", weight, layer, first)
        parts.append(layer.sum(2))
    return linear_terms(p, dense, sparse) + unit(p, "output", torch.cat(parts, 1))


def dcn_v2(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    first = x = torch.cat([*looked_up(p, "fields", sparse), dense], 1)
    for index in range(options["layers"]):
        if options.get("rank") is None:
            weight, bias = p[f"cross_{index}_linear.weight"], p[f"cross_{index}_linear.bias"]
        else:
            weight = p[f"cross_{index}_up.weight"] @ p[f"cross_{index}_down.weight"]
            bias = p[f"cross_{index}_up.bias"]
        x = first * (x @ weight.T + bias) + x
    if options.get("structure") == "parallel":
        return unit(p, "output", torch.cat([x, perceptron(p, "deep", first, len(options["hidden"]))], 1))
    return unit(p, "output", perceptron(p, "deep", x, len(options["hidden"])))


def autoint_plus(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    vectors = numeric(p, dense) + looked_up(p, "fields", sparse)
    deep = perceptron(p, "deep", torch.cat(vectors, 1), len(options["hidden"]))
    fields, width = torch.stack(vectors, 1), options["head_width"]
    for index in range(options["layers"]):
        query, key, value = p[f"attention_{index}_qkv.weight"].chunk(3)
        heads = []
        for head in range(options["heads"]):
            rows = slice(head * width, (head + 1) * width)
            q, k, v = (fields @ weight[rows].T for weight in (query, key, value))
            scores = torch.einsum("bme,bke->bmk", q, k) / width**0.5
            heads.append(torch.softmax(scores, 2) @ v)
        residual = fields
        if options.get("project_residual", True) or fields.shape[2] != options["heads"] * width:
            residual = fields @ p[f"attention_{index}_residual.weight"].T
        fields = torch.cat(heads, 2) + residual
        if options.get("layer_norm"):
            gain, offset = p[f"attention_{index}_norm.weight"], p[f"attention_{index}_norm.bias"]
            fields = functional.layer_norm(fields, gain.shape, gain, offset)
        fields = torch.relu(fields)
    return unit(p, "output", torch.cat([fields.flatten(1), deep], 1))


def dlrm(p: Parameters, dense: Tensor, sparse: Tensor, options: Mapping[str, Any]) -> Tensor:
    vectors, parts = looked_up(p, "fields", sparse), []
    if dense.shape[1]:
        parts = [perceptron(p, "bottom", dense, len(options["bottom"]) + 1)]
        vectors = parts + vectors
    if options.get("interaction") == "cat":
        return unit(p, "top_out", perceptron(p, "top", torch.cat(vectors, 1), len(options["hidden"])))
    parts += [(vectors[i] * vectors[j]).sum(1, keepdim=True) for i in range(len(vectors)) for j in range(i)]
    return unit(p, "top_out", perceptron(p, "top", torch.cat(parts, 1), len(options["hidden"])))


REFERENCES: dict[str, Callable[[Parameters, Tensor, Tensor, Mapping[str, Any]], Tensor]] = {
    "logistic_regression": logistic_regression,
    "wide_and_deep": wide_and_deep,
    "deepfm": deepfm,
    "xdeepfm": xdeepfm,
    "dcn_v2": dcn_v2,
    "autoint_plus": autoint_plus,
    "dlrm": dlrm,
}


def batch(features: FeatureSpec, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    columns = [torch.randint(0, rows, (size,), generator=draw) for rows in features.cardinalities]
    return torch.randn(size, features.num_dense, generator=draw).double(), torch.stack(columns, 1)


def drawn_module(graph: nasrec_ir.Graph, seed: int = 1) -> nasrec.CompiledModel:
    """A module in double precision whose biases, too, differ from zero."""
    model, draw = nasrec.compile_graph(graph, seed=seed).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return model


def test_every_model_is_tested() -> None:
    assert set(REFERENCES) == set(OPTIONS) == set(baselines.BASELINES)
    assert set(baselines.BASELINES) <= set(baselines.__all__)


@pytest.mark.parametrize(("name", "options", "features"), CASES)
def test_equals_an_independent_implementation(name: str, options: dict[str, Any], features: FeatureSpec) -> None:
    graph = baselines.build(name, features, **options)
    model = drawn_module(graph)
    dense, sparse = batch(features, 11)
    logits = model(dense, sparse)
    parameters = dict(model.named_parameters())
    expected = REFERENCES[name](parameters, dense, sparse, options)
    assert logits.shape == (11,)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)

    by_name = {
        ref.name: model.get_parameter(f"{model.layer_names[node.id]}.{role}")
        for node in graph
        for role, ref in node.params
    }
    plain = torch.from_numpy(nasrec_ir.interpret(graph, by_name, [dense, sparse]))
    torch.testing.assert_close(logits, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "options", "features"), CASES)
def test_gradients_equal_those_of_the_independent_implementation(
    name: str, options: dict[str, Any], features: FeatureSpec
) -> None:
    model = drawn_module(baselines.build(name, features, **options), seed=3)
    dense, sparse = batch(features, 64)
    weights = torch.linspace(-1, 2, 64).double()
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad((model(dense, sparse) * weights).sum(), list(parameters.values()))
    reference = REFERENCES[name](parameters, dense, sparse, options)
    expected = torch.autograd.grad((reference * weights).sum(), list(parameters.values()))
    for key, a, b in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("features", [MIXED, NO_NUMBERS], ids=["mixed", "no-numbers"])
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_reach_every_parameter_of_the_default_model(name: str, features: FeatureSpec) -> None:
    model = nasrec.compile_graph(baselines.build(name, features), seed=0)
    dense, sparse = batch(features, 256)
    model(dense.float(), sparse).square().sum().backward()
    untouched = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert untouched == []


@pytest.mark.parametrize(("name", "options", "features"), CASES)
def test_graph_is_executable_round_trips_and_gives_the_same_source(
    name: str, options: dict[str, Any], features: FeatureSpec
) -> None:
    graph = baselines.build(name, features, **options)
    nasrec_ir.verify(graph, "executable")
    assert [str(node.type) for node in graph.inputs] == [
        f"f32[B, {features.num_dense}]",
        f"i64[B, {features.num_sparse}]",
    ]
    assert [node.id for node in graph.inputs] == ["dense", "sparse"]
    read = nasrec_ir.parse(nasrec_ir.dump(graph))
    assert read == graph
    again = baselines.build(name, features, **options)
    assert again == graph
    assert generate(read).text == generate(again).text == nasrec.compile_graph(graph).source


@pytest.mark.parametrize("name", OPTIONS)
def test_numbers_that_do_not_exist_cost_nothing(name: str) -> None:
    graph = baselines.build(name, NO_NUMBERS)
    assert graph.users["dense"] == ()
    assert {node.op for node in graph}.isdisjoint({"zeros", "pad", "numeric_embedding"})
    assert all(0 not in ref.shape for ref in graph.parameters().values())


@pytest.mark.parametrize("name", OPTIONS)
def test_an_empty_batch_gives_no_logits(name: str) -> None:
    model = nasrec.compile_graph(baselines.build(name, MIXED), seed=0)
    assert model(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int64)).shape == (0,)


def test_macs_by_hand() -> None:
    """Criteo's 13 numbers and 26 categories, E = 16; the pairwise dot product counts the full square of its rows."""
    bottom = 13 * 512 + 512 * 256 + 256 * 64 + 64 * 16  # 155,136
    top = (16 + 27 * 26 // 2) * 512 + 512 * 256 + 256  # 319,232
    assert bottom + 27 * 27 * 16 + top == 486_032
    assert nasrec_ir.cost(baselines.dlrm(CRITEO)).macs == 486_032

    width = 26 * 16 + 13
    full = nasrec_ir.cost(baselines.dcn_v2(CRITEO, layers=2, hidden=(8,)))
    low = nasrec_ir.cost(baselines.dcn_v2(CRITEO, layers=2, hidden=(8,), rank=5))
    assert full.macs == 2 * width * width + width * 8 + 8
    assert low.macs == 2 * 2 * width * 5 + width * 8 + 8

    cin = nasrec_ir.cost(baselines.xdeepfm(CRITEO, cin=(20, 10), hidden=()))
    fields = 39
    layers = 16 * (fields * fields * 20 + 20 * fields * 10)
    assert cin.macs == layers + (fields * 16 + 20 + 10) + 13

    attention = nasrec_ir.cost(baselines.autoint_plus(CRITEO, layers=1, heads=2, head_width=4, hidden=()))
    assert attention.macs == fields * 16 * (3 * 8 + 8) + 2 * fields * fields * 8 + fields * (8 + 16)


def test_parameters_by_hand() -> None:
    cost = nasrec_ir.cost(baselines.deepfm(CRITEO, hidden=(10,)))
    assert cost.embedding_parameters == 26 * 50 * (16 + 1)
    assert cost.parameters - cost.embedding_parameters == 13 * 16 + 13 + (39 * 16 * 10 + 10) + (10 + 1)


def learnable(features: FeatureSpec, linear: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Clicks that follow from the first two columns: from each alone, or only from both together."""
    dense, sparse = batch(features, 512)
    first, second = sparse[:, 0] % 2, sparse[:, 1] % 2
    return dense.float(), sparse, (first if linear else first ^ second).float()


@pytest.mark.parametrize("features", [MIXED, NO_NUMBERS], ids=["mixed", "no-numbers"])
@pytest.mark.parametrize("name", OPTIONS)
def test_learns(name: str, features: FeatureSpec) -> None:
    """All but logistic regression learn a pure interaction of two columns, which has no first-order part."""
    linear = name == "logistic_regression"
    small = {"xdeepfm": {"cin": (10,)}, "autoint_plus": {"layers": 1, "head_width": 8}}
    options = {} if linear else {"hidden": (16,), **small.get(name, {})}
    model = nasrec.compile_graph(baselines.build(name, features, **options), seed=0)
    dense, sparse, clicks = learnable(features, linear)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(model(dense, sparse), clicks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < 0.6 < losses[0]


def test_logistic_regression_cannot_learn_an_interaction() -> None:
    """The learning test above asks for more than first-order terms."""
    model = nasrec.compile_graph(baselines.logistic_regression(MIXED), seed=0)
    dense, sparse, clicks = learnable(MIXED, linear=False)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        loss = functional.binary_cross_entropy_with_logits(model(dense, sparse), clicks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() > 0.6


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dlmr", {}, "no baseline is called 'dlmr'; choose from logistic_regression, "),
        (7, {}, "no baseline is called 7"),
        (["dlrm"], {}, "no baseline is called"),
        ("dlrm", {"depth": 3}, "dlrm has no option 'depth'; it takes bottom, hidden"),
        ("logistic_regression", {"hidden": (3,)}, "has no option 'hidden'; it takes none"),
        ("deepfm", {"hidden": (400, 0)}, "deepfm: hidden must be a sequence of 0 to 64 widths from 1 to 65536"),
        ("deepfm", {"hidden": 400}, "deepfm: hidden must be"),
        ("deepfm", {"hidden": (1.5,)}, "deepfm: hidden must be"),
        ("deepfm", {"hidden": (10**9,)}, "deepfm: hidden must be"),
        ("wide_and_deep", {"hidden": (4,) * 65}, "wide_and_deep: hidden must be"),
        ("xdeepfm", {"cin": ()}, "xdeepfm: cin must be a sequence of 1 to 64 widths"),
        ("dlrm", {"bottom": None}, "dlrm: bottom must be"),
        ("dcn_v2", {"layers": 0}, "dcn_v2: layers must be an integer from 1 to 64, not 0"),
        ("dcn_v2", {"layers": True}, "dcn_v2: layers must be"),
        ("dcn_v2", {"rank": 0}, "dcn_v2: rank must be"),
        ("dcn_v2", {"structure": "sequential"}, "dcn_v2: structure must be 'stacked' or 'parallel', not 'sequential'"),
        ("dcn_v2", {"structure": []}, "dcn_v2: structure must be"),
        ("autoint_plus", {"heads": 0}, "autoint_plus: heads must be"),
        ("autoint_plus", {"heads": 1024, "head_width": 1024}, r"autoint_plus: heads \* head_width must be"),
    ],
)
def test_says_what_is_wrong(name: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(baselines.BaselineError, match=message) as caught:
        baselines.build(name, MIXED, **options)
    assert isinstance(caught.value, NasrecError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OPTIONS)
def test_wants_a_feature_specification(name: str) -> None:
    with pytest.raises(FeatureError, match="expected a FeatureSpec, not dict"):
        baselines.build(name, {"num_dense": 3})  # type: ignore[arg-type]


def test_dlrm_wants_a_pair() -> None:
    with pytest.raises(FeatureError, match="dlrm multiplies pairs"):
        baselines.dlrm(FeatureSpec(0, (5,), 4))


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"dlrm"}))
def test_a_single_column_is_enough(name: str) -> None:
    model = nasrec.compile_graph(baselines.build(name, FeatureSpec(0, (5,), 4)), seed=0)
    assert model(torch.zeros(3, 0), torch.tensor([[0], [4], [2]])).isfinite().all()


def test_options_of_lists_defaults() -> None:
    assert baselines.options_of("dlrm") == {
        "bottom": (512, 256, 64),
        "hidden": (512, 256),
        "interaction": "dot",
        "dropout": 0.0,
        "batch_norm": False,
    }
    assert baselines.options_of("logistic_regression") == {}


def test_lists_serve_as_widths() -> None:
    assert baselines.dlrm(MIXED, bottom=[4], hidden=[3]) == baselines.dlrm(MIXED, bottom=(4,), hidden=(3,))


def test_import_needs_no_torch() -> None:
    code = "import nasrec.baselines, sys; print('torch' in sys.modules)"
    path = ":".join(entry for entry in sys.path if entry)
    result = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
