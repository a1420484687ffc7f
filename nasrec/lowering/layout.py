"""How the widths that a path samples relate to the parameters it finds: the one difference between a stand-alone
model and the two kinds of supernet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nasrec.lowering.masking import Masking
from nasrec_ir import GraphBuilder, ParamRef
from nasrec_ir.types import Range, Segments, merge

__all__ = ["Joined", "Layout", "Piece", "StoreWidths"]

Side = Literal["dense", "sparse"]

MERGER_FIELDS = 8
"""Fields that the dense-to-sparse merger appends to a block's sparse output (the release's constant)."""


@dataclass(frozen=True)
class StoreWidths:
    """Widths of a weight-sharing store: the largest of the space, in every block."""

    dense: int
    sparse: int


@dataclass(frozen=True)
class Piece:
    """A value that a block offers to later ones, and the columns it owns within the block's share of a weight."""

    id: str
    offset: int
    width: int


@dataclass(frozen=True)
class Output:
    """One side of a block's output (or of the raw features): its pieces and its share of later weights' columns."""

    pieces: tuple[Piece, ...]
    stored_width: int


@dataclass(frozen=True)
class Joined:
    """An operator's input: selected outputs, concatenated in ascending order of their index.

    Attributes:
        id: the concatenation.
        width: its units or fields.
        stored_width: columns of a stored weight that reads it.
        columns: the columns of that weight that belong to this path.
    """

    id: str
    width: int
    stored_width: int
    columns: Segments


@dataclass(frozen=True)
class Width:
    """A width in its three meanings.

    Attributes:
        value: what operators compute.
        stored: what the store holds.
        keep: what is not masked afterwards; None without a mask.
    """

    value: int
    stored: int
    keep: int | None


@dataclass(frozen=True)
class Layout:
    """Decides widths, joins inputs and names slices for one of: stand-alone (no store), full width, sliced."""

    store: StoreWidths | None = None
    masking: Masking | None = None

    def width(self, side: Side, sampled: int) -> Width:
        """Widths of a block's output on one side."""
        if self.store is None:
            return Width(sampled, sampled, None)
        most = self.store.dense if side == "dense" else self.store.sparse
        return Width(most, most, sampled) if self.masking == "full_width" else Width(sampled, most, None)

    def join(self, b: GraphBuilder, scope: str, outputs: Sequence[Output], chosen: Sequence[int]) -> Joined:
        """Concatenates the chosen outputs.

        In a supernet of full width every earlier output is present, those not chosen as zeros; else only the chosen
        ones are, and the columns say where they lie in the store.
        """
        ids: list[str] = []
        columns: list[Range] = []
        offset = 0
        for index, output in enumerate(outputs):
            selected = index in chosen
            for piece in output.pieces:
                if selected:
                    ids.append(piece.id)
                    columns.append((offset + piece.offset, offset + piece.offset + piece.width))
                elif self.masking == "full_width":
                    zeros = b.add("zeros", id=f"{scope}.unused", shape=b.type(piece.id).shape)
                    ids.append(zeros)
            if selected or self.store is not None:
                offset += output.stored_width
        joined = ids[0] if len(ids) == 1 else b.add("concat", ids, id=scope)
        width = b.type(joined).shape[0]
        if self.masking == "full_width":
            columns = [(0, width)]
        return Joined(joined, width, offset, merge(columns))

    def output(self, *parts: tuple[str, int, int], reserved: int = 0) -> Output:
        """A block's output from parts given as (id, width, stored width), with stored columns no part owns behind."""
        pieces, offset = [], 0
        for part, width, stored in parts:
            pieces.append(Piece(part, offset, width))
            offset += stored
        return Output(tuple(pieces), offset + reserved)


def matrix(name: str, rows: Width | int, stored_columns: int, columns: Segments) -> ParamRef:
    """A stored weight `[rows, columns]`, cut to the leading rows and the given columns."""
    stored, value = (rows, rows) if isinstance(rows, int) else (rows.stored, rows.value)
    return ParamRef(f"{name}.weight", (stored, stored_columns), merge([(0, value)]), columns)


def vector(name: str, size: Width | int) -> ParamRef:
    """A stored vector, cut to its leading entries."""
    stored, value = (size, size) if isinstance(size, int) else (size.stored, size.value)
    return ParamRef(name, (stored,), merge([(0, value)]))
