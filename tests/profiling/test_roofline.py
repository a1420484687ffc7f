"""The roofline picture: both forms, every node a dot, labels that do not cover each other."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

import nasrec
from nasrec import FeatureSpec, baselines
from nasrec.errors import ProfileError
from nasrec.profiling import Profile, profile_graph, roofline
from nasrec.profiling.labels import Box, Spot, place


@pytest.fixture(scope="module")
def found() -> Profile:
    features = FeatureSpec(3, [11, 7, 5, 9])
    graph = nasrec.graph_of(nasrec.presets.load("criteo-full"), features)
    return profile_graph(graph, features, batch=4, rounds=1, backends=())


def test_svg_shows_roofs_and_names(found: Profile) -> None:
    content = roofline(found, "svg", title="little & co: forward", machine="an <abacus>")
    root = ElementTree.fromstring(content)
    assert root.tag.endswith("svg")
    text = content.decode()
    assert "little &amp; co: forward" in text and "an &lt;abacus&gt;" in text
    assert f"matrix products {found.peaks.gemm_gflops:.0f} GFLOP/s" in text
    largest = max((node for node in found.nodes if node.intensity), key=lambda node: node.seconds)
    assert f"<!-- {largest.id} " in text or f">{largest.id} " in text
    assert content == roofline(found, "svg", title="little & co: forward", machine="an <abacus>")


def test_every_node_that_does_something_is_a_dot(found: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[int] = []
    scatter = Axes.scatter

    def counting(self: Axes, x: list[float], *rest: object, **options: object) -> object:
        drawn.append(len(x))
        return scatter(self, x, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "scatter", counting)
    roofline(found, "png", title="t", machine="m")
    assert sum(drawn) == sum(node.gb_s is not None for node in found.nodes)


def test_an_op_that_nobody_foresaw_is_drawn(found: Profile) -> None:
    nodes = tuple(replace(node, op="fused_something") if node.op == "linear" else node for node in found.nodes)
    assert b"fused_something" in roofline(replace(found, nodes=nodes), "svg", title="t", machine="m")


def test_png(found: Profile) -> None:
    assert roofline(found, "png", title="t", machine="m").startswith(b"\x89PNG\r\n")


def test_unknown_form(found: Profile) -> None:
    with pytest.raises(ProfileError, match="svg or png, not 'gif'"):
        roofline(found, "gif", title="t", machine="m")


def test_a_graph_without_movers_or_hardly_any_node(features: FeatureSpec) -> None:
    found = profile_graph(baselines.build("logistic_regression", features), features, batch=2, rounds=1, backends=())
    for nodes in (found.nodes, found.nodes[:1], ()):
        assert roofline(replace(found, nodes=tuple(nodes)), "png", title="t", machine="m")


def test_labels_keep_apart() -> None:
    frame = Box(0, 0, 600, 400)
    spots = [Spot(100 + 12 * i, 200 + 3 * (i % 2), 6, "label") for i in range(8)]
    boxes = place(spots, [(50.0, 12.0)] * 8, frame)
    assert len(boxes) == 8
    for one, two in itertools.combinations(boxes, 2):
        assert one.overlap(two) == 0
    for box in boxes:
        assert box.overlap(frame) == pytest.approx(box.area)


def test_labels_stay_inside_and_near() -> None:
    frame = Box(0, 0, 600, 400)
    alone, corner = place([Spot(300, 200, 10, "a"), Spot(598, 398, 4, "b")], [(40.0, 10.0)] * 2, frame)
    assert alone.x0 == pytest.approx(313) and alone.y0 == pytest.approx(195)  # to the right of the dot
    assert corner.x1 <= 600 and corner.y1 <= 400
    assert Box(0, 0, 2, 2).overlap(Box(1, 1, 3, 5)) == 1
    assert Box(0, 0, 2, 2).overlap(Box(2, 0, 3, 2)) == 0
