"""Several small matrices in one array: rectangles that do not overlap, on shelves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Block", "Packed", "Pieces", "pack"]


class Block(NamedTuple):
    """A piece of a matrix in an array: the word lines and bit lines it takes, and where they begin."""

    owner: int
    rows: int
    columns: int
    top: int
    left: int


class Pieces(NamedTuple):
    """Equal pieces of one matrix: a copy each, or a block each."""

    owner: int
    rows: int
    columns: int
    times: int


class Packed(NamedTuple):
    """An array with the blocks that share it; only one of their owners works at a time."""

    blocks: tuple[Block, ...]

    @property
    def cells(self) -> int:
        """Cells in use."""
        return sum(block.rows * block.columns for block in self.blocks)


def pack(pieces: Sequence[Pieces], size: int) -> tuple[Packed, ...]:
    """Places pieces into few arrays of `size` x `size`: shelves, tallest pieces first, the first array with room.

    Pieces of one owner work at the same time, so that no two of them share an array. The result depends on the pieces
    alone, not on the order in which they are given.
    """
    arrays: list[_Array] = []
    for owner, rows, columns, times in sorted(pieces, key=lambda p: (-p.rows, -p.columns, p.owner)):
        left = times
        for array in arrays:
            # The quick tests first: a search packs thousands of pieces a second.
            if left and owner not in array.owners and (columns <= array.widest or rows <= array.free_rows):
                left -= array.take(owner, rows, columns, size)
        for _ in range(left):
            array = _Array(size)
            array.take(owner, rows, columns, size)
            arrays.append(array)
    return tuple(Packed(tuple(array.blocks)) for array in arrays)


class _Array:
    """Shelves from top to bottom, each as high as its first block.

    Attributes:
        blocks: what it holds.
        owners: owners of the blocks.
        free_rows: rows below the last shelf.
        shelves: where each begins, how high it is, and how far it is filled.
        widest: most columns free on a shelf.
    """

    __slots__ = ("blocks", "free_rows", "owners", "shelves", "widest")

    def __init__(self, size: int) -> None:
        self.blocks: list[Block] = []
        self.owners: set[int] = set()
        self.free_rows = size
        self.shelves: list[list[int]] = []
        self.widest = 0

    def take(self, owner: int, rows: int, columns: int, size: int) -> bool:
        """Places a block, if there is room."""
        for shelf in self.shelves:
            if rows <= shelf[1] and columns <= size - shelf[2]:
                break
        else:
            if rows > self.free_rows:
                return False
            shelf = [size - self.free_rows, rows, 0]
            self.free_rows -= rows
            self.shelves.append(shelf)
        self.blocks.append(Block(owner, rows, columns, shelf[0], shelf[2]))
        self.owners.add(owner)
        before, shelf[2] = size - shelf[2], shelf[2] + columns
        if before == self.widest:
            self.widest = max([size - filled for _, _, filled in self.shelves])
        else:
            self.widest = max(self.widest, before - columns)
        return True
