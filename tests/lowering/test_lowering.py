"""Lowering: every combination of choices gives a graph of the right shapes, with the release's parameters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nasrec import Block, FeatureError, FeatureSpec, Genotype, GenotypeError, SearchSpace
from nasrec.genotype import DENSE_OPERATORS, OPERATORS, SPARSE_OPERATORS
from nasrec.lowering import StoreWidths, lower
from nasrec.lowering.masking import Masking
from nasrec.lowering.operators import balanced_rows
from nasrec.lowering.store import lower_path, store_parameters
from nasrec_ir import Graph, ParamRef, TensorType, cost, verify
from nasrec_ir.passes import OPTIMIZE, PruneDead
from tests.release_values import Subnet, subnets

T = TensorType
FEATURES = FeatureSpec(5, [4, 9, 2], 16)


def subsets(operators: Sequence[str]) -> list[tuple[str, ...]]:
    return [c for size in range(1, len(operators) + 1) for c in itertools.combinations(operators, size)]


def block(
    *operators: str,
    dense: int = 32,
    sparse: int = 16,
    reads: tuple[int, ...] = (0,),
    d2s: bool = False,
    fm: bool = False,
) -> Block:
    return Block(operators or ("fc", "efc"), dense, sparse, reads, reads, reads, reads, d2s, fm)


def parameters(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Stored shapes by name."""
    return {ref.name: ref.shape for ref in graph.parameters().values()}


@pytest.mark.parametrize("sparse_operators", subsets(SPARSE_OPERATORS), ids="+".join)
@pytest.mark.parametrize("dense_operators", subsets(DENSE_OPERATORS), ids="+".join)
def test_any_number_of_active_operators(dense_operators: tuple[str, ...], sparse_operators: tuple[str, ...]) -> None:
    """Every set of operators, under every merger, reading everything before, optimised and not."""
    operators = (*dense_operators, *sparse_operators)
    for d2s, fm in itertools.product((False, True), repeat=2):
        first = block(*operators, dense=16, sparse=8, d2s=d2s, fm=fm)
        graph = lower(
            Genotype((first, replace(first, dense_width=48, dense_inputs=(0, 1), right_inputs=(0, 1)))), FEATURES
        )
        verify(graph)
        verify(OPTIMIZE.run(graph), "executable")
        assert graph.type == T(())
        fields = 8 + (8 if d2s else 0)
        assert graph["final_in"].type == T((48 + fields * 16,))
        assert cost(graph).live_blocks == (0, 1)
        numbers = {name.split(".")[3] for name in parameters(graph) if "._nodes." in name}
        known = OPERATORS if set(operators) - {"fc", "dot_product", "efc"} else ("fc", "dot_product", "efc")
        assert numbers == {str(known.index(operator)) for operator in operators}


@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("channels", [8, 16, 32])
@pytest.mark.parametrize("num_dense", [0, 1, 16, 33])
def test_any_features(num_dense: int, channels: int, layer_norm: bool) -> None:
    features = FeatureSpec(num_dense, [3, 5], channels)
    for blocks in (1, 2, 3):
        members = tuple(block(*OPERATORS, reads=tuple(range(k + 1)), d2s=True, fm=True) for k in range(blocks))
        graph = lower(Genotype(members, layer_norm), features)
        verify(graph)
        verify(OPTIMIZE.run(graph), "executable")
        assert graph["final_in"].type == T((32 + (16 + 8) * channels,))


def test_one_block_by_hand() -> None:
    """Widths of every step of every operator, from the paper's description."""
    graph = lower(Genotype((block(*OPERATORS, dense=64, sparse=20, d2s=True, fm=True),)), FEATURES)
    rows = balanced_rows(64)
    assert rows == 11
    shapes = {
        "b0.fc": (64,),
        "b0.dot.dense": (16,),
        "b0.dot.fields": (rows, 16),
        "b0.dot.rows": (rows + 1, 16),
        "b0.dot.pairs": (rows * (rows + 1) // 2,),
        "b0.dot.proj": (64,),
        "b0.gating": (5,),
        "b0.gating.mul": (5,),
        "b0.gating.proj": (64,),
        "b0.sum.add": (5,),
        "b0.sum.proj": (64,),
        "b0.attn": (20, 16),
        "b0.attn.qkv": (20, 48),
        "b0.attn.mix": (20, 16),
        "b0.efc": (20, 16),
        "b0.sparse": (20, 16),
        "b0.dense": (64,),
        "b0.fm": (16,),
        "b0.fm.proj": (64,),
        "b0.d2s": (128,),
        "b0.d2s.fields": (8, 16),
    }
    assert {name: graph[name].type.shape for name in shapes} == shapes


def test_parameters_of_one_block_by_hand() -> None:
    found = parameters(lower(Genotype((block(*OPERATORS, dense=64, sparse=20, d2s=True, fm=True),)), FEATURES))
    b = "_blocks.0"
    assert {name: shape for name, shape in found.items() if len(shape) == 2} == {
        "_embedding.0.weight": (4, 16),
        "_embedding.1.weight": (9, 16),
        "_embedding.2.weight": (2, 16),
        f"{b}._nodes.0._linear.weight": (64, 5),
        f"{b}._nodes.1._dense_proj.weight": (16, 5),
        f"{b}._nodes.1._sparse_inp_proj.weight": (11, 3),
        f"{b}._nodes.1._linear_proj.weight": (64, 66),
        f"{b}._nodes.2._left_self_linear._linear.weight": (5, 5),
        f"{b}._nodes.2._linear_proj.weight": (64, 5),
        f"{b}._nodes.3._linear_proj.weight": (64, 5),
        f"{b}._nodes.4._linear_proj.weight": (20, 3),
        f"{b}._nodes.4._mha.in_proj_weight": (48, 16),
        f"{b}._nodes.4._mha.out_proj.weight": (16, 16),
        f"{b}._nodes.4.attn_fc1.weight": (16, 16),
        f"{b}._nodes.4.attn_fc2.weight": (16, 16),
        f"{b}._nodes.5._linear.weight": (20, 3),
        f"{b}.deep_fm._linear_proj.weight": (64, 16),
        f"{b}.project_emb_dim.weight": (128, 64),
        "_final.weight": (1, 64 + 28 * 16),
    }
    biases = {
        name for name, shape in found.items() if name.endswith("bias") and "norm" not in name and "ln" not in name
    }
    assert biases == {
        f"{b}._nodes.2._left_self_linear._linear.bias",
        f"{b}._nodes.2._linear_proj.bias",
        f"{b}._nodes.4._mha.in_proj_bias",
        f"{b}._nodes.4._mha.out_proj.bias",
        f"{b}._nodes.4.attn_fc1.bias",
        f"{b}._nodes.4.attn_fc2.bias",
        "_final.bias",
    }


@pytest.mark.parametrize("case", subnets(), ids=lambda case: case.name)
def test_parameters_are_the_releases(case: Subnet) -> None:
    """Name by name and shape by shape; only norms that the release registers and never uses have no node."""
    found = parameters(lower(case.genotype, case.features))
    assert found.items() <= dict(case.shapes).items()
    unused = set(case.shapes) - set(found)
    assert all("deep_fm._linear_layernorm." in name for name in unused)
    widths = {int(name.split(".")[1]): case.genotype.blocks[int(name.split(".")[1])].dense_width for name in unused}
    assert set(widths.values()) <= {case.features.embedding_dim}


def test_without_layer_norm_projections_carry_biases() -> None:
    graph = lower(Genotype((block(*OPERATORS, d2s=True, fm=True),), layer_norm=False), FEATURES)
    norms = [node.id for node in graph if node.op == "layer_norm"]
    assert norms == ["b0.attn.add.norm", "b0.attn.fc.add.norm"], "the residual norms of attention stay"
    assert all(node.param("bias") is not None for node in graph if node.op in ("linear", "field_linear"))


@pytest.mark.parametrize(
    ("width", "rows"),
    [(1, 1), (2, 2), (16, 6), (32, 8), (64, 11), (128, 16), (256, 23), (512, 32), (768, 39), (1024, 45)],
)
def test_balanced_rows(width: int, rows: int) -> None:
    assert balanced_rows(width) == rows
    assert abs(rows * (rows + 1) / 2 - width) <= rows


# Where widths agree, projections vanish ------------------------------------------------------------------------


def test_no_projection_where_widths_agree() -> None:
    features = FeatureSpec(16, [3] * 8, 16)
    graph = lower(Genotype((block(*OPERATORS, dense=16, sparse=8, fm=True),)), features)
    names = set(parameters(graph))
    for absent in ("_nodes.1._dense_proj", "_nodes.2._linear_proj", "_nodes.3._linear_proj", "deep_fm"):
        assert not any(absent in name for name in names), absent
    assert "_blocks.0._nodes.4._linear_proj.weight" in names, "attention always projects"
    assert "_blocks.0._nodes.1._sparse_inp_proj.weight" in names, "8 fields are not 6"
    six = lower(Genotype((block("dot_product", "efc", dense=16),)), FeatureSpec(16, [3] * 6, 16))
    assert not any("_sparse_inp_proj" in name for name in parameters(six)), "6 fields are the 6 rows already"


def test_fields_of_a_dense_output_that_fits_include_the_factorization_machine() -> None:
    """At 8 times the embedding dimension the merger is a reshape, and the release has added FM in place by then."""
    for dense, source in ((128, "b0.dense_fm"), (64, "b0.d2s.norm")):
        graph = lower(Genotype((block(dense=dense, d2s=True, fm=True),)), FEATURES)
        assert graph["b0.d2s.fields"].inputs == (source,)
        assert any("project_emb_dim" in name for name in parameters(graph)) == (dense != 128)


def test_raw_factorization_machine() -> None:
    graph = lower(Genotype((block(dense=16, fm=True),)), FEATURES)
    assert graph["b0.dense_fm"].inputs == ("b0.fc.relu", "b0.fm")


def test_the_narrower_side_of_gating_and_sum_is_padded() -> None:
    first = block(dense=32)
    second = Block(("sigmoid_gating", "sum", "efc"), 64, 16, (1,), (1,), (0,), (1,), False, False)
    graph = lower(Genotype((first, second)), FEATURES)
    assert graph["b1.gating.pad"].type == T((32,), live=(0, 5))
    assert graph["b1.gating"].param("weight") == ParamRef(
        "_blocks.1._nodes.2._left_self_linear._linear.weight", (32, 32)
    )
    assert graph["b1.sum.add"].type == T((32,))
    optimised = OPTIMIZE.run(graph)
    gate = optimised["b1.gating"].param("weight")
    assert gate is not None and gate.view_shape == (32, 5), "zeros of the left side are not multiplied"


def test_inputs_are_joined_ascending() -> None:
    first, second = block(dense=32), block(dense=64, reads=(1,))
    third = Block(("fc", "efc"), 32, 16, (2, 0), (1, 0), (0,), (0,), False, False)
    graph = lower(Genotype((first, second, third)), FEATURES)
    joined = graph[graph["b2.fc"].inputs[0]]
    assert joined.inputs == ("dense", "b1.fc.relu")
    assert graph[graph["b2.efc"].inputs[0]].inputs == ("embedding", "b0.efc.relu")


# Precision and names -------------------------------------------------------------------------------------------


def test_operator_bits_go_to_the_operators_products() -> None:
    bits = replace(
        block("fc", "dot_product", "efc", fm=True, d2s=True), operator_bits=(4, 8, 3), activation_bits=(5, 6, 7)
    )
    graph = lower(Genotype((bits,)), FEATURES)
    found = {node.id: dict(node.attrs).get("weight_bits") for node in graph if node.op in ("linear", "field_linear")}
    acts = {node.id: dict(node.attrs)["act_bits"] for node in graph if dict(node.attrs).get("act_bits")}
    assert acts == {"b0.fc": 5, "b0.dot.dense": 6, "b0.dot.fields": 6, "b0.dot.proj": 6, "b0.efc": 7}
    assert found == {
        "b0.fc": 4,
        "b0.dot.dense": 8,
        "b0.dot.fields": 8,
        "b0.dot.proj": 8,
        "b0.efc": 3,
        "b0.fm.proj": None,
        "b0.d2s": None,
        "final": None,
    }


def test_numbering_follows_the_space() -> None:
    genotype = Genotype((block(),))
    for space, index in (("", 2), ("small", 2), ("full", 5)):
        assert f"_blocks.0._nodes.{index}._linear.weight" in parameters(lower(replace(genotype, space=space), FEATURES))
    named = lower(genotype, FEATURES, operators=("efc", "fc"))
    assert parameters(named)["_blocks.0._nodes.0._linear.weight"] == (16, 3)


# Stores --------------------------------------------------------------------------------------------------------

MASKINGS: tuple[Masking, ...] = ("full_width", "sliced")
WIDE = SearchSpace.full(3, dense_dims=(16, 48, 128), sparse_dims=(8, 24))


@pytest.mark.parametrize("masking", MASKINGS)
def test_every_path_is_in_the_store(masking: Masking) -> None:
    stored = store_parameters(WIDE, FEATURES, masking)
    rng = np.random.default_rng(0)
    for _ in range(30):
        graph = lower_path(WIDE.sample(rng), WIDE, FEATURES, masking)
        verify(graph)
        assert parameters(graph).items() <= stored.items()


def test_sliced_stores_have_projections_that_full_width_ones_need_not() -> None:
    """The widest dense output is just 8 fields of 16 channels; narrower ones must be projected to that."""
    full_width, sliced = (store_parameters(WIDE, FEATURES, masking) for masking in MASKINGS)
    assert full_width.items() <= sliced.items()
    assert "_blocks.0.project_emb_dim.weight" not in full_width
    assert sliced["_blocks.0.project_emb_dim.weight"] == (128, 128)


def test_a_full_width_path_runs_at_full_width_and_is_masked() -> None:
    genotype = Genotype((block(dense=16, sparse=8), block(dense=48, sparse=8, reads=(0,)), block(dense=16, sparse=24)))
    graph = lower_path(genotype, WIDE, FEATURES, "full_width")
    assert graph["b0.fc"].type == T((128,))
    assert graph["b0.fc.mask"].type == T((128,), live=(0, 16))
    assert graph["b0.efc.mask"].type == T((24, 16), live=(0, 8))
    inputs = graph["b2.dense_inputs"]
    assert inputs.type == T((5 + 128 + 128,), live=(0, 5)), "what is not selected is there as zeros"
    assert parameters(graph)["_blocks.2._nodes.0._linear.weight"] == (128, 261)


def test_a_sliced_path_runs_at_its_own_width() -> None:
    genotype = Genotype(
        (block(dense=16, sparse=8), block(dense=48, sparse=8, reads=(0, 1)), block(dense=16, reads=(0, 2)))
    )
    genotype = replace(genotype, blocks=(*genotype.blocks[:2], replace(genotype.blocks[2], sparse_width=24)))
    graph = lower_path(genotype, WIDE, FEATURES, "sliced")
    assert graph["b2.fc"].type == T((16,))
    assert graph["b2.fc"].param("weight") == ParamRef(
        "_blocks.2._nodes.0._linear.weight", (128, 261), ((0, 16),), ((0, 5), (133, 181))
    )
    assert graph["b2.efc"].param("weight") == ParamRef(
        "_blocks.2._nodes.5._linear.weight", (24, 3 + 32 + 32), ((0, 24),), ((0, 3), (35, 43))
    )
    assert not any(node.op in ("mask", "zeros") for node in graph)


def test_store_widths_without_a_space() -> None:
    genotype = Genotype((block(dense=16, sparse=8),))
    graph = lower(genotype, FEATURES, store=StoreWidths(64, 32), masking="sliced")
    assert parameters(graph)["_final.weight"] == (1, 64 + (32 + 8) * 16)


def test_live_blocks_are_those_of_the_pruned_graph() -> None:
    rng = np.random.default_rng(1)
    space = SearchSpace.full(7, dense_dims=(16, 32), sparse_dims=(16,), max_inputs=2, max_gate_inputs=1)
    dead = 0
    for _ in range(40):
        genotype = space.sample(rng, operators="single")
        assert cost(PruneDead().apply(lower(genotype, FEATURES))).live_blocks == genotype.live_blocks()
        dead += len(genotype.live_blocks()) < 7
    assert dead > 5


# Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 4, 12, 20])
def test_attention_names_its_block(channels: int) -> None:
    genotype = Genotype((block(), block("fc", "attention", reads=(1,))))
    with pytest.raises(FeatureError, match=f"^block 1: attention .* multiple of 8, not {channels}"):
        lower(genotype, FeatureSpec(5, [4], channels))
    verify(lower(Genotype((block(),)), FeatureSpec(5, [4], channels)))


def test_what_is_no_genotype_or_feature_specification() -> None:
    with pytest.raises(GenotypeError, match="expected a Genotype, not dict"):
        lower({}, FEATURES)  # type: ignore[arg-type]
    with pytest.raises(FeatureError, match="expected a FeatureSpec, not tuple"):
        lower(Genotype((block(),)), (5, [4], 16))  # type: ignore[arg-type]
