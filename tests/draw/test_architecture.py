"""The drawing of a genotype: everything is in it, what is dead is faint, equal genotypes give equal text."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nasrec
from nasrec import Block, Genotype, SearchSpace, presets
from nasrec.draw import scene_of
from nasrec.draw.architecture import DENSE, SPARSE
from nasrec.draw.lanes import Reading, lanes_of
from nasrec.draw.plan import INPUTS, NAMES, sources
from nasrec.draw.scene import Rectangle, Text
from nasrec.errors import GenotypeError
from nasrec.genotype import DENSE_OPERATORS, READS
from nasrec_ir.draw.letters import text_width

Tree = ElementTree.Element


def tree_of(genotype: Genotype) -> Tree:
    return ElementTree.fromstring(nasrec.draw_architecture(genotype))


def marked(tree: Tree, name: str) -> dict[str, str]:
    """What bears a mark, with whether it is live."""
    found = [node for node in tree.iter() if f"data-{name}" in node.attrib]
    assert len({node.attrib[f"data-{name}"] for node in found}) == len(found)
    return {node.attrib[f"data-{name}"]: node.attrib["data-live"] for node in found}


def connections(genotype: Genotype) -> dict[str, str]:
    """Every source that an operator reads, from the genotype alone."""
    live, found = genotype.live_outputs(), {}
    for index, block in enumerate(genotype.blocks):
        for operator in block.operators:
            reaches = (("dense" if operator in DENSE_OPERATORS else "sparse"), index + 1) in live
            for name in READS[operator]:
                for source in getattr(block, name):
                    side = "sparse" if name == "sparse_inputs" else "dense"
                    word = f"b{source - 1}" if source else "raw"
                    port = f"{word}.{side}>b{index}.{operator}.{INPUTS[name]}"
                    found[port] = "true" if reaches else "false"
    last = f"b{len(genotype.blocks) - 1}"
    return found | {f"{last}.{side}>logit.{side}": "true" for side in ("dense", "sparse")}


def random_genotypes() -> list[Genotype]:
    rng = np.random.default_rng(0)
    return [SearchSpace.full(int(count)).sample(rng) for count in rng.integers(1, 9, size=6)]


@pytest.mark.parametrize("genotype", [presets.load(name) for name in presets.PRESETS] + random_genotypes())
def test_every_block_operator_and_connection_is_there(genotype: Genotype) -> None:
    tree = tree_of(genotype)
    live = genotype.live_blocks()
    assert marked(tree, "block") == {f"b{i}": str(i in live).lower() for i in range(len(genotype.blocks))}
    assert marked(tree, "connection") == connections(genotype)
    for group in tree:
        if "data-block" in group.attrib:
            block = genotype.blocks[int(group.attrib["data-block"][1:])]
            words = [node.text or "" for node in group if node.tag.endswith("text")]
            assert {NAMES[name] for name in block.operators} <= set(words)
            assert f"dense · {block.dense_width} units" in words
            assert f"sparse · {block.sparse_width} fields" in words
            assert ("FM" in words, "+8 fields" in words) == (block.fm, block.dense_to_sparse)
            assert all(any(sources(getattr(block, name)) in word for word in words) for name in INPUTS)


def test_what_is_dead_is_faint() -> None:
    """In kdd-small the sparse branch of b5 is dead, its dense branch is live: each has the colours of its own state."""
    tree = tree_of(presets.load("kdd-small"))
    group = next(node for node in tree if node.attrib.get("data-block") == "b5")
    strokes = {node.attrib["stroke"] for node in group if node.tag.endswith("rect")}
    assert {DENSE.line, SPARSE.pale_line} <= strokes and not {DENSE.pale_line, SPARSE.line} & strokes
    dots = {n.attrib["data-connection"]: n.attrib["fill"] for n in tree.iter() if "data-connection" in n.attrib}
    assert dots["b4.sparse>b5.efc.sparse"] == SPARSE.pale_line
    assert dots["b4.sparse>b5.dot_product.sparse"] == SPARSE.line


def test_an_output_that_is_read_by_dead_operators_alone_has_a_faint_lane() -> None:
    block = Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, False)
    dead = replace(block, dense_inputs=(1,), sparse_inputs=(1,))
    genotype = Genotype((block, dead, replace(block, dense_inputs=(0,), sparse_inputs=(0,))))
    lanes = marked(tree_of(genotype), "lane")
    assert lanes["b0.dense"] == "false" and lanes["raw.dense"] == "true"
    assert "b1.dense" not in lanes  # read by nothing at all
    assert genotype.live_outputs() == {("dense", 3), ("sparse", 3), ("dense", 0), ("sparse", 0)}


def test_it_is_deterministic_and_several_fit_into_one_page() -> None:
    genotype = presets.load("criteo-full")
    text = nasrec.draw_architecture(genotype)
    assert text == nasrec.draw_architecture(Genotype.from_dict(genotype.to_dict()))
    assert not re.search(r"\bid=|url\(|href", text)


@pytest.mark.parametrize("genotype", [presets.load(name) for name in presets.PRESETS] + random_genotypes())
def test_everything_stands_on_the_page_and_no_texts_overlap(genotype: Genotype) -> None:
    scene = scene_of(genotype)
    spans = [span_of(shape) for group in scene.groups for shape in group.shapes if isinstance(shape, Text)]
    for left, right, top, bottom in spans:
        assert left >= 0 and right <= scene.width and top >= 0 and bottom <= scene.height
    for one, two in itertools.combinations(spans, 2):
        beside = one[1] <= two[0] or two[1] <= one[0]
        assert beside or one[3] <= two[2] or two[3] <= one[2], (one, two)
    for shape in (shape for group in scene.groups for shape in group.shapes if isinstance(shape, Rectangle)):
        assert shape.x >= 0 and shape.x + shape.width <= scene.width and shape.y + shape.height <= scene.height


def span_of(text: Text) -> tuple[float, float, float, float]:
    """Left, right, top and bottom, with an upper estimate of the width."""
    width = text_width(text.text, text.size, bold=text.bold)
    left = text.x - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return left, left + width, text.y - 0.8 * text.size, text.y + 0.1 * text.size


def test_names_and_bits_are_text() -> None:
    block = Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), False, True, (4, 8))
    text = nasrec.draw_architecture(Genotype((block,), name="a <b> & c", layer_norm=False))
    assert "a &lt;b&gt; &amp; c" in text and "4 bit" in text and "8 bit" in text and "no layer norm" in text


def test_the_picture_of_the_readme_is_this_one() -> None:
    """`nasrec inspect criteo-full --view architecture -o docs/criteo-full.svg` makes it anew."""
    path = Path(__file__).parents[2] / "docs" / "criteo-full.svg"
    assert path.read_text(encoding="utf-8") == nasrec.draw_architecture(presets.load("criteo-full"))


def test_as_png() -> None:
    assert scene_of(presets.load("criteo-small")).png(0.5).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("indices", "words"),
    [((0,), "raw"), ((0, 1, 2), "raw, b0, b1"), ((0, 1, 2, 3, 5), "raw, b0–b2, b4"), ((2, 4, 5), "b1, b3, b4")],
)
def test_sources_in_words(indices: tuple[int, ...], words: str) -> None:
    assert sources(indices) == words


def test_lanes_of_one_column_do_not_overlap() -> None:
    readings = [Reading("a", 80, (0,), True), Reading("b", 50, (0, 1), False), Reading("c", 10, (2,), True)]
    found = {lane.source: lane for lane in lanes_of([100, 75, 40], readings)}
    assert found[0].column != found[1].column  # 100 to 50 and 75 to 50
    assert found[0].live_top == 80 and found[1].live_top is None
    assert found[2].column == found[1].column == 0


def test_it_takes_genotypes_only() -> None:
    with pytest.raises(GenotypeError, match=r"Genotype\.load reads a file"):
        nasrec.draw_architecture("criteo-full")  # type: ignore[arg-type]
