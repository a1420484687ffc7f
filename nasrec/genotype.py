"""A genotype: which operators, widths and connections a model has, and the JSON form it is kept in."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nasrec.checks import format_path, format_value, integer, integers
from nasrec.errors import GenotypeError
from nasrec.io.atomic import write_text
from nasrec.io.json import read_json

__all__ = [
    "DENSE_OPERATORS",
    "OPERATORS",
    "READS",
    "SPACE_OPERATORS",
    "SPARSE_OPERATORS",
    "Block",
    "Genotype",
    "smallest_space",
]

DENSE_OPERATORS = ("fc", "dot_product", "sigmoid_gating", "sum")
SPARSE_OPERATORS = ("attention", "efc")
OPERATORS = DENSE_OPERATORS + SPARSE_OPERATORS
"""The building operators of the paper (section 3.1) in canonical order; dense ones give units, sparse ones fields."""

READS = {
    "fc": ("dense_inputs",),
    "dot_product": ("dense_inputs", "sparse_inputs"),
    "sigmoid_gating": ("left_inputs", "right_inputs"),
    "sum": ("left_inputs", "right_inputs"),
    "attention": ("sparse_inputs",),
    "efc": ("sparse_inputs",),
}
"""The inputs that each operator reads, in order."""

INPUTS = ("dense_inputs", "sparse_inputs", "left_inputs", "right_inputs")
MERGERS = ("dense_to_sparse", "fm")

SPACE_OPERATORS = {"small": ("fc", "dot_product", "efc"), "full": OPERATORS}
"""Operators of the two published spaces, NASRec-Small and NASRec-Full (section 5.1)."""

MAX_BLOCKS = 64
MAX_DENSE_WIDTH = 1 << 16
MAX_SPARSE_WIDTH = 1 << 12
MIN_BITS, MAX_BITS = 2, 16
MAX_NAME_LENGTH = 120
"""Bounds well above the paper's (7 blocks, 1024 units, 64 fields), so that a short file cannot ask for a model that no
machine holds; connections, and with them time and memory, grow with the square of the number of blocks."""

PRECISIONS = ("operator_bits", "activation_bits")

FORMAT, VERSION = "nasrec-genotype", 2
"""Version 2 has `activation_bits`; a genotype without them is written as version 1, which older programs read."""

DESIGN_FORMAT = "nasrec-design"
"""Of files that hold a genotype and the hardware for it, see `nasrec.codesign.Design`."""


Precision = tuple[int | None, int | None]
"""Bits of weights and of activations, None for float."""


@dataclass(frozen=True)
class Block:
    """One choice block (paper section 3.1).

    Inputs are indices: 0 is the raw features, k the output of block k-1. Operators and inputs may be given in any
    order; they are kept in canonical and in ascending order. All four inputs are kept, whichever operators are active.

    Attributes:
        operators: names out of `OPERATORS`, none twice, at least one dense and one sparse.
        dense_width: D, units of the dense output.
        sparse_width: S, fields of the sparse output before those that the dense-to-sparse merger adds.
        dense_inputs: what FC and dot-product read.
        sparse_inputs: what dot-product, attention and EFC read.
        left_inputs: the sigmoid's side of gating, and one side of sum.
        right_inputs: the other side of gating and sum.
        dense_to_sparse: whether the dense output is merged into the sparse output.
        fm: whether a factorization machine over the sparse output is added to the dense output.
        operator_bits: weight precision of each operator in bits, 2 to 16, in the order of `operators`; empty for
            float.
        activation_bits: the same of what each operator's stored matrices are multiplied with. The products between
            activations of dot-product, attention and factorization machine stay float, as in the paper.

    Raises:
        GenotypeError: a field has a wrong type or is out of range; the message names it.
    """

    operators: tuple[str, ...]
    dense_width: int
    sparse_width: int
    dense_inputs: tuple[int, ...]
    sparse_inputs: tuple[int, ...]
    left_inputs: tuple[int, ...]
    right_inputs: tuple[int, ...]
    dense_to_sparse: bool
    fm: bool
    operator_bits: tuple[int, ...] = ()
    activation_bits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        given = self.operators
        self._keep("operators", _operators(given))
        for name, bound in (("dense_width", MAX_DENSE_WIDTH), ("sparse_width", MAX_SPARSE_WIDTH)):
            self._keep(name, _integer(name, getattr(self, name), 1, bound))
        for name in INPUTS:
            self._keep(name, _inputs(name, getattr(self, name)))
        for name in MERGERS:
            _boolean(name, getattr(self, name))
        for name in PRECISIONS:
            bits = _bits(name, getattr(self, name), len(self.operators))
            if bits:  # each goes with its operator into canonical order
                by_operator = dict(zip(given, bits, strict=True))
                bits = tuple(by_operator[operator] for operator in self.operators)
            self._keep(name, bits)

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def precisions(self) -> dict[str, Precision]:
        """Weight and activation bits of each operator, None for float."""
        floats = (None,) * len(self.operators)
        pairs = zip(self.operator_bits or floats, self.activation_bits or floats, strict=True)
        return dict(zip(self.operators, pairs, strict=True))

    @property
    def dense_operators(self) -> tuple[str, ...]:
        """The operators that make the dense output."""
        return tuple(name for name in self.operators if name in DENSE_OPERATORS)

    @property
    def sparse_operators(self) -> tuple[str, ...]:
        """The operators that make the sparse output."""
        return tuple(name for name in self.operators if name in SPARSE_OPERATORS)


@dataclass(frozen=True)
class Genotype:
    """A chain of choice blocks, and whether their operators normalise.

    Attributes:
        blocks: 1 to 64 blocks; block b (from 0) may read inputs 0 to b.
        layer_norm: whether the operators apply layer normalisation.
        name: a label for people, one printable line of at most 120 characters; not compared.
        space: the published space it was written for, "small" or "full", or "" where unknown; the release numbers
            operators by it. Not compared.
        balanced_dot: whether the dot-product projects its fields to about sqrt(2 D) rows first (operator-balanced,
            section 4.2); without, all pairs of its input fields are taken.

    Raises:
        GenotypeError: a field has a wrong type or is out of range; the message names block and field.
    """

    blocks: tuple[Block, ...]
    layer_norm: bool = True
    name: str = field(default="", compare=False)
    space: str = field(default="", compare=False)
    balanced_dot: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.blocks, (list, tuple)) or not all(isinstance(b, Block) for b in self.blocks):
            raise GenotypeError(f"blocks must be a sequence of Block, not {format_value(self.blocks)}")
        _block_count(len(self.blocks))
        object.__setattr__(self, "blocks", tuple(self.blocks))
        for index, block in enumerate(self.blocks):
            for name in INPUTS:
                last = getattr(block, name)[-1]
                if last > index:
                    raise GenotypeError(
                        f"block {index}: {name} may name 0 (raw features) to {index} (the block before), not {last}"
                    )
        _boolean("layer_norm", self.layer_norm)
        _boolean("balanced_dot", self.balanced_dot)
        text = self.name
        if not isinstance(text, str) or len(text) > MAX_NAME_LENGTH or not text.isprintable():
            raise GenotypeError(
                f"name must be one line of at most {MAX_NAME_LENGTH} printable characters, not {format_value(text)}"
            )
        _space(self.space, self.blocks)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Genotype:
        """Reads the project's own JSON form.

        Raises:
            GenotypeError: the file cannot be read or is malformed; one line that names file, block and field.
        """
        value = read_json(path, GenotypeError)
        try:
            return cls.from_dict(value)
        except GenotypeError as failure:
            raise GenotypeError(f"{format_path(os.fspath(path))}: {failure}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON form, as a whole or not at all. GenotypeError if the file cannot be written."""
        write_text(path, _layout(self.to_dict()), GenotypeError)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form as plain dicts and lists, keys in a fixed order."""
        return {
            "format": FORMAT,
            "version": VERSION if any(block.activation_bits for block in self.blocks) else 1,
            "name": self.name,
            "space": self.space,
            "layer_norm": self.layer_norm,
            # Where absent it is true, so that files of the usual kind stay readable by older programs.
            **({} if self.balanced_dot else {"balanced_dot": False}),
            "blocks": [_block_to_dict(block) for block in self.blocks],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Genotype:
        """The way back from `to_dict`. `name`, `space`, `balanced_dot` and a block's precisions may be absent.

        Raises:
            GenotypeError: a key is unknown or missing, a value has a wrong type or is out of range.
        """
        _object("a genotype", value)
        if value.get("format") != FORMAT:
            found = format_value(value["format"]) if "format" in value else "absent"
            raise GenotypeError(f"format must be {FORMAT!r}, not {found}")
        version = _integer("version", value.get("version"), 1, 1 << 31)
        if version > VERSION:
            raise GenotypeError(
                f"version {version} is newer than this program, which reads up to {VERSION}; update nasrec"
            )
        _keys("a genotype", value, ("format", "version", "layer_norm", "blocks"), ("name", "space", "balanced_dot"))
        blocks = value["blocks"]
        if not isinstance(blocks, (list, tuple)):
            raise GenotypeError(f"blocks must be a list, not {format_value(blocks)}")
        _block_count(len(blocks))
        return cls(
            tuple(_block(index, block) for index, block in enumerate(blocks)),
            value["layer_norm"],
            value.get("name", ""),
            value.get("space", ""),
            value.get("balanced_dot", True),
        )

    def live_outputs(self) -> frozenset[tuple[str, int]]:
        """The outputs that information reaches the logit from, as ("dense" or "sparse", index as inputs count them).

        A block's two outputs are followed apart. The logit reads both of the last block. The dense output needs the
        inputs of the block's dense operators, and its sparse operators where the factorization machine is on; the
        sparse output needs the inputs of the sparse operators, and the dense operators where the dense-to-sparse
        merger is on. Inputs that no operator of the block reads do not count.
        """
        last = len(self.blocks)
        seen: set[tuple[str, int]] = set()
        todo = [("dense", last), ("sparse", last)]
        while todo:
            branch, index = todo.pop()
            if (branch, index) not in seen:
                seen.add((branch, index))
                todo.extend(_needs(self.blocks[index - 1], branch, index) if index else [])
        return frozenset(seen)

    def live_blocks(self) -> tuple[int, ...]:
        """Indices (from 0, ascending) of the blocks from which information reaches the logit, see `live_outputs`."""
        return tuple(sorted({index - 1 for _, index in self.live_outputs() if index}))


def _needs(block: Block, branch: str, index: int) -> list[tuple[str, int]]:
    """The outputs, as (branch, index), that one output of a block is made from."""
    operators = block.dense_operators if branch == "dense" else block.sparse_operators
    needs = [
        ("sparse" if name == "sparse_inputs" else "dense", i)
        for operator in operators
        for name in READS[operator]
        for i in getattr(block, name)
    ]
    if block.fm and branch == "dense":
        needs.append(("sparse", index))
    if block.dense_to_sparse and branch == "sparse":
        needs.append(("dense", index))
    return needs


def _block(index: int, value: object) -> Block:
    try:
        _object("a block", value)
        assert isinstance(value, Mapping)
        names = [f.name for f in fields(Block)]
        _keys("a block", value, [name for name in names if name not in PRECISIONS], PRECISIONS)
        return Block(**value)
    except GenotypeError as failure:
        raise GenotypeError(f"block {index}: {failure}") from None


def _object(what: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise GenotypeError(f"{what} must be an object, not {format_value(value)}")


def _keys(what: str, value: Mapping[Any, Any], required: Any, optional: Any) -> None:
    for key in required:
        if key not in value:
            raise GenotypeError(f"{what} lacks {key!r}")
    for key in value:
        if key not in required and key not in optional:
            raise GenotypeError(f"{what} has no {format_value(key)}; allowed: {', '.join((*required, *optional))}")


def _operators(names: Any) -> tuple[str, ...]:
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise GenotypeError(f"operators must be a list of names, not {format_value(names)}")
    for name in names:
        if name not in OPERATORS:
            raise GenotypeError(f"operators may name {', '.join(OPERATORS)}, not {format_value(name)}")
    ordered = tuple(name for name in OPERATORS if name in names)
    if len(ordered) != len(names):
        raise GenotypeError(f"operators must name none twice, not {format_value(names)}")
    for kind, members in (("dense", DENSE_OPERATORS), ("sparse", SPARSE_OPERATORS)):
        if not set(members) & set(ordered):
            raise GenotypeError(f"operators must hold at least one {kind} operator ({', '.join(members)})")
    return ordered


def _inputs(name: str, value: Any) -> tuple[int, ...]:
    found = integers(value)
    if not found or any(not 0 <= i < MAX_BLOCKS for i in found):
        raise GenotypeError(
            f"{name} must be a list of one or more integers from 0 to {MAX_BLOCKS - 1}, not {format_value(value)}"
        )
    if len(set(found)) != len(found):
        raise GenotypeError(f"{name} must name no input twice, not {format_value(value)}")
    return tuple(sorted(found))


def _bits(name: str, value: Any, count: int) -> tuple[int, ...]:
    found = integers(value)
    if found is None or any(not MIN_BITS <= bits <= MAX_BITS for bits in found):
        raise GenotypeError(
            f"{name} must be a list of integers from {MIN_BITS} to {MAX_BITS}, not {format_value(value)}"
        )
    if len(found) not in (0, count):
        raise GenotypeError(f"{name} must be empty or hold one entry per operator ({count}), not {len(found)}")
    return found


def _integer(name: str, value: Any, low: int, high: int) -> int:
    number = integer(value)
    if number is None or not low <= number <= high:
        raise GenotypeError(f"{name} must be an integer from {low} to {high}, not {format_value(value)}")
    return number


def _boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise GenotypeError(f"{name} must be true or false, not {format_value(value)}")


def _block_count(count: int) -> None:
    if not 1 <= count <= MAX_BLOCKS:
        raise GenotypeError(f"blocks must hold 1 to {MAX_BLOCKS} blocks, not {count}")


def _space(space: Any, blocks: tuple[Block, ...]) -> None:
    if not isinstance(space, str) or space not in ("", *SPACE_OPERATORS):
        raise GenotypeError(f"space must be {', '.join(map(repr, SPACE_OPERATORS))} or '', not {format_value(space)}")
    for index, block in enumerate(blocks if space else ()):
        for name in block.operators:
            if name not in SPACE_OPERATORS[space]:
                raise GenotypeError(f"block {index}: operators: the space {space!r} has no {name}")


def _block_to_dict(block: Block) -> dict[str, Any]:
    values = {f.name: getattr(block, f.name) for f in fields(Block)}
    for name in PRECISIONS:
        if not getattr(block, name):
            del values[name]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _layout(value: dict[str, Any]) -> str:
    """JSON with one line per field, lists of numbers on theirs, so that two genotypes compare line by line."""

    def text(item: Any) -> str:
        return json.dumps(item, ensure_ascii=False)

    def lines(item: Mapping[str, Any], indent: str) -> str:
        return ",\n".join(f"{indent}{text(key)}: {text(entry)}" for key, entry in item.items())

    head = {key: entry for key, entry in value.items() if key != "blocks"}
    blocks = ",\n".join(f"    {{\n{lines(block, '      ')}\n    }}" for block in value["blocks"])
    return f'{{\n{lines(head, "  ")},\n  "blocks": [\n{blocks}\n  ]\n}}\n'


def smallest_space(operators: Collection[str]) -> str:
    """The smallest published space that has all of these operators, "small" or "full"."""
    return next(name for name, members in SPACE_OPERATORS.items() if set(operators) <= set(members))
