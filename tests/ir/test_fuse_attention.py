"""The attention operator as one node: when it is fused, what it stands for, and that nothing changes by either."""

from __future__ import annotations

from typing import Any

import pytest

from nasrec_ir import Graph, GraphBuilder, TensorType, cost, dump, parse, verify
from nasrec_ir.codegen import generate
from nasrec_ir.draw.caption import captions
from nasrec_ir.passes import OPTIMIZE, ElideZeros, Expand, Fuse, FuseAttention
from tests.ir.random_graphs import same_result

T = TensorType


def operator(
    *,
    fields: int = 4,
    size: int = 4,
    heads: int = 2,
    turned: bool = False,
    bits: tuple[int | None, ...] = (None,) * 4,
    eps: tuple[float, float] = (1e-5, 1e-5),
    **changes: Any,
) -> Graph:
    """x [B, fields, 8], filled up with zero fields to `size`, through the operator; `changes` break its form."""
    b = GraphBuilder("g")
    x = b.input("x", T((fields, 8)))
    seen = b.add("pad", [x], size=size, before=changes.get("before", 0)) if size > fields else x

    def linear(name: str, operand: str, out: int, bit: int | None, activation: str = "none") -> str:
        biased = changes.get("unbiased") != name
        return b.add(
            "channel_linear", [operand], id=name, out=out, activation=activation, weight_bits=bit, biased=biased
        )

    def residual(name: str, x: str, y: str, eps: float) -> str:
        added = b.add("add", [y, x] if turned else [x, y], id=f"{name}.add")
        return b.add("layer_norm", [added], id=name, axis=changes.get("axis", 2), eps=eps)

    qkv = linear("qkv", seen, 24, bits[0])
    mix = b.add("self_attention", [qkv], id="mix", heads=heads, dropout=changes.get("dropout"))
    h = residual("norm1", seen, linear("out", mix, 8, bits[1]), eps[0])
    if size > fields:
        h = b.add("slice", [h], start=changes.get("before", 0), stop=changes.get("stop", fields))
    hidden = linear("fc1", h, changes.get("hidden", 8), bits[2], changes.get("activation", "relu"))
    y = residual("norm2", h, linear("fc2", hidden, 8, bits[3]), eps[1])
    if read := changes.get("read"):  # a part that something else reads as well
        y = b.add("concat", [y, read])
    return b.finish(y)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph if node.op != "input"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("fields", "size"), [(4, 4), (4, 9), (1, 2)])
def test_the_operator_becomes_one_node(fields: int, size: int, turned: bool) -> None:
    graph = operator(fields=fields, size=size, turned=turned, eps=(1e-3, 1e-3), bits=(4,) * 4)
    fused = FuseAttention().apply(graph)
    verify(fused)
    (node,) = fused.nodes[1:]
    given = {"heads": 2, "padded": size - fields, "eps": 1e-3, "weight_bits": 4}
    assert (node.id, node.op, node.inputs) == ("mix", "field_attention", ("x",))
    assert dict(node.attrs) == {key: value for key, value in given.items() if value}
    assert {ref.name for _, ref in node.params} == {ref.name for n in graph for _, ref in n.params}
    same_result(graph, fused)
    assert parse(dump(fused)) == fused
    assert FuseAttention().apply(fused) is fused


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": (4, 4, 8, 4)},
        {"bits": (None, 4, 4, 4)},
        {"eps": (1e-5, 1e-6)},
        {"unbiased": "qkv"},
        {"unbiased": "fc2"},
        {"axis": 1},
        {"dropout": 0.5},
        {"hidden": 6},
        {"activation": "none"},
        {"activation": "sigmoid"},
        {"read": "qkv"},
        {"read": "mix"},
        {"read": "norm1.add"},
        {"read": "norm1"},
        {"read": "fc1"},
        {"read": "norm2.add"},
        {"size": 9, "stop": 3},
        {"size": 9, "stop": 5},
        {"size": 9, "before": 1},
    ],
    ids=str,
)
def test_anything_else_stays_as_it_is(changes: dict[str, Any]) -> None:
    if "before" in changes:
        changes = {**changes, "stop": 5}
    if changes.get("read") == "qkv":  # its 24 channels do not stack with 8
        graph = operator()
        b = GraphBuilder("g")
        for node in graph:
            b.copy(node, node.inputs)
        graph = b.finish(b.add("concat", [b.add("reshape", ["qkv"], shape=(12, 8)), graph.output]))
    else:
        graph = operator(**changes)
    verify(graph)
    assert FuseAttention().apply(graph) is graph


def test_only_the_inner_part_of_a_longer_chain_is_fused() -> None:
    """A pad that others read stays for them."""
    b = GraphBuilder("g")
    for node in (graph := operator(size=9)):
        b.copy(node, node.inputs)
    pooled = [b.add("sum", [name], axis=1) for name in (graph.output, "pad")]
    fused = FuseAttention().apply(b.finish(b.add("add", pooled)))
    assert sorted(ops(fused)) == ["add", "field_attention", "pad", "sum", "sum"]


@pytest.mark.parametrize(("fields", "size"), [(4, 4), (4, 9)])
def test_expansion_undoes_fusion(fields: int, size: int) -> None:
    graph = operator(fields=fields, size=size, bits=(8,) * 4)
    fused = FuseAttention().apply(graph)
    plain = Expand().apply(fused)
    verify(plain)
    assert ops(plain) == ops(graph)
    assert [node.params for node in plain] == [node.params for node in graph]
    assert FuseAttention().apply(plain) == fused
    assert Expand().apply(plain) is plain
    same_result(graph, plain)


@pytest.mark.parametrize(("fields", "size"), [(4, 4), (16, 64)])
@pytest.mark.parametrize("bits", [None, 4])
def test_cost_is_that_of_the_parts(fields: int, size: int, bits: int | None) -> None:
    graph = operator(fields=fields, size=size, bits=(bits,) * 4)
    parts, fused = cost(graph), cost(FuseAttention().apply(graph))
    assert fused.macs == parts.macs == size * 8 * 8 * 4 + 2 * size * size * 8 + fields * 8 * 8 * 2
    assert fused.parameters == parts.parameters == 6 * 8 * 8 + 3 * 8 + 3 * 8 + 4 * 8
    assert fused.parameter_bytes == parts.parameter_bytes
    (node,) = fused.nodes
    assert (node.home, node.read_bytes, node.written_bytes) == ("crossbar", 4 * fields * 8, 4 * fields * 8)


def test_masked_fields_are_seen_as_keys_alone() -> None:
    """From the form that lowering gives a supernet's masked operator: mask, operator at full width, mask."""
    b = GraphBuilder("g")
    x = b.input("x", T((9, 8)))
    masked = b.add("mask", [x], keep=4)
    inner = operator(fields=9, size=9)
    renamed = {"x": masked}
    for node in inner.nodes[1:]:
        renamed[node.id] = b.copy(node, [renamed[i] for i in node.inputs])
    last = b.add("mask", [renamed[inner.output]], keep=4)
    flat = b.add("reshape", [last], shape=(72,))
    graph = b.finish(b.add("reshape", [b.add("linear", [flat], out=1)], shape=()))
    optimised = OPTIMIZE.run(graph)
    (node,) = (node for node in optimised if node.op == "field_attention")
    assert dict(node.attrs) == {"heads": 2, "padded": 5} and node.type == T((4, 8))
    same_result(graph, optimised)
    assert OPTIMIZE.run(optimised) is optimised


def test_source_and_caption_are_one_line() -> None:
    graph = operator(size=9, bits=(4,) * 4)
    b = GraphBuilder("g")
    for node in graph:
        b.copy(node, node.inputs)
    flat = b.add("reshape", [graph.output], shape=(32,))
    fused = FuseAttention().apply(b.finish(b.add("reshape", [b.add("linear", [flat], out=1)], shape=())))
    source = generate(fused).text
    assert "self.mix = layers.FieldAttention(8, heads=2, padded=5, weight_bits=4)\n" in source
    assert "mix = self.mix(x)" in source
    assert captions(fused)["mix"].op == "field_attention + 5 zero fields + 4 bit"


def test_fusion_follows_the_other_passes() -> None:
    names = [step.name for step in OPTIMIZE.passes]
    assert names.index(ElideZeros().name) < names.index(Fuse().name) < names.index(FuseAttention().name)
