"""Drawings: well-formed, complete, escaped, laid out without overlaps, and the same for equal graphs."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nasrec
from nasrec import FeatureSpec, SearchSpace, baselines, presets
from nasrec_ir import Graph, GraphBuilder, Node, ParamRef, TensorType, VerifyError, cost
from nasrec_ir.draw import dot, mermaid, svg
from nasrec_ir.draw.caption import acyclic_clusters, clusters, short
from nasrec_ir.draw.columns import placed_columns
from nasrec_ir.draw.curves import Curve, first_fit, free_room
from nasrec_ir.draw.layers import Layers, is_waypoint, layered
from nasrec_ir.draw.line import separated
from nasrec_ir.draw.markup import _dot_text, _mermaid_text
from nasrec_ir.draw.order import reduce_crossings, total_crossings
from nasrec_ir.draw.place import NODE_HEIGHT, Box, place
from nasrec_ir.passes import Expand

SVG = "{http://www.w3.org/2000/svg}"
FEATURES = FeatureSpec(4, (7,) * 5, 8)
HOSTILE = 'x"]; evil [label="</title><script>&\\N{!}'


def preset(name: str) -> Graph:
    return nasrec.graph_of(presets.load(name), presets.PRESETS[name].features())


def lowered(seed: int, blocks: int = 5) -> Graph:
    """All nodes of a random genotype, dead ones too."""
    return nasrec.lower(SearchSpace.full(num_blocks=blocks).sample(np.random.default_rng(seed)), FEATURES)


def with_dead_blocks() -> Graph:
    """Three of Criteo's seven published blocks reach nothing."""
    return nasrec.lower(presets.load("criteo-full"), presets.PRESETS["criteo-full"].features())


def crossing_scopes() -> Graph:
    """A value that leaves the scope `a` for `b` and comes back, so that neither can be drawn above the other."""
    b = GraphBuilder("tangled")
    x = b.input("dense", TensorType((3,)))
    first = b.add("relu", [x], id="a.first")
    between = b.add("relu", [first], id="b.between")
    back = b.add("add", [between, first], id="a.back")
    end = b.add("add", [back, b.add("sigmoid", [x], id="b.side")], id="end")
    return b.finish(end)


def repeated_operand() -> Graph:
    b = GraphBuilder("square")
    x = b.input("dense", TensorType((1,)))
    return b.finish(b.add("reshape", [b.add("mul", [x, x], id="product")], id="logit", shape=()))


def argument_only() -> Graph:
    b = GraphBuilder("identity")
    return b.finish(b.input("dense", TensorType((1,))))


def hostile_parameter() -> Graph:
    b = GraphBuilder("hostile")
    x = b.input("dense", TensorType((3,)))
    return b.finish(b.add("linear", [x], id="logit", params={"weight": ParamRef(HOSTILE, (1, 3))}, out=1))


def quantised() -> Graph:
    b = GraphBuilder("bits")
    x = b.input("dense", TensorType((3,)))
    y = b.add("linear", [x], id="b0.fc", out=4, weight_bits=6, activation="relu")
    return b.finish(b.add("linear", [y], id="logit", out=1))


GRAPHS = {
    **{name: (lambda name=name: preset(name)) for name in ("criteo-full", "kdd-full", "avazu-small")},
    **{name: (lambda name=name: baselines.build(name, FEATURES)) for name in baselines.BASELINES},
    **{f"lowered-{seed}": (lambda seed=seed: lowered(seed)) for seed in range(4)},
    "dead-blocks": with_dead_blocks,
    "crossing-scopes": crossing_scopes,
    "repeated-operand": repeated_operand,
    "argument-only": argument_only,
    "hostile-parameter": hostile_parameter,
    "quantised": quantised,
}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return GRAPHS[request.param]()


def cards(picture: str) -> dict[str, ElementTree.Element]:
    found = [e for e in ElementTree.fromstring(picture).iter(f"{SVG}g") if "data-node" in e.attrib]
    by_id = {card.attrib["data-node"]: card for card in found}
    assert len(by_id) == len(found), "a node is drawn twice"
    return by_id


# SVG ------------------------------------------------------------------------------------------------------------------


def test_svg_is_well_formed_and_shows_every_node_once(graph: Graph) -> None:
    picture = svg(graph)
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    by_id = cards(picture)
    assert list(by_id) == [node.id for node in graph]
    macs = {node.id: 0 for node in graph.inputs} | {row.id: row.macs for row in cost(graph).nodes}
    for node in graph:
        texts = [text.text for text in by_id[node.id].iter(f"{SVG}text")]
        shape = f"[{', '.join(['B', *map(str, node.type.shape)])}]"
        assert texts[0] == node.id and shape in texts
        assert any(str(text).startswith("argument" if node.op == "input" else node.op) for text in texts)
        assert (f"{short(macs[node.id])} MACs" in texts) == (macs[node.id] > 0)


def test_svg_refers_to_nothing_outside(graph: Graph) -> None:
    picture = svg(graph)
    assert "href" not in picture and "<script" not in picture and "<style" not in picture and "url(" not in picture
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_svg_has_an_arrow_for_every_operand(graph: Graph) -> None:
    heads = [path.attrib["d"] for path in ElementTree.fromstring(svg(graph)).iter(f"{SVG}path")]
    arrows = max((d.count("z") for d in heads), default=0)
    assert arrows == sum(len(node.inputs) for node in graph)


def test_svg_lies_within_its_page_and_cards_do_not_overlap(graph: Graph) -> None:
    picture = svg(graph)
    root = ElementTree.fromstring(picture)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    group = next(e for e in root.iter(f"{SVG}g") if "data-node" in {key for child in e for key in child.attrib})
    shift = [float(v) for v in re.findall(r"-?[\d.]+", group.attrib["transform"])]
    rectangles = []
    for card in cards(picture).values():
        x, y = (float(v) for v in re.findall(r"-?[\d.]+", card.attrib["transform"]))
        rect = next(card.iter(f"{SVG}rect"))
        w, h = float(rect.attrib["width"]), float(rect.attrib["height"])
        assert x + shift[0] >= 0 and x + w + shift[0] <= width
        assert y + shift[1] >= 0 and y + h + shift[1] <= height
        rectangles.append((x, y, x + w, y + h))
    for a, b in itertools.combinations(rectangles, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_svg_colours_by_home_and_explains_the_colours() -> None:
    picture = svg(preset("criteo-full"))
    by_id = cards(picture)
    fills = {
        node_id: next(by_id[node_id].iter(f"{SVG}rect")).attrib["fill"]
        for node_id in ("dense", "embedding", "b6.fc", "b1.dot.pairs", "flat")
    }
    assert len(set(fills.values())) == 5
    assert fills["b6.fc"] == next(by_id["final"].iter(f"{SVG}rect")).attrib["fill"]
    legend = [text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")][-8:]
    for word in ("argument", "memory", "crossbar", "digital", "wire", "ids", "dense units", "fields"):
        assert sum(word in str(text) for text in legend) == 1, word


def test_svg_fades_what_does_not_reach_the_output() -> None:
    dead = with_dead_blocks()
    live = dead.live_ids()
    assert len(live) < len(dead)
    faint = {node_id for node_id, card in cards(svg(dead)).items() if "opacity" in card.attrib}
    assert faint == {node.id for node in dead} - live
    assert "does not reach the output" in svg(dead)
    assert "does not reach the output" not in svg(preset("criteo-full"))


def test_svg_shows_what_is_fused_and_the_bits() -> None:
    texts = [text.text for text in cards(svg(quantised()))["b0.fc"].iter(f"{SVG}text")]
    assert "linear + relu + 6 bit" in texts


def test_boxes_hold_their_nodes_and_no_others(graph: Graph) -> None:
    layers = layered(graph)
    width = dict.fromkeys(layers.row, 0.0) | {node.id: 100.0 for node in graph}
    reduce_crossings(layers, width)
    places = place(layers, width)
    members = acyclic_clusters(graph)
    assert [box.scope for box in places.boxes] == list(dict.fromkeys(box.scope for box in places.boxes))
    assert {box.scope for box in places.boxes} == set(members)
    for box in places.boxes:
        for node in graph:
            x, y = places.x[node.id], places.y[layers.row[node.id]]
            inside = box.left < x - 50 and x + 50 < box.right and box.top < y and y + NODE_HEIGHT < box.bottom
            outside = x + 50 < box.left or box.right < x - 50 or y + NODE_HEIGHT < box.top or box.bottom < y
            assert inside if node.id in members[box.scope] else outside
    for a, b in itertools.combinations(places.boxes, 2):
        assert a.right < b.left or b.right < a.left or a.bottom < b.top or b.bottom < a.top


# Layout ---------------------------------------------------------------------------------------------------------------


def test_rows_go_down_and_lines_join_neighbouring_rows(graph: Graph) -> None:
    layers = layered(graph)
    for node in graph:
        for operand in node.inputs:
            route = layers.routes[operand, node.id]
            assert (route[0], route[-1]) == (operand, node.id)
            assert all(map(is_waypoint, route[1:-1]))
            assert [layers.row[item] for item in route] == list(range(layers.row[operand], layers.row[node.id] + 1))
    placed = [item for band in layers.bands for column in band.columns for item in column.items]
    assert sorted(placed) == sorted(layers.row)


def test_ordering_saves_crossings_and_loses_nothing(graph: Graph) -> None:
    layers = layered(graph)
    before, items = total_crossings(layers), sorted(layers.row)
    reduce_crossings(layers, dict.fromkeys(layers.row, 50.0))
    assert total_crossings(layers) <= before
    assert sorted(item for band in layers.bands for column in band.columns for item in column.items) == items


def test_ordering_pays() -> None:
    layers = layered(lowered(1, blocks=7))
    before = total_crossings(layers)
    reduce_crossings(layers, dict.fromkeys(layers.row, 50.0))
    assert total_crossings(layers) < 0.7 * before


def test_crossings_are_counted_as_pairs_of_lines_that_cross() -> None:
    layers = layered(lowered(2))
    place = {}
    for band in layers.bands:
        for row in range(band.first, band.last + 1):
            row_items = [item for column in band.columns for item in column.rows.get(row, [])]
            place.update({item: index for index, item in enumerate(row_items)})
    lines = [(layers.row[a], place[a], place[b]) for a in layers.row for b in layers.below[a]]
    pairs = itertools.combinations(lines, 2)
    assert total_crossings(layers) == sum(p[0] == q[0] and (p[1] - q[1]) * (p[2] - q[2]) < 0 for p, q in pairs)


def test_an_order_without_crossings_is_found() -> None:
    b = GraphBuilder("two_chains")
    x, y = b.input("x", TensorType((2,))), b.input("y", TensorType((2,)))
    left, right = b.add("relu", [x], id="left"), b.add("relu", [y], id="right")
    layers = layered(b.finish(b.add("add", [left, right], id="end")))
    layers.bands[1].columns.reverse()
    assert total_crossings(layers) == 1
    reduce_crossings(layers, dict.fromkeys(layers.row, 50.0))
    assert total_crossings(layers) == 0


def test_a_chain_is_straight() -> None:
    """Residual lines pass beside a chain of nodes, which stays upright."""
    layers = layered(Expand().apply(preset("criteo-full")))
    width = {item: 0.0 if is_waypoint(item) else 120.0 + len(item) for item in layers.row}
    reduce_crossings(layers, width)
    x = placed_columns(layers, width)
    chain = ["b0.attn", "b0.attn.mix"]
    chain += [f"b0.attn.mix.{step}" for step in ("qkv", "out", "add1", "norm1", "fc1", "fc2")]
    assert len({round(x[step], 6) for step in chain}) == 1


def test_items_of_a_row_keep_their_distance(graph: Graph) -> None:
    layers = layered(graph)
    width = {item: 0.0 if is_waypoint(item) else 90.0 + 3 * len(item) for item in layers.row}
    reduce_crossings(layers, width)
    x = placed_columns(layers, width)
    for a, b in neighbours(layers):
        assert x[b] - x[a] >= (width[a] + width[b]) / 2 + 8.9


def neighbours(layers: Layers) -> list[tuple[str, str]]:
    rows = [
        [item for column in band.columns for item in column.rows.get(row, [])]
        for band in layers.bands
        for row in range(band.first, band.last + 1)
    ]
    return [pair for row in rows for pair in itertools.pairwise(row)]


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.floats(0.1, 10), st.floats(0, 30)),
        min_size=1,
        max_size=7,
    )
)
def test_separated_places_are_the_nearest_ones(things: list[tuple[float, float, float]]) -> None:
    wishes, weights, distances = (list(column) for column in zip(*things, strict=True))
    found = separated(wishes, weights, distances[1:])
    gaps = [b - a - gap for (a, b), gap in zip(itertools.pairwise(found), distances[1:], strict=True)]
    assert all(gap >= -1e-9 for gap in gaps)
    # Optimal: what touches cannot gain by moving together, in any leading or trailing part of a group.
    starts = [0, *(i + 1 for i, gap in enumerate(gaps) if gap > 1e-9), len(found)]
    for low, high in itertools.pairwise(starts):
        pull = [w * (wish - at) for wish, w, at in zip(wishes, weights, found, strict=True)][low:high]
        assert abs(sum(pull)) < 1e-6
        assert all(part > -1e-6 for part in itertools.accumulate(pull))


def test_titles_stand_where_no_line_passes() -> None:
    box = Box("b0", 0.0, 100.0, 200.0, 300.0)
    upright = Curve(50.0, 80.0, 50.0, 126.0, arrow=True)
    passing = Curve(120.0, 20.0, 120.0, 60.0, arrow=False)  # ends at a waypoint, and goes on to 96
    room = free_room(box, 106.0, 119.0, [upright, passing])
    assert room == [(12.0, 46.0), (54.0, 188.0)]
    assert first_fit(room, 30) == 12.0 and first_fit(room, 40) == 54.0 and first_fit(room, 140) is None


@pytest.mark.parametrize("y", [10.0, 17.5, 31.0, 49.0])
def test_a_curve_knows_where_it_is(y: float) -> None:
    """Against the cubic that SVG draws, sampled finely."""
    curve = Curve(0.0, 10.0, 80.0, 50.0, arrow=True)
    assert curve.path == "M0 10C0 30 80 30 80 50"
    t = np.linspace(0, 1, 100001)
    xs = 3 * (1 - t) * t**2 * 80 + t**3 * 80
    ys = (1 - t) ** 3 * 10 + 3 * (1 - t) ** 2 * t * 30 + 3 * (1 - t) * t**2 * 30 + t**3 * 50
    assert curve.at(y) == pytest.approx(np.interp(y, ys, xs), abs=0.01)


# Text formats ---------------------------------------------------------------------------------------------------------

DOT_STRING = r'"(?:[^"\\]|\\.)*"'


def test_dot_has_every_node_edge_and_cluster_once(graph: Graph) -> None:
    text = dot(graph)
    nodes = re.findall(rf"^ +({DOT_STRING}) \[label=", text, re.MULTILINE)
    assert sorted(nodes) == sorted(f'"{node.id}"' for node in graph)
    edges = re.findall(rf"^ +({DOT_STRING}) -> ({DOT_STRING});$", text, re.MULTILINE)
    assert edges == [(f'"{operand}"', f'"{node.id}"') for node in graph for operand in node.inputs]
    assert len(re.findall(r"^  subgraph cluster_\d+ \{$", text, re.MULTILINE)) == len(clusters(graph))
    bare = re.sub(DOT_STRING, "", text)
    assert bare.count("{") == bare.count("}") == 1 + len(clusters(graph))
    assert bare.count("[") == bare.count("]")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it(graph: Graph, tmp_path: Path) -> None:
    source = tmp_path / "graph.dot"
    source.write_text(dot(graph), encoding="utf-8")
    result = subprocess.run(["dot", "-Tsvg", str(source)], capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr.strip()
    drawn = [e for e in ElementTree.fromstring(result.stdout).iter(f"{SVG}g") if e.attrib.get("class") == "node"]
    assert len(drawn) == len(graph)


def test_mermaid_has_every_node_edge_and_subgraph_once(graph: Graph) -> None:
    text = mermaid(graph)
    assert text.startswith("flowchart TD\n")
    nodes = re.findall(r'^ +(n\d+)\(?\[+"([^"]*)"\]+\)?:::(\w+)$', text, re.MULTILINE)
    assert sorted(int(name[1:]) for name, _, _ in nodes) == list(range(len(graph)))
    ids = {name: label.split("<br/>")[0] for name, label, _ in nodes}
    edges = re.findall(r"^  (n\d+) --> (n\d+)$", text, re.MULTILINE)
    expected = [(operand, node.id) for node in graph for operand in node.inputs]
    assert [(ids[a], ids[b]) for a, b in edges] == expected
    assert text.count("\n  subgraph ") == text.count("\n  end\n") == len(clusters(graph))
    assert {home for _, _, home in nodes} <= set(re.findall(r"classDef (\w+) ", text))


def test_texts_mark_what_does_not_reach_the_output() -> None:
    dead = with_dead_blocks()
    count = len(dead) - len(dead.live_ids())
    assert dot(dead).count('style="rounded,filled,dashed"') == count > 0
    assert mermaid(dead).count("stroke-dasharray") == count


# All formats ----------------------------------------------------------------------------------------------------------


def test_equal_graphs_give_equal_text() -> None:
    for draw in (svg, dot, mermaid):
        assert draw(preset("kdd-full")) == draw(preset("kdd-full"))


def test_text_does_not_depend_on_the_process() -> None:
    """Not on the seed of string hashes either."""
    code = (
        "import sys; from nasrec import baselines, FeatureSpec; from nasrec_ir.draw import svg, dot, mermaid;"
        "g = baselines.build('xdeepfm', FeatureSpec(4, (7,) * 5, 8)); sys.stdout.write(svg(g) + dot(g) + mermaid(g))"
    )
    path = ":".join(entry for entry in sys.path if entry)
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": path, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    graph = baselines.build("xdeepfm", FEATURES)
    assert outputs == {svg(graph) + dot(graph) + mermaid(graph)}


@pytest.mark.parametrize("draw", [svg, dot, mermaid])
def test_hostile_ids_and_names_are_refused(draw: object) -> None:
    """They never reach a drawing: no graph with them verifies."""
    node = Node(HOSTILE, "input", (), (), (), TensorType((1,)))
    for graph in (Graph("g", [node], HOSTILE), Graph(HOSTILE, argument_only().nodes, "dense")):
        with pytest.raises(VerifyError, match="not an identifier"):
            draw(graph)  # type: ignore[operator]


def test_hostile_parameter_names_are_escaped() -> None:
    """Names of parameters may be any printable text; they show when one hovers over a node."""
    card = cards(svg(hostile_parameter()))["logit"]
    assert HOSTILE in str(next(card.iter(f"{SVG}title")).text)
    text = dot(hostile_parameter())
    strings = [s[1:-1] for s in re.findall(DOT_STRING, text)]
    assert any("evil" in re.sub(r"\\(.)", r"\1", s) for s in strings)
    assert "evil" not in re.sub(DOT_STRING, "", text)
    assert "evil" not in mermaid(hostile_parameter())


@example("\\")
@example('a\\"; evil')
@example('"')
@example("</title>\n#quot;")
@given(st.text(max_size=30))
def test_quoting_cannot_be_left(text: str) -> None:
    quoted = f'"{_dot_text(text)}"'
    assert re.fullmatch(DOT_STRING, quoted)
    assert '"' not in _mermaid_text(text) and "<" not in _mermaid_text(text) and "\n" not in _mermaid_text(text)


@pytest.mark.parametrize("draw", [svg, dot, mermaid])
def test_a_malformed_graph_is_refused(draw: object) -> None:
    node = Node("y", "relu", ("gone",), (), (), TensorType((1,)))
    with pytest.raises(VerifyError, match="gone"):
        draw(Graph("g", [node], "y"))  # type: ignore[operator]


def test_scopes_that_reach_around_each_other_get_no_box_in_the_picture() -> None:
    graph = crossing_scopes()
    assert set(clusters(graph)) == {"a", "b"}
    assert acyclic_clusters(graph) == {}


def test_a_node_between_nodes_of_one_box_belongs_into_it() -> None:
    """Passes make nodes of no scope; they must not cost a block its box."""
    b = GraphBuilder("between")
    x = b.add("relu", [b.input("dense", TensorType((3,)))], id="b0.first")
    y = b.add("pad", [x], id="pad", size=5)
    z = b.add("pad", [x], id="pad", size=6)
    end = b.add("linear", [b.add("relu", [y], id="b0.second"), z], id="final", out=1)
    assert acyclic_clusters(b.finish(end)) == {"b0": ("b0.first", "pad", "b0.second")}


def test_a_block_of_one_node_has_a_box() -> None:
    assert clusters(quantised()) == {"b0": ("b0.fc",)}
    assert "b2" in clusters(preset("kdd-full"))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"), (999, "999"), (1000, "1.00k"), (9994, "9.99k"), (9996, "10.0k"), (99_960, "100k"), (486_032, "486k"),
        (999_400, "999k"), (999_600, "1.00M"), (1_448_000, "1.45M"), (12_345_678_900, "12.3G"),
    ],
)  # fmt: skip
def test_short_counts(count: int, text: str) -> None:
    assert short(count) == text


@pytest.mark.slow
def test_large_graphs_take_seconds() -> None:
    """24 blocks, several thousand waypoints."""
    graph = lowered(0, blocks=24)
    assert len(cards(svg(graph))) == len(graph) > 500
