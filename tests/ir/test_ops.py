"""The op table: every row's type rule, and live ranges held to what the interpreter computes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from nasrec_ir import OPS, GraphBuilder, TensorType, VerifyError
from tests.ir.random_graphs import all_values, random_graph, random_inputs, random_parameters

T = TensorType


def infer(op: str, operands: list[TensorType], attrs: dict[str, Any]) -> TensorType:
    b = GraphBuilder("g")
    ids = [b.input(f"x{i}", t) for i, t in enumerate(operands)]
    rows = [9] * operands[0].shape[0] if op == "embedding" and operands[0].shape else []
    return b.type(b.add(op, ids, rows=rows, **attrs))


IDS = T((3,), "i64")
GOOD: list[tuple[str, list[TensorType], dict[str, Any], TensorType]] = [
    ("embedding", [IDS], {"dim": 8}, T((3, 8))),
    ("numeric_embedding", [T((5,))], {"dim": 4}, T((5, 4))),
    ("numeric_embedding", [T((5,), live=(1, 3))], {"dim": 4}, T((5, 4), live=(1, 3))),
    ("linear", [T((5,)), T((2,))], {"out": 4}, T((4,))),
    ("linear", [T((5,), live=(0, 2))], {"out": 4}, T((4,))),
    ("linear", [T((5,))], {"out": 4, "norm": True, "keep": 3}, T((3,))),
    ("linear", [T((0,))], {"out": 4}, T((4,))),
    ("field_linear", [T((5, 8)), T((1, 8))], {"out": 4}, T((4, 8))),
    ("field_linear", [T((5, 8))], {"out": 4, "norm": True, "keep": 1}, T((1, 8))),
    ("channel_linear", [T((5, 8))], {"out": 24}, T((5, 24))),
    ("layer_norm", [T((5,), live=(0, 2))], {}, T((5,))),
    ("layer_norm", [T((5, 8))], {"axis": 2}, T((5, 8))),
    ("batch_norm", [T((5,), live=(0, 2))], {}, T((5,))),
    ("batch_norm", [T((5, 8))], {"axis": 2, "momentum": 0.0}, T((5, 8))),
    ("dropout", [T((5,), live=(1, 2))], {"rate": 0.5}, T((5,), live=(1, 2))),
    ("relu", [T((5,), live=(1, 2))], {}, T((5,), live=(1, 2))),
    ("relu", [T(())], {}, T(())),
    ("sigmoid", [T((5,), live=(1, 2))], {}, T((5,))),
    ("scale", [T((5, 2), live=(1, 2))], {"factor": 0.5}, T((5, 2), live=(1, 2))),
    ("add", [T((5,), live=(1, 2)), T((5,), live=(3, 4))], {}, T((5,), live=(1, 4))),
    ("add", [T((5,), live=(0, 0)), T((5,), live=(3, 4))], {}, T((5,), live=(3, 4))),
    ("add", [T((5,), live=(0, 0))], {}, T((5,), live=(0, 0))),
    ("mul", [T((5,), live=(0, 3)), T((5,), live=(2, 5))], {}, T((5,), live=(2, 3))),
    ("mul", [T((5,), live=(0, 2)), T((5,), live=(3, 5))], {}, T((5,), live=(0, 0))),
    ("mask", [T((5,))], {"keep": 2}, T((5,), live=(0, 2))),
    ("mask", [T((5, 3), live=(3, 4))], {"keep": 2}, T((5, 3), live=(0, 0))),
    ("slice", [T((5,))], {"start": 1, "stop": 4}, T((3,))),
    ("slice", [T((5, 2), live=(0, 2))], {"start": 1, "stop": 4}, T((3, 2), live=(0, 1))),
    ("slice", [T((5,), live=(0, 1))], {"start": 2, "stop": 4}, T((2,), live=(0, 0))),
    ("slice", [T((5,))], {"stop": 0}, T((0,))),
    ("take", [T((5,))], {"positions": (4, 0, 0)}, T((3,))),
    ("take", [T((5, 2), live=(1, 3))], {"positions": (0, 2, 4, 1)}, T((4, 2), live=(1, 4))),
    ("take", [IDS], {"positions": (2,)}, T((1,), "i64")),
    ("pad", [T((2,))], {"before": 1, "size": 5}, T((5,), live=(1, 3))),
    ("pad", [T((2, 3), live=(0, 1))], {"size": 5}, T((5, 3), live=(0, 1))),
    ("pad", [T((2,))], {"size": 2}, T((2,))),
    ("concat", [T((2,)), T((3,), live=(0, 1))], {}, T((5,), live=(0, 3))),
    ("concat", [T((2, 4), live=(0, 0)), T((3, 4))], {}, T((5, 4), live=(2, 5))),
    ("concat", [T((2,), live=(0, 0))], {}, T((2,), live=(0, 0))),
    ("zeros", [], {"shape": (3, 4)}, T((3, 4), live=(0, 0))),
    ("reshape", [T((6, 4), live=(0, 2))], {"shape": (24,)}, T((24,), live=(0, 8))),
    ("reshape", [T((24,), live=(0, 9))], {"shape": (6, 4)}, T((6, 4), live=(0, 3))),
    ("reshape", [T((24,), live=(9, 13))], {"shape": (6, 4)}, T((6, 4), live=(2, 4))),
    ("reshape", [T((1,), live=(0, 0))], {"shape": ()}, T(())),
    ("reshape", [T(())], {"shape": (1,)}, T((1,))),
    ("reshape", [T((4, 0), live=(0, 2))], {"shape": (7, 0)}, T((7, 0))),
    ("sum", [T((6, 4), live=(0, 2))], {"axis": 1}, T((4,))),
    ("sum", [T((6, 4), live=(0, 0))], {"axis": 1}, T((4,), live=(0, 0))),
    ("sum", [T((6, 4), live=(0, 2))], {"axis": 2}, T((6,), live=(0, 2))),
    ("pairwise_dot", [T((4, 8))], {}, T((6,))),
    ("pairwise_dot", [T((6, 8), live=(2, 5))], {}, T((15,), live=(5, 10))),
    ("pairwise_dot", [T((6, 8), live=(2, 3))], {}, T((15,), live=(0, 0))),
    ("pairwise_dot", [T((1, 8))], {}, T((0,))),
    ("factorization_machine", [T((6, 4), live=(5, 6))], {}, T((4,))),
    ("factorization_machine", [T((6, 4), live=(0, 0))], {}, T((4,), live=(0, 0))),
    ("self_attention", [T((6, 48), live=(0, 2))], {"heads": 8}, T((6, 16))),
    ("field_attention", [T((6, 16), live=(0, 2))], {"heads": 8, "padded": 3}, T((6, 16))),
    ("hadamard_pairs", [T((2, 8)), T((3, 8))], {}, T((6, 8))),
    ("hadamard_pairs", [T((4, 8), live=(1, 3)), T((3, 8))], {}, T((12, 8), live=(3, 9))),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "want"), GOOD, ids=lambda v: v if isinstance(v, str) else "")
def test_type_rule(op: str, operands: list[TensorType], attrs: dict[str, Any], want: TensorType) -> None:
    assert infer(op, operands, attrs) == want


BAD: list[tuple[str, list[TensorType], dict[str, Any], str]] = [
    ("embedding", [T((3,))], {"dim": 8}, "not category ids"),
    ("embedding", [T((70000,), "i64")], {"dim": 8}, "70000 categorical fields"),
    ("embedding", [IDS], {"dim": 0}, "dim = 0 must be an integer from 1"),
    ("embedding", [IDS], {}, "attribute dim is missing"),
    ("numeric_embedding", [T((3, 4))], {"dim": 8}, "not dense units"),
    ("linear", [T((3, 4))], {"out": 8}, "operand 0 is f32[B, 3, 4], not dense units"),
    ("linear", [T((3,)), IDS], {"out": 8}, "operand 1 is i64[B, 3]"),
    ("linear", [T((3,))], {"out": 8, "keep": 4}, "keep without norm"),
    ("linear", [T((3,))], {"out": 8, "norm": True, "keep": 9}, "keep = 9 exceeds out = 8"),
    ("linear", [T((3,))], {"out": -1}, "out = -1 must be"),
    ("linear", [T((3,))], {"out": 2**31}, "must be an integer from 0 to 2147483647"),
    ("linear", [T((3,))], {"out": True}, "out = True must be"),
    ("linear", [T((3,))], {"out": 8, "activation": "tanh"}, "one of none, relu, sigmoid"),
    ("linear", [T((3,))], {"out": 8, "weight_bits": 1}, "an integer from 2 to 16"),
    ("linear", [T((3,))], {"out": 8, "norm": True, "eps": 0.0}, "a positive number"),
    ("linear", [T((3,))], {"out": 8, "norm": True, "eps": float("nan")}, "a positive number"),
    ("linear", [T((3,))], {"out": 8, "norm": 1}, "norm = 1 must be true or false"),
    ("linear", [T((3,))], {"out": 8, "gain": 1}, "unknown attribute 'gain'"),
    ("linear", [], {"out": 8}, "0 operands where at least 1"),
    ("field_linear", [T((3, 4)), T((3, 5))], {"out": 8}, "differ in their channels"),
    ("field_linear", [T((3,))], {"out": 8}, "not fields"),
    ("channel_linear", [T((3,))], {"out": 8}, "not fields"),
    ("channel_linear", [T((3, 4))], {"out": 0}, "must be an integer from 1"),
    ("layer_norm", [T((3,))], {"axis": 2}, "axis = 2 does not exist"),
    ("layer_norm", [T(())], {}, "not dense units or fields"),
    ("layer_norm", [T((3,))], {"axis": 3}, "axis = 3 must be 1 or 2"),
    ("batch_norm", [T((3,))], {"axis": 2}, "axis = 2 does not exist"),
    ("batch_norm", [T(())], {}, "not dense units or fields"),
    ("batch_norm", [T((3,))], {"momentum": 1.0}, "momentum = 1.0 must be a number from 0.0 to below 1.0"),
    ("dropout", [T((3,))], {}, "attribute rate is missing"),
    ("dropout", [T((3,))], {"rate": 1.0}, "rate = 1.0 must be a number from 0.0 to below 1.0"),
    ("dropout", [T((3,))], {"rate": -0.5}, "rate = -0.5 must be"),
    ("dropout", [T((3,))], {"rate": float("nan")}, "must be a number from 0.0"),
    ("dropout", [IDS], {"rate": 0.5}, "not real-valued"),
    ("relu", [IDS], {}, "not real-valued"),
    ("relu", [T((3,)), T((3,))], {}, "2 operands where 1 are needed"),
    ("sigmoid", [IDS], {}, "not real-valued"),
    ("scale", [T((3,))], {"factor": float("inf")}, "a finite number"),
    ("scale", [T((3,))], {"factor": 2}, "a finite number written with a decimal point"),
    ("add", [T((3,)), T((4,))], {}, "differ in shape"),
    ("mul", [T((3,))], {}, "1 operands where 2 are needed"),
    ("mul", [T((3,)), T((3, 1))], {}, "differ in shape"),
    ("mask", [T((3,))], {"keep": 4}, "keep = 4 exceeds"),
    ("mask", [T(())], {"keep": 0}, "has no axis 1"),
    ("slice", [T((3,))], {"start": 2, "stop": 1}, "2:1 is not a range"),
    ("slice", [T((3,))], {"stop": 4}, "0:4 is not a range"),
    ("take", [T((3,))], {"positions": (0, 3)}, "position 3 lies outside"),
    ("take", [T(())], {"positions": (0,)}, "has no axis 1"),
    ("take", [T((3,))], {"positions": (-1,)}, "must be positions"),
    ("pad", [T((3,))], {"before": 2, "size": 4}, "does not fit into 4"),
    ("concat", [T((3,)), T((3, 1))], {}, "do not stack"),
    ("concat", [T(())], {}, "has no axis 1"),
    ("zeros", [], {"shape": ()}, "has no axis 1"),
    ("zeros", [], {"shape": (1, 2, 3)}, "at most two sizes"),
    ("zeros", [T((3,))], {"shape": (1,)}, "1 operands where 0"),
    ("reshape", [T((3, 4))], {"shape": (13,)}, "holds 12 entries, not the 13"),
    ("sum", [T((3,))], {"axis": 1}, "not fields"),
    ("pairwise_dot", [T((3,))], {}, "not fields"),
    ("factorization_machine", [T((3,))], {}, "not fields"),
    ("self_attention", [T((3, 12))], {"heads": 8}, "not queries, keys and values of 8 equal heads"),
    ("self_attention", [T((3, 12))], {"heads": 2, "dropout": 1.0}, "dropout = 1.0 must be"),
    ("field_attention", [T((3, 12))], {"heads": 8}, "12 channels do not divide into 8 heads"),
    ("field_attention", [T((3, 0))], {"heads": 8}, "0 channels do not divide into 8 heads"),
    ("field_attention", [T((3,))], {"heads": 8}, "not fields"),
    ("field_attention", [T((3, 8))], {"heads": 8, "padded": -1}, "padded = -1 must be"),
    ("hadamard_pairs", [T((3, 4)), T((3, 5))], {}, "differ in their channels"),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "message"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_type_rule_refuses(op: str, operands: list[TensorType], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(VerifyError, match=re.escape(message)):
        infer(op, operands, attrs)


def test_every_row_says_what_it_computes() -> None:
    for op in OPS.values():
        assert op.doc.strip() and op.home in ("crossbar", "digital", "memory", "wire")
        stored = op.matvec is not None or op.expand is not None
        assert stored == (op.home == "crossbar"), f"{op.name}: stored matrices run on crossbars"


def test_a_masked_reshape_reaches_into_the_row_that_it_cuts() -> None:
    """A live range that ends within a row of the result makes all of that row live."""
    assert infer("reshape", [T((8,), live=(3, 4))], {"shape": (2, 4)}).live == (0, 1)
    assert infer("reshape", [T((8,), live=(3, 5))], {"shape": (2, 4)}).live == (0, 2)


@pytest.mark.parametrize("seed", range(150))
def test_everything_outside_of_the_live_range_is_zero(seed: int) -> None:
    graph = random_graph(seed, nodes=18)
    values = all_values(graph, random_parameters(graph, seed), random_inputs(graph, seed))
    for node_id, value in values.items():
        type_ = graph[node_id].type
        assert value.shape[1:] == type_.shape
        if type_.shape:
            low, high = type_.live
            outside = np.concatenate([value[:, :low], value[:, high:]], axis=1)
            assert not outside.any(), f"{node_id} ({graph[node_id].op}) is {type_} but not zero outside"


def test_random_graphs_meet_every_op_and_many_live_ranges() -> None:
    """What the random graphs are good for: no op and no kind of live range stays untested."""
    nodes = [node for seed in range(150) for node in random_graph(seed, nodes=18)]
    assert {node.op for node in nodes} == set(OPS) | {"input"}
    spans = [(node, node.type.live[1] - node.type.live[0]) for node in nodes if node.type.shape]
    partly = {node.op for node, live in spans if 0 < live < node.type.shape[0]}
    assert {"mask", "pad", "slice", "take", "concat", "add", "mul", "reshape", "sum", "hadamard_pairs"} <= partly
    assert sum(node.type.live[0] > 0 for node in nodes) > 20
