"""Every node has a home, and the matrices are those of the op table."""

from __future__ import annotations

from dataclasses import replace

import pytest

import nasrec
import nasrec_ir
from nasrec import presets
from nasrec_ir.passes import Expand
from nasrec_pim import place


@pytest.mark.parametrize("name", presets.names())
def test_matrices_and_digital_products_add_up_to_the_graph_macs(name: str) -> None:
    graph = nasrec.graph_of(presets.load(name), presets.PRESETS[name].features())
    placed, graph = place(graph), Expand().apply(graph)

    assert [p.id for p in placed] == [node.id for node in graph if node.op != "input"]
    macs = {p.id: p.inputs * p.outputs * p.vectors + p.digital_macs for p in placed}
    assert sum(macs.values()) == nasrec_ir.cost(graph).macs
    assert all((p.cells > 0) == (p.home == "crossbar") for p in placed)


def test_an_embedded_fc_is_one_small_matrix_driven_once_per_channel() -> None:
    graph = nasrec.graph_of(presets.load("criteo-full"), presets.PRESETS["criteo-full"].features())
    (efc,) = [p for p in place(graph) if p.id == "b1.efc"]

    assert (efc.home, efc.inputs, efc.outputs, efc.vectors, efc.weight_bits) == ("crossbar", 26, 64, 16, 8)


def test_a_genotypes_precisions_reach_the_stored_weights() -> None:
    genotype = presets.load("criteo-small")
    blocks = tuple(replace(b, operator_bits=(4,) * len(b.operators)) for b in genotype.blocks)
    graph = nasrec.graph_of(replace(genotype, blocks=blocks), presets.PRESETS["criteo-small"].features())

    stored = {p.id: p.weight_bits for p in place(graph) if p.home == "crossbar"}
    assert {bits for node, bits in stored.items() if ".dot" in node or ".efc" in node or ".fc" in node} == {4}
    assert stored["final"] == 8
