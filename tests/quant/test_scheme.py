"""Schemes: which product gets which bits, on graphs of genotypes and of baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import nasrec
from nasrec import FeatureSpec, presets
from nasrec.baselines import build
from nasrec.errors import QuantError
from nasrec.quant import Scheme, annotate, kinds_in, stripped
from nasrec_ir import Graph, cost, dump, parse, verify
from nasrec_ir.codegen import generate

FEATURES = FeatureSpec(num_dense=3, cardinalities=[20] * 5, embedding_dim=16)


def graph_of(name: str) -> Graph:
    return build(name, FEATURES) if name == "dlrm" else nasrec.graph_of(presets.load(name), FEATURES)


def bits_of(graph: Graph) -> dict[str, tuple[Any, Any]]:
    found = {node.id: (dict(node.attrs).get("weight_bits"), dict(node.attrs).get("act_bits")) for node in graph}
    return {node.id: found[node.id] for node in graph if node.param("weight") is not None and "linear" in node.op}


@pytest.mark.parametrize("name", ["criteo-small", "criteo-full", "dlrm"])
def test_every_stored_product_is_annotated(name: str) -> None:
    floats = graph_of(name)
    graph = annotate(floats, Scheme(4, 6))
    verify(graph, "executable")
    assert set(bits_of(graph).values()) == {(4, 6)} and all(node.op != "field_attention" for node in graph)
    assert parse(dump(graph)) == graph
    assert "weight_bits=4, act_bits=6, static_scale=True" in " ".join(generate(graph).text.split())
    assert cost(graph).macs == cost(floats).macs
    assert (
        4 * cost(graph).parameter_bytes < 4.2 * (cost(floats).embedding_parameters * 4) + cost(floats).parameter_bytes
    )
    assert stripped(graph) == floats
    assert annotate(floats, Scheme(None, None)) == floats


def test_weights_alone_leave_attention_whole() -> None:
    graph = annotate(graph_of("criteo-full"), Scheme(5, None, per_tensor=True))
    (whole,) = {node.attrs[-2:] for node in graph if node.op == "field_attention"}
    assert whole == (("weight_bits", 5), ("per_tensor", True))
    assert not any(ref.name.endswith("act_scale") for ref in graph.parameters().values())


def test_kinds_are_operators_mergers_and_scopes() -> None:
    full = graph_of("criteo-full")
    assert kinds_in(full) == {"attention", "dot_product", "efc", "fc", "final", "fm", "sigmoid_gating"}
    assert kinds_in(graph_of("dlrm")) == {"bottom", "top"}
    found = bits_of(annotate(full, Scheme(8, 8, kinds={"fc": (4, 5), "final": (None, None)})))
    assert {bits for node, bits in found.items() if node.endswith(".fc")} == {(4, 5)}
    assert found["final"] == (None, None)
    assert {bits for node, bits in found.items() if ".attn" in node} == {(8, 8)}
    first, *others = (node for node in found if node.endswith(".fc"))
    one = bits_of(annotate(full, Scheme(8, 8, kinds={first: (3, 3), "fc": (4, 5)})))
    assert one[first] == (3, 3) and all(one[node] == (4, 5) for node in others)
    with pytest.raises(QuantError, match="no stored product is of kind 'sum'; kinds are attention, dot_product, efc"):
        annotate(full, Scheme(kinds={"sum": (4, 4)}))


def test_genes_are_kept_unless_their_kind_is_named() -> None:
    genotype = presets.load("criteo-small")
    blocks = tuple(replace(b, operator_bits=(5,) * len(b.operators)) for b in genotype.blocks)
    graph = nasrec.graph_of(replace(genotype, blocks=blocks), FEATURES)
    kept, named, over = (
        bits_of(annotate(graph, scheme))
        for scheme in (Scheme(8, 8), Scheme(8, 8, kinds={"fc": (4, 4)}), Scheme(8, 8, keep=False))
    )
    fc, efc = (next(node for node in kept if node.endswith(end)) for end in (".fc", ".efc"))
    assert (kept[fc], kept[efc], kept["final"]) == ((5, None), (5, None), (8, 8))
    assert (named[fc], named[efc]) == ((4, 4), (5, None))
    assert set(over.values()) == {(8, 8)}


@pytest.mark.parametrize(("values", "words"), [
    ({"weight_bits": 1}, "weight_bits must be an integer from 2 to 16, or None for float, not 1"),
    ({"act_bits": 8.5}, "act_bits must be"),
    ({"kinds": {"fc": (4, 17)}}, "activation bits of fc must be"),
])  # fmt: skip
def test_bits_out_of_range_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(QuantError, match=words):
        Scheme(**values)
