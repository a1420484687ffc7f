"""Zero elision: what is known to be zero is neither computed nor read, op by op."""

from __future__ import annotations

import pytest

from nasrec_ir import Graph, GraphBuilder, ParamRef, TensorType, cost, dump, parse, verify
from nasrec_ir.passes import OPTIMIZE, ElideZeros, Fuse
from nasrec_ir.types import Segments
from tests.ir.random_graphs import same_result


def elide(before: str) -> str:
    graph = parse(before)
    after = ElideZeros().apply(graph)
    verify(after)
    same_result(graph, after)
    return dump(after)


def text(body: str, arguments: str = "%x: f32[B, 4]", output: str = "f32[B, 2]") -> str:
    lines = "\n".join(f"  {line.strip()}" for line in body.strip().splitlines())
    return f"graph g({arguments}) -> {output} {{\n{lines}\n}}\n"


FIELDS = "%x: f32[B, 4, 8]"


# Products ------------------------------------------------------------------------------------------------------


def test_a_product_reads_the_live_columns_of_a_concat() -> None:
    before = text(
        """
        %z = zeros() {shape = (3,)} : f32[B, 3] live 0:0
        %m = mask(%y) {keep = 2} : f32[B, 5] live 0:2
        %c = concat(%x, %z, %m) : f32[B, 12] live 0:9
        %o = linear(%c) {out = 2} [weight = "w"[2, 12], bias = "b"[2]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 5]",
    )
    after = text(
        """
        %y.part = slice(%y) {stop = 2} : f32[B, 2]
        %o = linear(%x, %y.part) {out = 2} [weight = "w"[2, 12 | 0:2 | 0:4, 7:9], bias = "b"[2]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 5]",
    )
    assert elide(before) == after


def test_a_product_over_a_slice_of_a_store_narrows_the_slice() -> None:
    before = text(
        """
        %p = pad(%x) {before = 1, size = 6} : f32[B, 6] live 1:5
        %o = linear(%p) {out = 2} [weight = "w"[9, 20 | 3:5 | 0:3, 10:13]] : f32[B, 2]
        return %o
        """
    )
    after = text('%o = linear(%x) {out = 2} [weight = "w"[9, 20 | 3:5 | 1:3, 10:12]] : f32[B, 2]\nreturn %o')
    assert elide(before) == after


def test_the_mask_of_a_result_moves_into_the_rows_of_its_weight() -> None:
    before = text(
        """
        %h = linear(%x) {out = 6} [weight = "w"[6, 4], bias = "b"[6]] : f32[B, 6]
        %r = relu(%h) : f32[B, 6]
        %m = mask(%r) {keep = 3} : f32[B, 6] live 0:3
        %o = linear(%m) {out = 2} [weight = "v"[2, 6]] : f32[B, 2]
        return %o
        """
    )
    after = text(
        """
        %h = linear(%x) {out = 3} [weight = "w"[6, 4 | 0:3 | 0:4], bias = "b"[6 | 0:3]] : f32[B, 3]
        %r = relu(%h) : f32[B, 3]
        %o = linear(%r) {out = 2} [weight = "v"[2, 6 | 0:2 | 0:3]] : f32[B, 2]
        return %o
        """
    )
    assert elide(before) == after


def test_behind_a_norm_the_mask_becomes_a_cut() -> None:
    """The norm's mean is over all units, masked ones too: they must be computed, but go no further."""
    before = text(
        """
        %h = linear(%x) {out = 6} [weight = "w"[6, 4]] : f32[B, 6]
        %n = layer_norm(%h) [weight = "g"[6], bias = "c"[6]] : f32[B, 6]
        %r = relu(%n) : f32[B, 6]
        %m = mask(%r) {keep = 3} : f32[B, 6] live 0:3
        %o = linear(%m) {out = 2} [weight = "v"[2, 6]] : f32[B, 2]
        return %o
        """
    )
    fused = dump(Fuse().apply(parse(elide(before))))
    assert "%h = linear(%x) {out = 6, norm = true, activation = relu, keep = 3}" in fused
    assert '%o = linear(%h) {out = 2} [weight = "v"[2, 6 | 0:2 | 0:3]]' in fused


def test_a_value_that_others_read_is_cut_and_not_computed_twice() -> None:
    before = text(
        """
        %h = linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4]
        %m = mask(%h) {keep = 1} : f32[B, 4] live 0:1
        %s = sigmoid(%h) : f32[B, 4]
        %o = linear(%m, %s) {out = 2} [weight = "v"[2, 8]] : f32[B, 2]
        return %o
        """
    )
    after = elide(before)
    assert after.count('"w"') == 1
    assert "%h.part = slice(%h) {stop = 1}" in after


def test_a_product_along_the_fields() -> None:
    before = text(
        """
        %m = mask(%x) {keep = 3} : f32[B, 4, 8] live 0:3
        %o = field_linear(%x, %m) {out = 2} [weight = "w"[2, 8]] : f32[B, 2, 8]
        return %o
        """,
        FIELDS,
        "f32[B, 2, 8]",
    )
    assert '%o = field_linear(%x, %x.part) {out = 2} [weight = "w"[2, 8 | 0:2 | 0:7]]' in elide(before)


@pytest.mark.parametrize("epilogue", ["", ", norm = true", ", activation = sigmoid"])
def test_a_product_over_nothing_gives_what_follows_it(epilogue: str) -> None:
    norm = ', norm_weight = "g"[2], norm_bias = "c"[2]' if "norm" in epilogue else ""
    before = text(
        f"""
        %m = mask(%x) {{keep = 0}} : f32[B, 4] live 0:0
        %o = linear(%m) {{out = 2{epilogue}}} [weight = "w"[2, 4], bias = "b"[2]{norm}] : f32[B, 2]
        return %o
        """
    )
    after = elide(before)
    assert "%zeros = zeros() {shape = (0,)} : f32[B, 0]\n" in after
    assert 'weight = "w"[2, 4 | 0:2 | none]' in after


def test_a_dead_end_of_fields() -> None:
    before = text(
        """
        %m = mask(%x) {keep = 0} : f32[B, 4, 8] live 0:0
        %o = field_linear(%m) {out = 2} [weight = "w"[2, 4], bias = "b"[2]] : f32[B, 2, 8]
        return %o
        """,
        FIELDS,
        "f32[B, 2, 8]",
    )
    assert "zeros() {shape = (0, 8)} : f32[B, 0, 8]" in elide(before)


# Sums and products of values -----------------------------------------------------------------------------------


def add_of(*parts: tuple[int, int], size: int = 6) -> Graph:
    """Values that live in the given ranges, added, then multiplied with a weight."""
    b = GraphBuilder("g")
    arguments = [b.input(f"x{i}", TensorType((stop - start,))) for i, (start, stop) in enumerate(parts)]
    padded = [b.add("pad", [x], before=start, size=size) for x, (start, _) in zip(arguments, parts, strict=True)]
    total = b.add("add", padded, id="total")
    return b.finish(b.add("linear", [total], id="o", params={"weight": ParamRef("w", (2, size))}, out=2))


def elided(graph: Graph) -> Graph:
    after = ElideZeros().apply(graph)
    verify(after)
    same_result(graph, after)
    return after


@pytest.mark.parametrize(
    ("parts", "inputs", "columns"),
    [
        ([(0, 2), (2, 6)], ("x0", "x1"), ((0, 6),)),  # side by side: nothing to add
        ([(3, 6), (0, 2)], ("x1", "x0"), ((0, 2), (3, 6))),  # in the order of positions, with a hole
        ([(1, 4), (1, 4)], ("total",), ((1, 4),)),  # on top of each other
        ([(0, 3), (2, 5)], ("total",), ((0, 5),)),  # overlapping in part
        ([(0, 6), (2, 3)], ("total",), ((0, 6),)),  # one within the other
        ([(0, 1), (0, 1), (4, 5)], ("total", "x2"), ((0, 1), (4, 5))),  # a pair, and one apart
        ([(0, 2), (1, 3), (5, 6)], ("total",), ((0, 3), (5, 6))),  # overlapping, with a hole
        ([(0, 0), (2, 4)], ("x1",), ((2, 4),)),  # one is nothing
        ([(2, 4)], ("x0",), ((2, 4),)),  # an addition of one
    ],
)
def test_additions(parts: list[tuple[int, int]], inputs: tuple[str, ...], columns: Segments) -> None:
    after = elided(add_of(*parts))
    assert after["o"].inputs == inputs
    weight = after["o"].param("weight")
    assert weight is not None and weight.columns == columns


def test_an_addition_of_nothing() -> None:
    after = elided(add_of((0, 0), (3, 3)))
    assert after["o"].inputs == ("zeros",)


def test_overlapping_additions_compute_only_what_any_operand_covers() -> None:
    after = elided(add_of((0, 2), (1, 3), size=100))
    assert after["total"].type == TensorType((3,))


def test_multiplication_keeps_the_intersection() -> None:
    before = text(
        """
        %a = mask(%x) {keep = 3} : f32[B, 4] live 0:3
        %b = pad(%y) {before = 1, size = 4} : f32[B, 4] live 1:4
        %p = mul(%a, %b) : f32[B, 4] live 1:3
        %o = linear(%p) {out = 2} [weight = "w"[2, 4]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 3]",
    )
    after = text(
        """
        %x.part = slice(%x) {start = 1, stop = 3} : f32[B, 2]
        %y.part = slice(%y) {stop = 2} : f32[B, 2]
        %p = mul(%x.part, %y.part) : f32[B, 2]
        %o = linear(%p) {out = 2} [weight = "w"[2, 4 | 0:2 | 1:3]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 3]",
    )
    assert elide(before) == after


def test_a_gate_is_computed_only_where_it_is_multiplied() -> None:
    """Sigmoid gating with a padded right side: of the gate's weight, only the rows that meet something are used."""
    before = text(
        """
        %g = linear(%x) {out = 4} [weight = "w"[4, 4], bias = "b"[4]] : f32[B, 4]
        %s = sigmoid(%g) : f32[B, 4]
        %p = pad(%y) {size = 4} : f32[B, 4] live 0:1
        %m = mul(%s, %p) : f32[B, 4] live 0:1
        %o = linear(%m) {out = 2} [weight = "v"[2, 4]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 1]",
    )
    after = elide(before)
    assert '%g = linear(%x) {out = 1} [weight = "w"[4, 4 | 0:1 | 0:4], bias = "b"[4 | 0:1]]' in after


def test_multiplication_with_nothing_in_common_is_zero() -> None:
    before = text(
        """
        %a = mask(%x) {keep = 1} : f32[B, 4] live 0:1
        %b = pad(%y) {before = 2, size = 4} : f32[B, 4] live 2:4
        %p = mul(%a, %b) : f32[B, 4] live 0:0
        %o = linear(%x, %p) {out = 2} [weight = "w"[2, 8]] : f32[B, 2]
        return %o
        """,
        "%x: f32[B, 4], %y: f32[B, 2]",
    )
    assert '%o = linear(%x) {out = 2} [weight = "w"[2, 8 | 0:2 | 0:4]]' in elide(before)


# Interactions --------------------------------------------------------------------------------------------------


def interaction(op: str, *parts: tuple[int, int], fields: int = 6) -> Graph:
    """An op over fields of which only the given ranges live, multiplied with a weight."""
    b = GraphBuilder("g")
    y = b.add(op, [_with_holes(b, b.input("x", TensorType((fields, 3))), parts, fields)], id="op")
    return b.finish(_weighted(b, y))


def _with_holes(b: GraphBuilder, x: str, parts: tuple[tuple[int, int], ...], fields: int) -> str:
    pieces, end = [], 0
    for start, stop in parts:
        pieces += [b.add("zeros", shape=(start - end, 3)), b.add("slice", [x], start=start, stop=stop)]
        end = stop
    return b.add("concat", [*pieces, b.add("zeros", shape=(fields - end, 3))])


def _weighted(b: GraphBuilder, y: str) -> str:
    if len(b.type(y).shape) == 2:
        y = b.add("reshape", [y], shape=(b.type(y).elements,))
    return b.add("linear", [y], id="o", params={"weight": ParamRef("w", (2, b.type(y).shape[0]))}, out=2)


def columns(graph: Graph) -> Segments:
    weight = graph["o"].param("weight")
    assert weight is not None
    return weight.columns


def test_pairs_of_masked_rows_are_not_formed() -> None:
    after = elided(interaction("pairwise_dot", (0, 3)))
    assert after["op"].type == TensorType((3,))
    assert columns(after) == ((0, 3),)


def test_pairs_with_a_hole_between_the_rows() -> None:
    """Rows 0 and 2..3 live: pairs (2,0), (3,0) and (3,2) at positions 1, 3 and 5."""
    after = elided(interaction("pairwise_dot", (0, 1), (2, 4)))
    assert after["op"].type == TensorType((3,))
    assert columns(after) == ((1, 2), (3, 4), (5, 6))


@pytest.mark.parametrize("parts", [[(2, 3)], [], [(0, 0)]])
def test_no_pairs_of_fewer_than_two_rows(parts: list[tuple[int, int]]) -> None:
    after = elided(interaction("pairwise_dot", *parts))
    assert "op" not in after and columns(after) == ()


def test_pairs_of_all_rows_are_as_before() -> None:
    after = elided(interaction("pairwise_dot", (0, 6)))
    assert after["op"].type == TensorType((15,)) and columns(after) == ((0, 15),)


def test_factorization_machine_sums_over_live_fields() -> None:
    after = elided(interaction("factorization_machine", (1, 2), (4, 6)))
    operand = after[after["op"].inputs[0]]
    assert operand.type == TensorType((3, 3))


def test_factorization_machine_of_nothing_is_zero() -> None:
    after = elided(interaction("factorization_machine"))
    assert "op" not in after and columns(after) == ()


@pytest.mark.parametrize(("axis", "want"), [(1, ((0, 3),)), (2, ((1, 2), (4, 6)))])
def test_sums(axis: int, want: Segments) -> None:
    b = GraphBuilder("g")
    holes = _with_holes(b, b.input("x", TensorType((6, 3))), ((1, 2), (4, 6)), 6)
    after = elided(b.finish(_weighted(b, b.add("sum", [holes], id="op", axis=axis))))
    assert after[after["op"].inputs[0]].type == TensorType((3, 3))
    assert columns(after) == want


def test_numeric_embedding_of_masked_features_takes_their_rows() -> None:
    b = GraphBuilder("g")
    m = b.add("mask", [b.input("x", TensorType((5,)))], keep=2)
    after = elided(b.finish(_weighted(b, b.add("numeric_embedding", [m], id="op", dim=3))))
    assert after["op"].type == TensorType((2, 3))
    assert after["op"].param("weight") == ParamRef("op.weight", (5, 3), ((0, 2),), ((0, 3),))
    assert columns(after) == ((0, 6),)


def test_field_pairs_of_live_fields() -> None:
    b = GraphBuilder("g")
    x, y = b.input("x", TensorType((6, 3))), b.input("y", TensorType((4, 3)))
    left, right = _with_holes(b, x, ((1, 2), (4, 5)), 6), _with_holes(b, y, ((0, 1), (3, 4)), 4)
    after = elided(b.finish(_weighted(b, b.add("hadamard_pairs", [left, right], id="op"))))
    assert after["op"].type == TensorType((4, 3))
    pairs = [4, 7, 16, 19]  # 1*4+0, 1*4+3, 4*4+0, 4*4+3
    assert columns(after) == tuple((3 * i, 3 * i + 3) for i in pairs)


# Ops that need their zeros -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [
        'layer_norm(%m) [weight = "g"[4], bias = "c"[4]]',
        "sigmoid(%m)",
    ],
)
def test_ops_that_give_zeros_a_value_get_them(op: str) -> None:
    before = text(
        f"""
        %m = mask(%x) {{keep = 2}} : f32[B, 4] live 0:2
        %n = {op} : f32[B, 4]
        %o = linear(%n) {{out = 2}} [weight = "w"[2, 4]] : f32[B, 2]
        return %o
        """
    )
    after = elide(before)
    assert "%pad = pad(%x.part) {size = 4} : f32[B, 4] live 0:2" in after
    assert '%o = linear(%n) {out = 2} [weight = "w"[2, 4]]' in after


def test_attention_sees_masked_fields() -> None:
    """As in the published supernet, masked fields act as keys and values."""
    before = text(
        """
        %m = mask(%x) {keep = 2} : f32[B, 4, 8] live 0:2
        %q = channel_linear(%m) {out = 24} [weight = "w"[24, 8], bias = "b"[24]] : f32[B, 4, 24]
        %a = self_attention(%q) {heads = 2} : f32[B, 4, 8]
        return %a
        """,
        FIELDS,
        "f32[B, 4, 8]",
    )
    assert "%pad = pad(%x.part) {size = 4} : f32[B, 4, 8] live 0:2" in elide(before)


def test_zeros_are_spelled_out_once() -> None:
    before = text(
        """
        %m = mask(%x) {keep = 2} : f32[B, 4] live 0:2
        %a = sigmoid(%m) : f32[B, 4]
        %n = layer_norm(%m) [weight = "g"[4], bias = "c"[4]] : f32[B, 4]
        %s = add(%a, %n) : f32[B, 4]
        return %s
        """,
        output="f32[B, 4]",
    )
    assert elide(before).count("pad(") == 1


def test_a_value_with_holes_is_spelled_out_between_zeros() -> None:
    b = GraphBuilder("g")
    holes = _with_holes(b, b.input("x", TensorType((6, 3))), ((1, 2), (4, 5)), 6)
    after = elided(b.finish(b.add("sigmoid", [holes])))
    assert [node.op for node in after].count("zeros") >= 1
    assert after.type == TensorType((6, 3))


# Shapes --------------------------------------------------------------------------------------------------------


def test_a_flattened_mask_reads_the_columns_of_live_fields() -> None:
    before = text(
        """
        %m = mask(%x) {keep = 3} : f32[B, 4, 8] live 0:3
        %f = reshape(%m) {shape = (32,)} : f32[B, 32] live 0:24
        %o = linear(%f) {out = 2} [weight = "w"[2, 32]] : f32[B, 2]
        return %o
        """,
        FIELDS,
    )
    assert '[weight = "w"[2, 32 | 0:2 | 0:24]]' in elide(before)


def reshaped(width: int, parts: tuple[tuple[int, int], ...], shape: tuple[int, int]) -> Graph:
    b = GraphBuilder("g")
    x, pieces, end = b.input("x", TensorType((width,))), [], 0
    for start, stop in parts:
        pieces += [b.add("zeros", shape=(start - end,)), b.add("slice", [x], start=start, stop=stop)]
        end = stop
    joined = b.add("concat", [*pieces, b.add("zeros", shape=(width - end,))])
    rows = b.add("reshape", [joined], id="rows", shape=shape)
    params = {"weight": ParamRef("w", (2, shape[0]))}
    return b.finish(b.add("field_linear", [rows], id="o", params=params, out=2))


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        (((0, 8),), ((0, 2),)),  # whole rows
        (((0, 5),), ((0, 2),)),  # ends within a row
        (((6, 10),), ((1, 3),)),  # begins and ends within one
        (((5, 6),), ((1, 2),)),  # lies within one
        (((1, 2), (13, 14)), ((0, 1), (3, 4))),  # two rows touched, two not
        (((1, 2), (3, 6)), ((0, 2),)),  # two parts in one row
        ((), ()),
    ],
)
def test_units_reshaped_to_fields(parts: tuple[tuple[int, int], ...], want: Segments) -> None:
    """A row of which any entry may live is live; rows of zeros are not multiplied."""
    assert columns(elided(reshaped(16, parts, (4, 4)))) == want


def test_fields_reshaped_to_fields_of_other_channels() -> None:
    b = GraphBuilder("g")
    m = b.add("mask", [b.input("x", TensorType((3, 4)))], keep=1)
    rows = b.add("reshape", [m], shape=(2, 6))
    params = {"weight": ParamRef("w", (2, 2))}
    after = elided(b.finish(b.add("field_linear", [rows], id="o", params=params, out=2)))
    assert columns(after) == ((0, 1),)


def test_slices_and_pads_of_padded_values_cancel() -> None:
    before = text(
        """
        %p = pad(%x) {before = 2, size = 9} : f32[B, 9] live 2:6
        %q = slice(%p) {start = 1, stop = 8} : f32[B, 7] live 1:5
        %c = concat(%q, %q) : f32[B, 14] live 1:12
        %s = slice(%c) {start = 8, stop = 12} : f32[B, 4]
        %o = linear(%s) {out = 2} [weight = "w"[2, 4]] : f32[B, 2]
        return %o
        """
    )
    assert elide(before) == text('%o = linear(%x) {out = 2} [weight = "w"[2, 4]] : f32[B, 2]\nreturn %o')


# Whole graphs --------------------------------------------------------------------------------------------------


def logit(b: GraphBuilder, *units: str) -> Graph:
    last = b.add("linear", units, id="last", out=1, biased=True)
    return b.finish(b.add("reshape", [last], id="logit", shape=()))


def test_no_dense_features() -> None:
    """Layers over dense features that a data set does not have: the norm's offset is left."""
    b = GraphBuilder("g")
    dense = b.input("dense", TensorType((0,)))
    b.input("sparse", TensorType((2,), "i64"))
    hidden = b.add("linear", [dense], id="fc", out=3, biased=True)
    hidden = b.add("layer_norm", [hidden], params={r: ParamRef(r, (3,)) for r in ("weight", "bias")})
    graph = logit(b, b.add("relu", [hidden]), dense)
    optimised = OPTIMIZE.run(graph)
    same_result(graph, optimised)
    assert cost(optimised).macs == 3


def test_everything_masked() -> None:
    b = GraphBuilder("g")
    x = b.input("x", TensorType((4,)))
    masked = b.add("mask", [b.add("linear", [x], out=5)], keep=0)
    graph = logit(b, b.add("relu", [masked]), b.add("mul", [masked, masked]), b.add("pad", [masked], size=9))
    optimised = OPTIMIZE.run(graph)
    same_result(graph, optimised)
    assert [node.op for node in optimised] == ["input", "zeros", "linear", "reshape"]
    assert cost(optimised).macs == 0


def test_a_long_chain_behind_a_cut() -> None:
    """The cut moves up some way; thousands of element-wise nodes do not exhaust the stack."""
    b = GraphBuilder("g")
    x = b.input("x", TensorType((4,)))
    for _ in range(3000):
        x = b.add("relu", [x])
    graph = logit(b, b.add("slice", [x], stop=2))
    optimised = OPTIMIZE.run(graph)
    same_result(graph, optimised)
