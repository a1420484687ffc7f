"""Where everything of a genotype's picture stands: blocks above each other, cards of operators in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasrec.draw.lanes import Reading
from nasrec.genotype import DENSE_OPERATORS, READS, Block, Genotype
from nasrec_ir.draw.letters import text_width

__all__ = ["INPUTS", "NAMES", "SIDES", "Plan", "branch_of", "sources", "width_text"]

SIDES = ("dense", "sparse")
NAMES = {
    "fc": "FC",
    "dot_product": "dot-product",
    "sigmoid_gating": "sigmoid gating",
    "sum": "sum",
    "attention": "attention",
    "efc": "embedded FC",
}
INPUTS = {"dense_inputs": "dense", "sparse_inputs": "sparse", "left_inputs": "left", "right_inputs": "right"}

PAD, GAP, MIDDLE = 9.0, 18.0, 92.0
TITLE, NAME, PORT, CARD_GAP = 21.0, 17.0, 14.0, 5.0
CLEARANCE = 10.0
ROOT, LOGIT = 34.0, 26.0
SMALL, PLAIN = 10.0, 11.5
ARROW_ROOM = 6.0


@dataclass(frozen=True)
class Card:
    """An operator: where it stands in its block, and the ports by which it reads."""

    operator: str
    top: float
    height: float
    ports: Mapping[str, float]


@dataclass(frozen=True)
class BlockPlan:
    """A block's inner measures, from its upper edge."""

    height: float
    dense: tuple[Card, ...]
    sparse: tuple[Card, ...]
    bottoms: Mapping[str, float]
    note: str


class Plan:
    """Where everything of a genotype stands, from the upper left corner of the chain of blocks."""

    def __init__(self, genotype: Genotype) -> None:
        self.genotype, self.live = genotype, genotype.live_outputs()
        self.shapes = [_shape(block) for block in genotype.blocks]
        self.region = max(166.0, *(_needed(block) for block in genotype.blocks))
        self.width = 2 * self.region + MIDDLE + 2 * PAD
        y = LOGIT + GAP + 4
        tops = []
        for shape in reversed(self.shapes):
            tops.append(y)
            y += shape.height + GAP
        self.tops = tops[::-1]
        self.root = y + 2
        self.height = self.root + ROOT

    def outputs(self, side: str) -> list[float]:
        """The height at which each output leaves; 0 is the raw input."""
        return [self.root + ROOT / 2, *(top + PAD + TITLE / 2 for top in self.tops)]

    def readings(self, side: str) -> list[Reading]:
        """What reads outputs of this branch, from below upwards; the logit is the last."""
        found = []
        for index, (block, shape) in enumerate(zip(self.genotype.blocks, self.shapes, strict=True)):
            for card in (*shape.dense, *shape.sparse):
                live = (branch_of(card.operator), index + 1) in self.live
                for name, y in card.ports.items():
                    if (name == "sparse_inputs") == (side == "sparse"):
                        port = f"b{index}.{card.operator}.{INPUTS[name]}"
                        found.append(Reading(port, self.tops[index] + y, getattr(block, name), live))
        found.append(Reading(f"logit.{side}", LOGIT / 2, (len(self.shapes),), True))
        return found


def _shape(block: Block) -> BlockPlan:
    """Cards below each other; the dot-product comes last, as its sparse inputs pass below the sparse branch."""
    sparse, sparse_bottom = _cards(block.sparse_operators, PAD + TITLE, 0.0)
    ordered = sorted(block.dense_operators, key=lambda name: name == "dot_product")
    dense, dense_bottom = _cards(ordered, PAD + TITLE, sparse_bottom + CLEARANCE)
    unread = set(INPUTS) - {name for operator in block.operators for name in READS[operator]}
    note = "; ".join(f"{INPUTS[name]}: {sources(getattr(block, name))}" for name in INPUTS if name in unread)
    least = PAD + 62.0 if block.fm and block.dense_to_sparse else 0.0
    height = max(dense_bottom, sparse_bottom, least) + PAD + (11.0 if note else 0.0)
    return BlockPlan(height, dense, sparse, {"dense": dense_bottom, "sparse": sparse_bottom}, note)


def _cards(operators: Sequence[str], top: float, below: float) -> tuple[tuple[Card, ...], float]:
    """Cards from `top` on; a sparse port on the dense side lies at `below` at least. Also where they end."""
    cards = []
    for operator in operators:
        y, ports = top + NAME, {}
        for name in READS[operator]:
            if name == "sparse_inputs" and operator in DENSE_OPERATORS:
                y = max(y, below - PORT / 2)
            ports[name] = y + PORT / 2
            y += PORT
        cards.append(Card(operator, top, y + 3 - top, ports))
        top = y + 3 + CARD_GAP
    return tuple(cards), top


def _needed(block: Block) -> float:
    lines = [
        text_width(f"{INPUTS[name]}: {sources(getattr(block, name))}", SMALL)
        for operator in block.operators
        for name in READS[operator]
    ]
    titles = [text_width(width_text(block, side), PLAIN, bold=True) + 12 for side in SIDES]
    return max(*lines, *titles) + 2 * ARROW_ROOM + 22


def sources(indices: tuple[int, ...]) -> str:
    """Inputs in words, runs of blocks short: `raw, b0, b2–b5`."""
    words, rest = [], [i - 1 for i in indices]
    while rest:
        run = 1
        while run < len(rest) and rest[0] >= 0 and rest[run] == rest[0] + run:
            run += 1
        first, run = rest[0], run if run > 2 else 1
        words.append("raw" if first < 0 else f"b{first}" + (f"–b{first + run - 1}" if run > 1 else ""))
        rest = rest[run:]
    return ", ".join(words)


def width_text(block: Block, side: str) -> str:
    return f"dense · {block.dense_width} units" if side == "dense" else f"sparse · {block.sparse_width} fields"


def branch_of(operator: str) -> str:
    return "dense" if operator in DENSE_OPERATORS else "sparse"
