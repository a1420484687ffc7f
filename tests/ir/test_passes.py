"""Passes in general: text in, text out; the result of a graph stays the same; a pipeline verifies what passes do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from nasrec_ir import Graph, GraphBuilder, Node, PassError, TensorType, VerifyError, dump, parse, verify
from nasrec_ir.passes import OPTIMIZE, ElideZeros, Expand, Fuse, FuseAttention, MergeEqual, Pass, Pipeline, PruneDead
from tests.ir.random_graphs import random_graph, same_result

PASSES: tuple[Pass, ...] = (PruneDead(), MergeEqual(), ElideZeros(), Fuse(), FuseAttention(), Expand())


def transform(step: Pass, before: str) -> str:
    """The text of a graph's body after a pass; what it computes must not change."""
    graph = parse(before)
    after = step.apply(graph)
    verify(after)
    same_result(graph, after)
    return dump(after)


def text(body: str, arguments: str = "%x: f32[B, 4]", output: str = "f32[B, 4]") -> str:
    lines = "\n".join(f"  {line.strip()}" for line in body.strip().splitlines())
    return f"graph g({arguments}) -> {output} {{\n{lines}\n}}\n"


# Each pass on its own ------------------------------------------------------------------------------------------


def test_prune_dead_keeps_what_the_output_needs_and_all_arguments() -> None:
    before = text(
        """
        %a = relu(%x) : f32[B, 4]
        %b = sigmoid(%a) : f32[B, 4]
        %c = add(%a, %b) : f32[B, 4]
        %d = sigmoid(%x) : f32[B, 4]
        return %d
        """,
        "%x: f32[B, 4], %unused: i64[B, 3]",
    )
    after = text("%d = sigmoid(%x) : f32[B, 4]\nreturn %d", "%x: f32[B, 4], %unused: i64[B, 3]")
    assert transform(PruneDead(), before) == after


def test_merge_equal_leaves_apart_what_draws_at_random() -> None:
    """Two dropouts of one value drop different entries; two batch norms of it with the same parameters are one."""
    norm = 'batch_norm(%x) [weight = "w"[4], bias = "b"[4], running_mean = "m"[4], running_var = "m.running_var"[4]]'
    drops = "%c = dropout(%a) {rate = 0.5} : f32[B, 4]\n%d = dropout(%a) {rate = 0.5} : f32[B, 4]"
    before = text(
        f"%a = {norm} : f32[B, 4]\n%b = {norm} : f32[B, 4]\n{drops}\n%e = add(%b, %c, %d) : f32[B, 4]\nreturn %e"
    )
    after = text(f"%a = {norm} : f32[B, 4]\n{drops}\n%e = add(%a, %c, %d) : f32[B, 4]\nreturn %e")
    assert transform(MergeEqual(), before) == after


def test_zeros_pass_through_dropout_but_not_through_batch_norm() -> None:
    """A masked value: its live part alone is dropped out; a norm gives zeros an offset and needs all of them."""
    before = text(
        """
        %m = mask(%x) {keep = 2} : f32[B, 4] live 0:2
        %d = dropout(%m) {rate = 0.5} : f32[B, 4] live 0:2
        %n = batch_norm(%d) [weight = "w"[4], bias = "b"[4], running_mean = "m"[4], running_var = "running_var"[4]] : f32[B, 4]
        return %n
        """  # noqa: E501
    )
    after = transform(ElideZeros(), before)
    assert "dropout(%x.part) {rate = 0.5} : f32[B, 2]" in after and "batch_norm(%pad)" in after


def test_merge_equal_finds_chains_of_equal_nodes() -> None:
    before = text(
        """
        %a = linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4]
        %b = linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4]
        %other = linear(%x) {out = 4} [weight = "v"[4, 4]] : f32[B, 4]
        %c = relu(%a) : f32[B, 4]
        %d = relu(%b) : f32[B, 4]
        %e = add(%c, %d, %other) : f32[B, 4]
        return %e
        """
    )
    after = text(
        """
        %a = linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4]
        %other = linear(%x) {out = 4} [weight = "v"[4, 4]] : f32[B, 4]
        %c = relu(%a) : f32[B, 4]
        %e = add(%c, %c, %other) : f32[B, 4]
        return %e
        """
    )
    assert transform(MergeEqual(), before) == after


def test_merge_equal_can_move_the_output() -> None:
    before = text("%a = relu(%x) : f32[B, 4]\n%b = relu(%x) : f32[B, 4]\nreturn %b")
    assert transform(MergeEqual(), before) == text("%a = relu(%x) : f32[B, 4]\nreturn %a")


@pytest.mark.parametrize(
    "second",
    [
        '%b = linear(%x) {out = 4} [weight = "w"[5, 4 | 1:5 | 0:4]] : f32[B, 4]',  # other rows
        '%b = linear(%x) {out = 4, activation = relu} [weight = "w"[5, 4 | 0:4 | 0:4]] : f32[B, 4]',
        '%b = linear(%x) {out = 4, weight_bits = 4} [weight = "w"[5, 4 | 0:4 | 0:4]] : f32[B, 4]',
        '%b = linear(%x) {out = 4} [weight = "w"[5, 4 | 0:4 | 0:4], bias = "c"[4]] : f32[B, 4]',
        '%b = linear(%y) {out = 4} [weight = "w"[5, 4 | 0:4 | 0:4]] : f32[B, 4]',  # another operand
    ],
)
def test_merge_equal_tells_nodes_apart(second: str) -> None:
    first = '%a = linear(%x) {out = 4} [weight = "w"[5, 4 | 0:4 | 0:4]] : f32[B, 4]'
    before = text(f"{first}\n{second}\n%c = add(%a, %b) : f32[B, 4]\nreturn %c", "%x: f32[B, 4], %y: f32[B, 4]")
    graph = parse(before)
    assert MergeEqual().apply(graph) is graph


def test_arguments_of_equal_type_are_not_merged() -> None:
    graph = parse(text("%c = add(%x, %y) : f32[B, 4]\nreturn %c", "%x: f32[B, 4], %y: f32[B, 4]"))
    assert MergeEqual().apply(graph) is graph


LINEAR = '%y = linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4]'
NORM = '[weight = "g"[4], bias = "o"[4]]'
PARAMS = 'weight = "w"[4, 4], norm_weight = "g"[4], norm_bias = "o"[4]'


def test_fuse_takes_norm_cut_and_activation_in() -> None:
    before = text(
        f"{LINEAR}\n%n = layer_norm(%y) {NORM} : f32[B, 4]\n%r = relu(%n) : f32[B, 4]\n"
        "%s = slice(%r) {stop = 3} : f32[B, 3]\nreturn %s",
        output="f32[B, 3]",
    )
    fused = f"%y = linear(%x) {{out = 4, norm = true, activation = relu, keep = 3}} [{PARAMS}] : f32[B, 3]"
    assert transform(Fuse(), before) == text(f"{fused}\nreturn %y", output="f32[B, 3]")


def test_fuse_takes_the_cut_before_the_activation_too() -> None:
    before = text(
        f"{LINEAR}\n%n = layer_norm(%y) {{eps = 0.01}} {NORM} : f32[B, 4]\n"
        "%s = slice(%n) {stop = 3} : f32[B, 3]\n%r = sigmoid(%s) : f32[B, 3]\nreturn %r",
        output="f32[B, 3]",
    )
    fused = (
        f"%y = linear(%x) {{out = 4, norm = true, eps = 0.01, activation = sigmoid, keep = 3}} [{PARAMS}] : f32[B, 3]"
    )
    assert transform(Fuse(), before) == text(f"{fused}\nreturn %y", output="f32[B, 3]")


def test_fuse_along_the_fields() -> None:
    weight = 'weight = "w"[3, 4]'
    before = text(
        f'%y = field_linear(%x) {{out = 3}} [{weight}, bias = "b"[3]] : f32[B, 3, 8]\n'
        '%n = layer_norm(%y) [weight = "g"[3], bias = "o"[3]] : f32[B, 3, 8]\n'
        "%r = relu(%n) : f32[B, 3, 8]\nreturn %r",
        "%x: f32[B, 4, 8]",
        "f32[B, 3, 8]",
    )
    after = (
        f'%y = field_linear(%x) {{out = 3, norm = true, activation = relu}} [{weight}, bias = "b"[3],'
        ' norm_weight = "g"[3], norm_bias = "o"[3]] : f32[B, 3, 8]\nreturn %y'
    )
    assert transform(Fuse(), before) == dump(parse(text(after, "%x: f32[B, 4, 8]", "f32[B, 3, 8]")))


def test_fuse_gives_channel_linear_an_activation() -> None:
    before = text(
        '%y = channel_linear(%x) {out = 8} [weight = "w"[8, 8], bias = "b"[8]] : f32[B, 4, 8]\n'
        "%r = relu(%y) : f32[B, 4, 8]\nreturn %r",
        "%x: f32[B, 4, 8]",
        "f32[B, 4, 8]",
    )
    after = (
        '%y = channel_linear(%x) {out = 8, activation = relu} [weight = "w"[8, 8], bias = "b"[8]] : f32[B, 4, 8]\n'
        "return %y"
    )
    assert transform(Fuse(), before) == text(after, "%x: f32[B, 4, 8]", "f32[B, 4, 8]")


NOT_FUSED = {
    "norm after activation": f"{LINEAR}\n%r = relu(%y) : f32[B, 4]\n%z = layer_norm(%r) {NORM} : f32[B, 4]",
    "second norm": (
        f"{LINEAR}\n%n = layer_norm(%y) {NORM} : f32[B, 4]\n"
        '%z = layer_norm(%n) [weight = "g2"[4], bias = "o2"[4]] : f32[B, 4]'
    ),
    "second activation": f"{LINEAR}\n%r = relu(%y) : f32[B, 4]\n%z = sigmoid(%r) : f32[B, 4]",
    "cut without norm": f"{LINEAR}\n%z = slice(%y) {{stop = 4}} : f32[B, 4]",
    "cut not from 0": (
        f"{LINEAR}\n%n = layer_norm(%y) {NORM} : f32[B, 4]\n%s = slice(%n) {{start = 1, stop = 4}} : f32[B, 3]\n"
        "%z = pad(%s) {size = 4} : f32[B, 4] live 0:3"
    ),
    "another reader": f"{LINEAR}\n%r = relu(%y) : f32[B, 4]\n%z = add(%y, %r) : f32[B, 4]",
    "other element-wise work": f"{LINEAR}\n%z = scale(%y) {{factor = 2.0}} : f32[B, 4]",
    "read twice by one": f"{LINEAR}\n%z = mul(%y, %y) : f32[B, 4]",
    "nothing follows": LINEAR.replace("%y", "%z"),
}


@pytest.mark.parametrize("case", NOT_FUSED)
def test_fuse_leaves_alone(case: str) -> None:
    """Of each chain, the last step stays a node of its own, as it was."""
    output = "f32[B, 4] live 0:3" if "live" in NOT_FUSED[case] else "f32[B, 4]"
    before = text(f"{NOT_FUSED[case]}\nreturn %z", output=output)
    was, now = parse(before)["z"], parse(transform(Fuse(), before))["z"]
    assert (now.op, now.attrs, now.params) == (was.op, was.attrs, was.params)


def test_fuse_keeps_a_product_that_is_the_output() -> None:
    graph = parse(text(f"{LINEAR}\n%r = relu(%y) : f32[B, 4]\nreturn %y"))
    assert Fuse().apply(graph) is graph


def test_fuse_after_norm_over_channels() -> None:
    """A norm over the channels of fields is not the epilogue of a product along the fields."""
    graph = parse(
        text(
            '%y = field_linear(%x) {out = 4} [weight = "w"[4, 4]] : f32[B, 4, 8]\n'
            '%n = layer_norm(%y) {axis = 2} [weight = "g"[8], bias = "o"[8]] : f32[B, 4, 8]\nreturn %n',
            "%x: f32[B, 4, 8]",
            "f32[B, 4, 8]",
        )
    )
    assert Fuse().apply(graph) is graph


# All passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
@pytest.mark.parametrize("seed", range(80))
def test_passes_keep_the_result(step: Pass, seed: int) -> None:
    graph = random_graph(seed, nodes=16)
    after = step.apply(graph)
    verify(after)
    same_result(graph, after, seed)


@pytest.mark.parametrize("seed", range(150))
def test_the_pipeline_keeps_the_result(seed: int) -> None:
    graph = random_graph(seed + 1000)
    optimised = OPTIMIZE.run(graph)
    verify(optimised, "executable")
    same_result(graph, optimised, seed)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_passes_return_the_very_graph_where_there_is_nothing_to_do(step: Pass) -> None:
    b = GraphBuilder("g")
    hidden = b.add("linear", [b.input("x", TensorType((4,)))], id="hidden", out=3, norm=True, activation="relu")
    last = b.add("linear", [hidden], id="last", out=1)
    graph = b.finish(b.add("reshape", [last], id="logit", shape=()))
    assert step.apply(graph) is graph


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
@pytest.mark.parametrize("seed", range(10))
def test_passes_are_deterministic(step: Pass, seed: int) -> None:
    assert dump(step.apply(random_graph(seed))) == dump(step.apply(random_graph(seed)))


# Pipelines -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrecks:
    """Declares a wrong type for the last node."""

    name: ClassVar[str] = "wrecks"

    def apply(self, graph: Graph) -> Graph:
        broken = replace(graph.nodes[-1], type=TensorType((99,)))
        return Graph(graph.name, (*graph.nodes[:-1], broken), graph.output)


@dataclass(frozen=True)
class Raises:
    name: ClassVar[str] = "raises"

    def apply(self, graph: Graph) -> Graph:
        GraphBuilder("g").add("relu", ["nowhere"])
        return graph


@dataclass(frozen=True)
class Masks:
    """Adds a mask that takes nothing away: a fine graph, but no executable one."""

    name: ClassVar[str] = "masks"

    def apply(self, graph: Graph) -> Graph:
        last = graph[graph.output]
        mask = Node("mask", "mask", (last.id,), (("keep", last.type.shape[0]),), (), last.type)
        logit = Node("logit", "reshape", ("mask",), (("shape", ()),), (), TensorType(()))
        return Graph(graph.name, (*graph.nodes, mask, logit), "logit")


GRAPH = parse(text("%a = relu(%x) : f32[B, 1]\nreturn %a", "%x: f32[B, 1]", "f32[B, 1]"))


def test_a_broken_pass_is_named_with_those_before_it() -> None:
    with pytest.raises(PassError) as caught:
        Pipeline((PruneDead(), MergeEqual(), Wrecks(), Fuse())).run(GRAPH)
    assert str(caught.value).startswith("wrecks broke the graph after prune-dead, merge-equal: graph g: %a: type is")
    assert isinstance(caught.value.__cause__, VerifyError)


def test_a_pass_that_raises_is_named_too() -> None:
    with pytest.raises(PassError, match=r"^raises failed after prune-dead: %relu = relu: operand %nowhere"):
        Pipeline((PruneDead(), Raises())).run(GRAPH)


def test_the_first_pass_has_no_history() -> None:
    with pytest.raises(PassError, match=r"^wrecks broke the graph: "):
        Pipeline((Wrecks(),)).run(GRAPH)


def test_a_broken_graph_is_not_blamed_on_a_pass() -> None:
    with pytest.raises(VerifyError, match="operand %nowhere"):
        OPTIMIZE.run(Graph("g", (Node("y", "relu", ("nowhere",), (), (), TensorType((4,))),), "y"))


def test_the_last_graph_must_reach_the_level() -> None:
    Pipeline((Masks(),)).run(GRAPH)
    with pytest.raises(PassError, match=r"the pipeline broke the graph after masks: graph g: %mask: a mask is left"):
        Pipeline((Masks(),), level="executable").run(GRAPH)


def test_observers_see_every_stage() -> None:
    seen: list[tuple[str, str]] = []
    graph = random_graph(3)
    result = OPTIMIZE.run(graph, lambda name, g: seen.append((name, dump(g))))
    assert [name for name, _ in seen] == ["lowered", *(step.name for step in OPTIMIZE.passes)]
    assert seen[0][1] == dump(graph) and seen[-1][1] == dump(result)
