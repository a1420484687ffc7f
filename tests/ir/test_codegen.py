"""Code generation: text that a person can read and Python accepts, whatever nodes are called."""

from __future__ import annotations

import ast
import builtins
import keyword
import random
import re
from collections.abc import Callable

import pytest

from nasrec_ir import Graph, GraphBuilder, TensorType, VerifyError, parse
from nasrec_ir.codegen import generate
from nasrec_ir.layout import LINE_WIDTH, commented, wrapped
from nasrec_ir.passes import OPTIMISE
from tests.ir.random_graphs import random_graph

T = TensorType


def small_graph() -> Graph:
    b = GraphBuilder("small_model")
    dense, sparse = b.input("dense", T((13,))), b.input("sparse", T((3,), "i64"))
    raw = b.add("embedding", [sparse], dim=8, rows=[1000, 20, 3])
    row = b.add("linear", [dense], id="b0.dot.dense", out=8, norm=True)
    row = b.add("reshape", [row], id="b0.dot.row", shape=(1, 8))
    pairs = b.add("pairwise_dot", [b.add("concat", [row, raw], id="b0.dot.rows")], id="b0.dot.pairs")
    efc = b.add("field_linear", [raw], id="b0.efc", out=5, norm=True, activation="relu", keep=4)
    qkv = b.add("channel_linear", [efc], id="b0.attn.qkv", out=24, biased=True)
    mix = b.add("self_attention", [qkv], id="b0.attn.mix", heads=8)
    mix = b.add("layer_norm", [b.add("add", [efc, mix])], id="b0.attn.norm", axis=2, eps=1e-6)
    gate = b.add("sigmoid", [pairs])
    gate = b.add("mul", [gate, b.add("slice", [dense], start=1, stop=7)], id="b0.gate")
    fm = b.add("scale", [b.add("factorization_machine", [mix], id="b0.fm")], factor=0.5)
    flat = b.add("reshape", [mix], id="flat", shape=(32,))
    final = b.add("linear", [b.add("pad", [gate], size=9), fm, flat], id="final", out=1, biased=True)
    return OPTIMISE.run(b.finish(b.add("reshape", [final], id="logit", shape=())))


def test_golden_source(golden: Callable[[str, str], None]) -> None:
    golden("ir/small_model.py.txt", generate(small_graph()).text)


@pytest.mark.parametrize("seed", range(120))
def test_random_graphs_give_tidy_source(seed: int) -> None:
    """Parses, stays within the line, imports what it uses and nothing else, binds every name once and reads it."""
    graph = OPTIMISE.run(random_graph(seed))
    source = generate(graph)
    assert generate(graph) == source
    check_source(source.text, source.class_name)
    assert set(source.members) == {node.id for node in graph if node.params or node.op in LAYERS}


LAYERS = {"linear", "field_linear", "channel_linear", "layer_norm", "embedding", "numeric_embedding", "dropout", "take"}


def check_source(text: str, class_name: str) -> None:
    tree = ast.parse(text)
    compile(text, "generated", "exec")
    assert max(map(len, text.splitlines())) <= LINE_WIDTH
    assert all(line == line.rstrip() for line in text.splitlines())
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    allowed = {("", "torch"), ("torch", "Tensor"), ("torch", "nn"), ("nasrec", "kernels"), ("nasrec", "layers")}
    assert imported <= allowed | {("__future__", "annotations")}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    loaded = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    for _, name in imported & {("", "torch"), ("nasrec", "kernels"), ("nasrec", "layers")}:
        assert name in loaded, f"{name} is imported for nothing"
    (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert cls.name == class_name
    forward = next(node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "forward")
    stored = [node.id for node in ast.walk(forward) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    arguments = [argument.arg for argument in forward.args.args]
    bound = stored + arguments
    assert len(bound) == len(set(bound)), "a name is bound twice"
    outside = {node.id for node in ast.walk(forward) if isinstance(node, ast.Name)} - set(bound)
    assert outside <= {"torch", "nn", "kernels", "layers", "Tensor"}


HOSTILE = [
    *("torch", "nn", "self", "kernels", "layers", "Tensor", "forward", "self.x", "self_x", "torch.nn", "nn.functional"),
    *("class", "None", "print", "super", "len", "return", "import", "lambda", "match", "type", "_", "__", "__init__"),
    *("_modules", "_parameters", "__1", "_1", "x.1", "x_1", "a.b.c", "a_b_c", "a.b_c", "training", "parameters"),
    *("graph", "source", "layer_names", "state_dict", "to", "half", "Small", "b0", "annotations", "os.system", "x_2"),
]


def hostile_graph(names: list[str], name: str = "small") -> Graph:
    """A chain of nodes that are called like what the generated source must not lose."""
    b = GraphBuilder(name)
    x = b.input("dense", T((4,)))
    for i, node_id in enumerate(names):
        x = b.add("linear", [x], id=node_id, out=4) if i % 2 else b.add("relu", [x], id=node_id)
    final = b.add("linear", [x], id="final", out=1)
    return b.finish(b.add("reshape", [final], id="logit", shape=()))


@pytest.mark.parametrize("order", range(4))
def test_hostile_names(order: int) -> None:
    names = random.Random(order).sample(HOSTILE, len(HOSTILE))
    source = generate(hostile_graph(names))
    check_source(source.text, "Small")
    members = list(source.members.values())
    assert len(set(members)) == len(members)
    assert all(member.isidentifier() and not keyword.iskeyword(member) for member in members)
    assert not any(member.startswith("_") or hasattr(builtins, member) for member in members)


@pytest.mark.parametrize("order", range(2))
def test_hostile_names_run(order: int) -> None:
    """Every layer is a layer, nothing of nn.Module is hidden, and the result is right."""
    torch = pytest.importorskip("torch")
    from nasrec.compiler import compile_graph
    from nasrec_ir import interpret

    names = random.Random(order).sample(HOSTILE, len(HOSTILE))
    graph = hostile_graph(names if order % 2 else names[::-1])
    model = compile_graph(graph, seed=0).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    parameters = {
        ref.name: model.get_parameter(f"{model.layer_names[node.id]}.{role}")
        for node in graph
        for role, ref in node.params
    }
    want = interpret(graph, parameters, [x])
    assert torch.allclose(model(x).detach(), torch.from_numpy(want), rtol=1e-12, atol=1e-12)
    assert len(model.state_dict()) == len(graph.parameters())
    assert model.graph is graph and callable(model.eval) and model.eval().training is False


def test_no_layer_can_hide_an_attribute_of_modules() -> None:
    torch = pytest.importorskip("torch")
    from nasrec_ir.codegen import MODULE_ATTRIBUTES

    public = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert public - {"forward"} <= MODULE_ATTRIBUTES


ARGUMENTS = ["torch", "self", "forward", "Tensor", "_x", "__x", "None_", "print", "kernels", "B", "x"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_hostile_arguments(name: str) -> None:
    graph = parse(f"graph g(%{name}: f32[B]) -> f32[B] {{ %r = relu(%{name}) : f32[B] return %r }}")
    check_source(generate(graph).text, "G")


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("criteo_full", "CriteoFull"),
        ("a.b", "AB"),
        ("tensor", "ModelTensor"),
        ("none", "ModelNone"),
        ("True", "ModelTrue"),
        ("exception", "ModelException"),
        ("_", "Model"),
        ("_1", "Model1"),
        ("class", "Class"),
        ("x" * 200, "X" + "x" * 59),
    ],
)
def test_class_names(name: str, class_name: str) -> None:
    source = generate(hostile_graph([], name))
    assert source.class_name == class_name
    check_source(source.text, class_name)


@pytest.mark.parametrize("name", ["é", "x\u200b", "名", "a b", "a;b", "a\nb", 'a"b', "a)b", "1a", "a-b", ""])
def test_names_that_are_no_identifiers_never_get_here(name: str) -> None:
    with pytest.raises(VerifyError, match="is not an identifier"):
        generate(hostile_graph([name or " "]))
    with pytest.raises(VerifyError, match="is not an identifier"):
        generate(hostile_graph([], name))


def test_parameter_names_do_not_reach_the_source() -> None:
    graph = parse(
        'graph g(%x: f32[B, 1]) -> f32[B] { %y = linear(%x) {out = 1} [weight = "\\"\\"\\"); import os  # "[1, 1]] : '
        "f32[B, 1] %z = reshape(%y) {shape = ()} : f32[B] return %z }"
    )
    assert "import os" not in generate(graph).text


def test_only_executable_graphs_are_generated() -> None:
    b = GraphBuilder("g")
    masked = b.add("mask", [b.input("x", T((4,)))], keep=2)
    last = b.add("linear", [masked], out=1)
    with pytest.raises(VerifyError, match="a mask is left"):
        generate(b.finish(b.add("reshape", [last], shape=())))


def test_without_dense_argument() -> None:
    b = GraphBuilder("g")
    raw = b.add("embedding", [b.input("sparse", T((2,), "i64"))], dim=2, rows=[3, 4])
    zeros = b.add("zeros", shape=(0,))
    flat = b.add("reshape", [raw], shape=(4,))
    last = b.add("linear", [zeros, flat], out=1)
    text = generate(b.finish(b.add("reshape", [last], shape=()))).text
    assert "sparse.new_zeros((sparse.shape[0], 0), dtype=torch.get_default_dtype())" in text
    check_source(text, "G")


# Layout --------------------------------------------------------------------------------------------------------


def test_statements_wrap_within_their_brackets() -> None:
    arguments = ", ".join(f"argument_{i}" for i in range(20))
    lines = wrapped("value = ", f"torch.cat(({arguments}), dim=1)", 8)
    assert lines[0] == "        value = torch.cat(" and lines[-1] == "        )"
    assert max(map(len, lines)) <= LINE_WIDTH
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", f"value = torch.cat(({arguments}), dim=1)")


def test_sums_and_chains_are_put_in_parentheses() -> None:
    terms = " + ".join(f"operand_{i}" for i in range(20))
    assert ast.dump(ast.parse("\n".join(wrapped("v = ", terms, 0)))) == ast.dump(ast.parse(f"v = {terms}"))
    chain = f"{'x' * 90}.flatten(1).unflatten(1, (8, 16))"
    assert ast.dump(ast.parse("\n".join(wrapped("v = ", chain, 0)))) == ast.dump(ast.parse(f"v = {chain}"))


def test_comments_stand_in_one_column_where_they_fit() -> None:
    lines = commented([("a = f(x)", "[B]"), ("longer = g(a)", "[B, 2]"), (f"c = h({'y, ' * 40}a)", "[B]")], 4)
    assert lines[0].index("#") == lines[1].index("#")
    assert lines[-1] == "    )  # [B]" and max(map(len, lines)) <= LINE_WIDTH
