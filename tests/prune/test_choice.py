"""Scores of structures, and the choice of those that leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasrec import FeatureSpec, baselines, presets
from nasrec.errors import PruneError
from nasrec.lowering.graphs import graph_of
from nasrec.prune import Importance, PruneSettings, magnitudes, matrices, pruned_once, structure_scores
from nasrec.prune.choice import require_room
from nasrec_ir import Graph, GraphBuilder, TensorType, cost
from nasrec_ir.ops import attributes
from nasrec_ir.pruning import couple

FEATURES = FeatureSpec(4, [7] * 5, 16)


def tower(widths: tuple[int, ...] = (8, 6)) -> Graph:
    b = GraphBuilder("tower")
    x = b.input("dense", TensorType((3,)))
    b.input("sparse", TensorType((1,), "i64"))
    for index, width in enumerate(widths):
        x = b.add("linear", [x], id=f"fc{index}", out=width, activation="relu")
    return b.finish(b.add("reshape", [b.add("linear", [x], id="last", out=1)], id="logit", shape=()))


def random_figures(graph: Graph, seed: int = 0) -> dict[str, Importance]:
    rng = np.random.default_rng(seed)
    found = {}
    for node in matrices(graph):
        weight = graph[node].param("weight")
        assert weight is not None
        found[node] = Importance(*(rng.random(size) for size in weight.view_shape))
    return found


def test_a_structure_is_worth_the_mean_of_its_rows_and_columns() -> None:
    graph = tower()
    coupling = couple(graph)
    figures = random_figures(graph)
    scores = structure_scores(coupling, figures)
    assert len(scores) == 3 + 8 + 6
    for unit in range(8):
        want = (figures["fc0"].rows[unit] + figures["fc1"].columns[unit]) / 2
        assert scores[coupling.rows["fc0"][unit]] == pytest.approx(want)
    np.testing.assert_allclose(scores[coupling.rows["dense"]], figures["fc0"].columns)  # no row makes a feature


def test_columns_of_pairs_count_for_both_fields() -> None:
    graph = baselines.build("dlrm", FEATURES, bottom=(8, 16), hidden=(8,))
    coupling = couple(graph)
    figures = {node: Importance(np.zeros_like(f.rows), np.zeros_like(f.columns)) for node, f in
               random_figures(graph).items()}  # fmt: skip
    pair = next(c for node, labels in coupling.columns.items() for c in labels if (c >= 0).all())
    node, column = next((n, int(np.flatnonzero((labels == pair).all(axis=1))[0])) for n, labels in
                        coupling.columns.items() if (labels == pair).all(axis=1).any())  # fmt: skip
    figures[node].columns[column] = 1.0
    scores = structure_scores(coupling, figures)
    assert set(np.flatnonzero(scores > 0)) == set(pair.tolist())


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_magnitudes_do_not_depend_on_the_scale_of_a_matrix(norm: str) -> None:
    weight = np.array([[3.0, -4.0], [0.0, 0.0], [1.0, 1.0]])
    found = magnitudes({"a": weight, "b": 1e-6 * weight}, norm)
    np.testing.assert_allclose(found["a"].rows, found["b"].rows)
    sizes = np.array([3.5, 0, 1] if norm == "l1" else [np.sqrt(12.5), 0, 1])
    np.testing.assert_allclose(found["a"].rows, sizes / sizes.mean())
    assert found["a"].columns.shape == (2,) and found["a"].columns[1] > found["a"].columns[0]
    np.testing.assert_array_equal(magnitudes({"z": np.zeros((2, 2))}, norm)["z"].rows, [0, 0])


@pytest.mark.parametrize("name", ["criteo-small", "criteo-full", "avazu-small"])
@pytest.mark.parametrize("ranking", ["global", "matrix"])
def test_a_round_drops_its_share_of_the_macs(name: str, ranking: str) -> None:
    graph = graph_of(presets.load(name), FEATURES)
    settings = PruneSettings(share=0.3, ranking=ranking, min_units=3)
    pruned = pruned_once(graph, random_figures(graph), settings)
    left = cost(pruned.graph).macs / cost(graph).macs
    assert 0.6 < left <= 0.7
    small = {ref.name: ref.shape for node in pruned.graph for _, ref in node.params}
    for node in matrices(graph):  # every layer is there, with at least three rows
        weight = graph[node].param("weight")
        assert weight is not None and small[weight.name][0] >= min(3, weight.shape[0])


def test_a_share_of_the_structures_is_counted() -> None:
    graph = tower((20, 20))
    settings = PruneSettings(share=0.25, by="structures")
    pruned = pruned_once(graph, random_figures(graph), settings)
    assert couple(graph).count - couple(pruned.graph).count == round(0.25 * 40)


def test_the_lowest_leave() -> None:
    graph = tower((20, 20))
    figures = {node: Importance(np.arange(len(f.rows)) * 1.0, np.zeros(len(f.columns))) for node, f in
               random_figures(graph).items()}  # fmt: skip
    figures["fc1"].rows[:] += 100
    pruned = pruned_once(graph, figures, PruneSettings(share=0.2, by="structures"))
    kept = pruned.kept["fc0.weight"]
    assert kept.rows == tuple(range(8, 20)) and attributes(pruned.graph["fc1"])["out"] == 20
    by_layer = pruned_once(graph, figures, PruneSettings(share=0.2, by="structures", ranking="matrix"))
    assert by_layer.kept["fc0.weight"].rows == by_layer.kept["fc1.weight"].rows == tuple(range(4, 20))


def test_features_stay_unless_they_may_leave() -> None:
    graph = baselines.build("deepfm", FEATURES, hidden=(16,))
    figures = random_figures(graph)
    for found in figures.values():
        found.rows[:] = 1.0
    some = pruned_once(graph, figures, PruneSettings(share=0.3, features=True))
    none = pruned_once(graph, figures, PruneSettings(share=0.3))
    assert any(node.op == "take" for node in some.graph) and not any(node.op == "take" for node in none.graph)


def test_too_much_is_an_error() -> None:
    graph = tower((4, 4))
    with pytest.raises(PruneError, match=r"tower: at most .* of its MACs can go with every layer keeping its least"):
        pruned_once(graph, random_figures(graph), PruneSettings(share=0.9, min_units=3))
    with pytest.raises(PruneError, match="only 2 of the 10 structures asked for can leave"):
        pruned_once(graph, random_figures(graph), PruneSettings(share=0.9, min_units=3, by="structures", features=True))
    with pytest.raises(PruneError, match="tower: at most"):  # in five rounds together
        require_room(graph, PruneSettings(share=0.3, min_units=3))
    require_room(graph, PruneSettings(share=0.3, min_units=3, rounds=1))


def test_a_model_without_matrices_is_an_error() -> None:
    b = GraphBuilder("bare")
    dense = b.input("dense", TensorType((1,)))
    b.input("sparse", TensorType((1,), "i64"))
    with pytest.raises(PruneError, match="bare: has no FC"):
        require_room(b.finish(b.add("reshape", [dense], id="logit", shape=())), PruneSettings())


def test_columns_that_no_round_left_are_not_counted_as_kept() -> None:
    graph = tower((16, 16))
    for seed in range(4):  # one feature of three stays, though nothing else keeps the others
        figures = random_figures(graph, seed)
        figures["fc0"].columns[:] = 0
        graph = pruned_once(graph, figures, PruneSettings(share=0.15, min_units=1, features=True)).graph
    assert [len(attributes(node)["positions"]) for node in graph if node.op == "take"] == [1]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rounds": 0}, "rounds must be a whole number of at least 1, not 0"),
    ({"share": 1.0}, "share must be a number between 0 and 1"),
    ({"share": float("nan")}, "share must be"),
    ({"method": "guess"}, "method must be mask or magnitude"),
    ({"by": "cells"}, "by must be macs or structures"),
    ({"sparsity": -1}, "sparsity must be a number of at least 0"),
    ({"mask_lr": 0}, "mask_lr must be a number above 0"),
    ({"features": 1}, "features must be true or false"),
    ({"min_units": True}, "min_units must be a whole number"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_settings_out_of_range_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(PruneError, match=message):
        PruneSettings(**given)


def test_of_rows_that_a_norm_alone_reads_none_counts_as_left() -> None:
    """A subnet's product may be wider than what it gives on: the least that a layer keeps is of the latter."""
    b = GraphBuilder("padded")
    x = b.input("dense", TensorType((3,)))
    b.input("sparse", TensorType((1,), "i64"))
    wide = b.add("linear", [x], id="wide", out=16, norm=True, keep=4)
    other = b.add("linear", [x], id="other", out=8)
    graph = b.finish(b.add("reshape", [b.add("linear", [wide, other], id="last", out=1)], id="logit", shape=()))
    figures = random_figures(graph)
    low = {node: Importance(*(0.0 * part if node == "wide" else part for part in (found.rows, found.columns)))
           for node, found in figures.items()}  # fmt: skip
    small = pruned_once(graph, low, PruneSettings(share=0.3, by="structures", min_units=2)).graph
    assert attributes(small["wide"])["keep"] == 2
