"""The text form: it round-trips, leaves layout free, and its errors name line and column."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nasrec_ir import GraphBuilder, ParamRef, ParseError, TensorType, VerifyError, dump, parse
from nasrec_ir.passes import OPTIMIZE
from tests.ir.random_graphs import random_graph

EXAMPLE = """\
# A comment may stand anywhere.
graph tiny(%dense: f32[B, 4], %sparse: i64[B, 2]) -> f32[B] {
  %raw = embedding(%sparse) {dim = 8} [tables.0 = "t.0"[5, 8], tables.1 = "t.1"[7, 8]] : f32[B, 2, 8]
  %half = mask(%raw) {keep = 1} : f32[B, 2, 8] live 0:1
  %flat = reshape(%half) {shape = (16,)} : f32[B, 16] live 0:8
  %fc = linear(%dense, %flat) {out = 6, activation = relu} [weight = "fc.weight"[9, 30 | 0:4, 5:7 | 0:20]] : f32[B, 6]
  %final = linear(%fc) {out = 1} [weight = "last"[1, 6], bias = "b\\u00e9\\"[0]"[1]] : f32[B, 1]
  %logit = reshape(%final) {shape = ()} : f32[B]
  return %logit
}
"""


def test_golden_text(golden: Callable[[str, str], None]) -> None:
    """What a person reads: every form of attribute, parameter slice and type in one small graph."""
    b = GraphBuilder("small")
    dense, sparse = b.input("dense", TensorType((13,))), b.input("sparse", TensorType((3,), "i64"))
    raw = b.add("embedding", [sparse], dim=8, rows=[10, 20, 30])
    mask = b.add("mask", [raw], id="b0.attn.mask", keep=2)
    slices = ParamRef("store.weight", (8, 40), ((0, 2), (4, 6)), ((0, 13), (20, 22)))
    fc = {
        "weight": slices,
        "norm_weight": ParamRef("gain", (8,), ((0, 4),)),
        "norm_bias": ParamRef("offset", (4,)),
    }
    total = b.add("sum", [mask], axis=2)
    part = b.add("slice", [total], stop=2)
    hidden = b.add(
        "linear",
        [dense, part],
        id="b0.fc",
        params=fc,
        out=4,
        norm=True,
        eps=1e-6,
        activation="relu",
        keep=3,
        weight_bits=4,
    )
    scaled = b.add("scale", [hidden], id="b0.scaled", factor=-0.5)
    last = b.add("linear", [scaled], id="final", out=1, biased=True)
    golden("ir/small.ir", dump(b.finish(b.add("reshape", [last], id="logit", shape=()))))


def test_example_round_trips() -> None:
    graph = parse(EXAMPLE)
    assert parse(dump(graph)) == graph
    assert [node.id for node in graph] == ["dense", "sparse", "raw", "half", "flat", "fc", "final", "logit"]
    assert graph["half"].type == TensorType((2, 8), live=(0, 1))
    assert graph["fc"].param("weight") == ParamRef("fc.weight", (9, 30), ((0, 4), (5, 7)), ((0, 20),))
    assert graph["final"].param("bias") == ParamRef('bé"[0]', (1,))


@pytest.mark.parametrize("seed", range(100))
def test_random_graphs_round_trip(seed: int) -> None:
    graph = random_graph(seed)
    assert parse(dump(graph)) == graph
    optimised = OPTIMIZE.run(graph)
    assert parse(dump(optimised)) == optimised
    assert dump(parse(dump(optimised))) == dump(optimised)


def test_layout_is_free() -> None:
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|#[^\n]*|[^\s]+', EXAMPLE)
    tokens = [token for token in tokens if not token.startswith("#")]
    assert parse(" ".join(tokens)) == parse(EXAMPLE)
    assert parse("\r\n\t".join(tokens)) == parse(EXAMPLE)
    assert parse(EXAMPLE.replace("{dim = 8}", "{\n dim=8 , # channels\n}")) == parse(EXAMPLE)
    assert parse(EXAMPLE.replace(" : ", ":").replace(", ", ",")) == parse(EXAMPLE)


def test_long_statements_are_broken_at_their_parameters() -> None:
    b = GraphBuilder("g")
    sparse = b.input("sparse", TensorType((9,), "i64"))
    raw = b.add("embedding", [sparse], id="embedding_of_many_fields", dim=8, rows=[1000] * 9)
    text = dump(b.finish(raw))
    assert max(map(len, text.splitlines())) <= 160
    assert "\n    tables.0 = " in text and "\n  ] : f32[B, 9, 8]\n" in text


def change(old: str, new: str) -> str:
    assert EXAMPLE.count(old) == 1, old
    return EXAMPLE.replace(old, new)


# The sign ^ stands before the place that is named; it is taken out before the text is parsed.
ERRORS = {
    "empty": ("^", "expected word, found 'end of text'"),
    "not a graph": ("^model m", "expected 'graph', found 'model'"),
    "stops early": (EXAMPLE[: EXAMPLE.index("  return")] + "^", "expected word, found 'end of text'"),
    "more behind": (EXAMPLE + "^graph", "expected the end of the text, found 'graph'"),
    "unknown op": (change("mask(", "^msk("), "unknown op 'msk'"),
    "character": (change("{keep", "{^§keep"), "unexpected character '§'"),
    "unicode id": (change("%half =", "%h^älf ="), "unexpected character 'ä'"),
    "single quotes": (change('"t.0"', "^'t.0'"), 'unexpected character "\'"'),
    "unclosed string": (change('"t.1"', '^"t.1'), "unexpected character '\"'"),
    "bad escape": (change('"t.0"', '^"t\\q"'), "a parameter's name is not a proper string"),
    "operand without sign": (change("mask(%raw)", "mask(^raw)"), "expected %name, found 'raw'"),
    "missing comma": (change("%dense, %flat", "%dense ^%flat"), "expected ',', found '%flat'"),
    "negative": (change("keep = 1", "keep = ^-1"), "a size must lie in 0..2147483647"),
    "huge": (change("keep = 1", "keep = ^1" + "0" * 5000), "a size must lie in 0..2147483647"),
    "value": (change("keep = 1", "keep = ^["), "a value must be a number, a word or sizes"),
    "type": (change(": f32[B, 6]", ": f32[^6]"), "expected word, found '6'"),
    "batch": (change(": f32[B, 6]", ": f32[^N, 6]"), "expected 'B', found 'N'"),
    "live everything": (change("live 0:1", "live ^0:2"), "less than all of it"),
    "live outside": (change("live 0:1", "live ^0:3"), "must lie within the first axis"),
    "live backwards": (change("live 0:1", "live ^1:0"), "must lie within the first axis"),
    "live of a logit": (change("()} : f32[B]", "()} : f32[B] live ^0:0"), "a live range must lie"),
    "one selection": (change("| 0:4, 5:7 | 0:20", "| 0:4, 5:7").replace('"fc.', '^"fc.'), "1 selections for 2 axes"),
    "ranges descend": (change("0:4, 5:7", "^5:7, 0:4"), "ranges must ascend"),
    "ranges overlap": (change("0:4, 5:7", "^0:6, 5:7"), "ranges must ascend"),
    "ranges touch": (change("0:4, 5:7", "^0:5, 5:7"), "neither empty nor touching"),
    "empty range": (change("0:4, 5:7", "^0:4, 5:5"), "neither empty nor touching"),
    "declared type": (
        change("-> f32[B] {", "-> f32[B, 1] {").replace("n %l", "n ^%l"),
        "declares f32[B, 1] but returns",
    ),
    "twice": (change("%flat = ", "^%raw = "), "%raw is defined twice"),
    "argument twice": (change("%sparse: ", "^%dense: "), "%dense is defined twice"),
    "no arrow": (change("->", "^:"), "expected arrow, found ':'"),
    "nested sizes": (change("(16,)", "(^(16,),)"), "expected int, found '('"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_line_and_column(case: str) -> None:
    marked, message = ERRORS[case]
    place = marked.index("^")
    lines = marked[:place].split("\n")
    with pytest.raises(ParseError) as caught:
        parse(marked.replace("^", ""))
    assert str(caught.value).startswith(f"line {len(lines)}, column {len(lines[-1]) + 1}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{keep = 1}", "{keep = 3}", "%half: mask: keep = 3 exceeds"),
        ("(%raw) {keep", "(%final) {keep", "not defined before its use"),
        ("return %logit", "return %nowhere", "output %nowhere does not exist"),
        ("{dim = 8}", "{dim = 8, dim = 8}", "written once each"),
        ('"t.1"[7, 8]', '"t.1"[7, 9]', "tables.1 selects [7, 9]"),
        ("%dense: f32[B, 4]", "%dense: f64[B, 4]", "unknown element kind 'f64'"),
        ("activation = relu", "activation = 1.5", "activation = 1.5 must be one of"),
        ("activation = relu", "activation = 1e999", "activation = inf must be one of"),
        ("graph tiny", "graph ti..ny", "graph name 'ti..ny' is not an identifier"),
        ('"t.0"', '"t\\u0000"', "must be printable"),
        ('"t.0"', '"\\ud800"', "must be printable"),
    ],
)
def test_a_text_that_parses_is_verified(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(VerifyError, match=re.escape(message)):
        parse(EXAMPLE.replace(old, new))


@pytest.mark.parametrize("value", [None, b"graph", 3, ["graph"]])
def test_only_strings_are_read(value: object) -> None:
    with pytest.raises(ParseError, match="must be a string"):
        parse(value)  # type: ignore[arg-type]
