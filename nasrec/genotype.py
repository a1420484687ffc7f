"""Genotypes: what the search decides about an architecture, block by block, as validated plain data.

A genotype says nothing of the data it is for; `FeatureSpec` does.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, NoReturn

from nasrec.errors import GenotypeError

__all__ = ["DENSE_OPERATORS", "OPERATORS", "SPARSE_OPERATORS", "Block", "Genotype", "read_json"]

DENSE_OPERATORS = ("fc", "dot_product", "sigmoid_gating", "sum")
SPARSE_OPERATORS = ("attention", "efc")
OPERATORS = DENSE_OPERATORS + SPARSE_OPERATORS
"""Building operators in canonical order (section 3.1): those with a dense result, those with a sparse one."""

# Bounds far above any published model: they turn a slip of the keyboard into an error instead of an allocation.
MAX_BLOCKS = 64
MAX_DENSE_WIDTH = 2**16
MAX_SPARSE_WIDTH = 4096
MAX_NAME = 120
MAX_FILE_BYTES = 16 * 2**20

FORMAT = "nasrec-genotype"
VERSION = 1
SPACES = ("", "small", "full")


@dataclass(frozen=True)
class Block:
    """One choice block.

    Attributes:
        operators: active operators in canonical order, at least one dense and one sparse.
        dense_width: units D of the dense output.
        sparse_width: fields S of the sparse output, before the merger's.
        dense_inputs: what `fc` and `dot_product` read: 0 the raw features, k the output of block k-1.
        sparse_inputs: what `dot_product`, `efc` and `attention` read.
        left_inputs: the sigmoid's side of `sigmoid_gating`, the left side of `sum`.
        right_inputs: their right side.
        dense_to_sparse: whether the dense output is also handed on as 8 fields (dense-to-sparse merger).
        fm: whether a factorization machine over the sparse output is added to the dense one.
        operator_bits: weight precision of each operator, in bits; empty for float.

    Inputs are kept ascending and unique. Every operator that could be switched on has its inputs, active or not.

    Raises:
        GenotypeError: a field is malformed; the message names it.
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

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen: set once, here)
        given = tuple(_sequence("operators", self.operators))
        for operator in given:
            if operator not in OPERATORS:
                _fail("operators", f"unknown operator {operator!r:.60}; known are {', '.join(OPERATORS)}")
        if len(set(given)) != len(given):
            _fail("operators", f"{list(given)} names one twice")
        put("operators", tuple(o for o in OPERATORS if o in given))
        for kind, members in (("dense", DENSE_OPERATORS), ("sparse", SPARSE_OPERATORS)):
            if not set(members) & set(given):
                _fail("operators", f"{list(given)} lacks a {kind} operator ({', '.join(members)})")
        put("dense_width", _integer("dense_width", self.dense_width, 1, MAX_DENSE_WIDTH))
        put("sparse_width", _integer("sparse_width", self.sparse_width, 1, MAX_SPARSE_WIDTH))
        for name in INPUTS:
            put(name, _inputs(name, getattr(self, name)))
        for name in ("dense_to_sparse", "fm"):
            if type(getattr(self, name)) is not bool:
                _fail(name, f"must be true or false, not {getattr(self, name)!r:.60}")
        bits = tuple(
            _integer(f"operator_bits[{i}]", b, 2, 16)
            for i, b in enumerate(_sequence("operator_bits", self.operator_bits))
        )
        if bits and len(bits) != len(given):
            _fail("operator_bits", f"{len(bits)} precisions for {len(given)} operators; give one each, or none")
        if bits:  # keep each with its operator when the order becomes canonical
            bits = tuple(dict(zip(given, bits, strict=True))[o] for o in self.operators)
        put("operator_bits", bits)


INPUTS = ("dense_inputs", "sparse_inputs", "left_inputs", "right_inputs")


@dataclass(frozen=True)
class Genotype:
    """An architecture: its blocks in order; the logit reads both outputs of the last one.

    Attributes:
        blocks: the choice blocks.
        layer_norm: whether operators normalise their results.
        name: for people; not compared.
        space: the published space it was written for, `"small"`, `"full"` or unknown; it decides how the release
            numbers operators, and is not compared.

    Raises:
        GenotypeError: a field is malformed; the message names block and field.
    """

    blocks: tuple[Block, ...]
    layer_norm: bool = True
    name: str = field(default="", compare=False)
    space: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        blocks = tuple(_sequence("blocks", self.blocks))
        if not 1 <= len(blocks) <= MAX_BLOCKS:
            _fail("blocks", f"{len(blocks)} blocks; 1 to {MAX_BLOCKS} are allowed")
        for k, block in enumerate(blocks):
            if not isinstance(block, Block):
                _fail(f"block {k}", f"must be a Block, not {type(block).__name__}")
            for name in INPUTS:
                if getattr(block, name)[-1] > k:
                    _fail(
                        f"block {k}: {name}",
                        f"{getattr(block, name)[-1]} does not come before block {k}; it may read 0 (raw) to {k}",
                    )
        object.__setattr__(self, "blocks", blocks)
        if type(self.layer_norm) is not bool:
            _fail("layer_norm", f"must be true or false, not {self.layer_norm!r:.60}")
        if not isinstance(self.name, str) or len(self.name) > MAX_NAME or not (self.name + " ").isprintable():
            _fail("name", f"must be one printable line of at most {MAX_NAME} characters, not {self.name!r:.60}")
        if self.space not in SPACES:
            _fail("space", f"must be one of {', '.join(map(repr, SPACES))}, not {self.space!r:.60}")

    def live_blocks(self) -> tuple[int, ...]:
        """Indices of the blocks that reach the logit, through either of their outputs."""
        last = len(self.blocks)
        queue, seen = [("dense", last), ("sparse", last)], set()
        while queue:
            item = queue.pop()
            if item in seen or item[1] == 0:
                continue
            seen.add(item)
            queue += _sources(self.blocks[item[1] - 1], *item)
        return tuple(sorted({k - 1 for _, k in seen}))

    def to_dict(self) -> dict[str, Any]:
        """The versioned JSON form."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "space": self.space,
            "layer_norm": self.layer_norm,
            "blocks": [_block_to_dict(block) for block in self.blocks],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Genotype:
        """The reverse of `to_dict`.

        Raises:
            GenotypeError: anything malformed, unknown keys and newer versions included.
        """
        if not isinstance(values, dict):
            _fail("genotype", f"must be an object, not {type(values).__name__}")
        if values.get("format") != FORMAT:
            _fail("format", f"must be {FORMAT!r}, not {values.get('format')!r:.60}")
        version = values.get("version")
        if type(version) is not int or version != VERSION:
            _fail("version", f"{version!r:.20} is not known; this nasrec reads version {VERSION}")
        _keys("genotype", values, required=("format", "version", "blocks"), optional=("name", "space", "layer_norm"))
        blocks = []
        for k, block in enumerate(_sequence("blocks", values["blocks"])):
            blocks.append(_block_from_dict(k, block))
        rest = {key: values[key] for key in ("name", "space", "layer_norm") if key in values}
        return cls(tuple(blocks), **rest)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Genotype:
        """Reads a file that `save` wrote.

        Raises:
            GenotypeError: the file cannot be read or is malformed; the message names file, block and field.
        """
        values = read_json(path)
        try:
            return cls.from_dict(values)
        except GenotypeError as error:
            raise GenotypeError(f"{_shown(path)}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON form; a reader sees the old file or the new one, never a part.

        Raises:
            GenotypeError: the file cannot be written.
        """
        target = Path(path)
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        temporary = ""
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except OSError as error:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
            raise GenotypeError(f"{_shown(path)}: cannot be written ({error.strerror})") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """A file's JSON, strictly: no duplicate keys, no NaN or Infinity, bounded size.

    Raises:
        GenotypeError: the file cannot be read, or is not such JSON.
    """
    where = _shown(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise GenotypeError(f"{where}: is not a regular file")
        if os.stat(path).st_size > MAX_FILE_BYTES:
            raise GenotypeError(f"{where}: is larger than {MAX_FILE_BYTES >> 20} MiB, so it is no genotype")
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise GenotypeError(f"{where}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, ValueError):
        raise GenotypeError(f"{where}: is not UTF-8 text") from None
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise GenotypeError(f"{where}: is nested too deeply") from None
    except ValueError as error:  # includes JSONDecodeError, and integers of thousands of digits
        raise GenotypeError(f"{where}: is not proper JSON ({str(error):.160})") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice!r:.60} stands twice")
    return out


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _sources(block: Block, side: str, number: int) -> list[tuple[str, int]]:
    """What one output of a block needs: outputs of earlier blocks, or the other output of its own."""
    needs: list[tuple[str, int]] = []
    for operator in block.operators:
        if (operator in DENSE_OPERATORS) == (side == "dense"):
            for name in READS[operator]:
                kind = "sparse" if name == "sparse_inputs" else "dense"
                needs += [(kind, k) for k in getattr(block, name)]
    if side == "dense" and block.fm:
        needs.append(("sparse", number))
    if side == "sparse" and block.dense_to_sparse:
        needs.append(("dense", number))
    return needs


READS = {
    "fc": ("dense_inputs",),
    "dot_product": ("dense_inputs", "sparse_inputs"),
    "sigmoid_gating": ("left_inputs", "right_inputs"),
    "sum": ("left_inputs", "right_inputs"),
    "attention": ("sparse_inputs",),
    "efc": ("sparse_inputs",),
}
"""The inputs that each operator reads, in order."""


def _block_to_dict(block: Block) -> dict[str, Any]:
    plain: dict[str, Any] = {"operators": list(block.operators)}
    plain |= {name: getattr(block, name) for name in ("dense_width", "sparse_width")}
    plain |= {name: list(getattr(block, name)) for name in INPUTS}
    plain |= {"dense_to_sparse": block.dense_to_sparse, "fm": block.fm}
    return plain | ({"operator_bits": list(block.operator_bits)} if block.operator_bits else {})


def _block_from_dict(k: int, values: Any) -> Block:
    where = f"block {k}"
    if not isinstance(values, dict):
        _fail(where, f"must be an object, not {type(values).__name__}")
    required = ("operators", "dense_width", "sparse_width", *INPUTS, "dense_to_sparse", "fm")
    _keys(where, values, required, optional=("operator_bits",))
    try:
        return Block(**values)
    except GenotypeError as error:
        raise GenotypeError(f"{where}: {error}") from None


def _keys(where: str, values: dict[str, Any], required: Iterable[str], optional: Iterable[str]) -> None:
    for key in required:
        if key not in values:
            _fail(where, f"key {key!r} is missing")
    known = {*required, *optional}
    for key in values:
        if key not in known:
            _fail(where, f"unknown key {key!r:.60}")


def _inputs(name: str, values: Any) -> tuple[int, ...]:
    numbers = [_integer(f"{name}[{i}]", v, 0, MAX_BLOCKS) for i, v in enumerate(_sequence(name, values))]
    if not numbers:
        _fail(name, "is empty; name at least one input (0 = raw features)")
    if len(set(numbers)) != len(numbers):
        _fail(name, f"{numbers} names one input twice")
    return tuple(sorted(numbers))


def _sequence(name: str, values: Any) -> Sequence[Any]:
    if not isinstance(values, (list, tuple)):
        _fail(name, f"must be a list, not {type(values).__name__}")
    if len(values) > 1024:
        _fail(name, f"has {len(values)} entries")
    return values


def _integer(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        shown = repr(value)[:40] if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
        _fail(name, f"must be an integer from {least} to {most}, not {shown}")
    return number


def _fail(where: str, what: str) -> NoReturn:
    raise GenotypeError(f"{where}: {what}")


def _shown(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))[1:-1]
