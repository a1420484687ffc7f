"""Slices that parameter references name, whole and by pieces."""

from __future__ import annotations

import pytest
import torch

from nasrec.compiler.slices import cells, pieces, take
from nasrec_ir import ParamRef

STORE = torch.arange(24.0).reshape(4, 6)


@pytest.mark.parametrize("rows", [((0, 4),), ((1, 3),), ((0, 1), (3, 4)), ()])
@pytest.mark.parametrize("columns", [((0, 6),), ((2, 5),), ((0, 1), (2, 4), (5, 6)), ()])
def test_pieces_joined_are_the_slice(rows: tuple[tuple[int, int], ...], columns: tuple[tuple[int, int], ...]) -> None:
    ref = ParamRef("w", (4, 6), rows, columns)
    assert torch.equal(torch.cat(pieces(STORE, ref), 1), take(STORE, ref))
    chosen = [row for start, stop in rows for row in range(start, stop)]
    across = [column for start, stop in columns for column in range(start, stop)]
    assert torch.equal(take(STORE, ref), STORE[chosen][:, across])


def test_pieces_are_views_where_rows_are_contiguous() -> None:
    found = pieces(STORE, ParamRef("w", (4, 6), ((1, 3),), ((0, 1), (2, 4))))
    assert [tuple(piece.shape) for piece in found] == [(2, 1), (2, 2)]
    assert all(piece.untyped_storage().data_ptr() == STORE.untyped_storage().data_ptr() for piece in found)


def test_a_vector_is_one_piece() -> None:
    bias = torch.arange(4.0)
    (piece,) = pieces(bias, ParamRef("b", (4,), ((1, 3),)))
    assert piece.tolist() == [1, 2]


@pytest.mark.parametrize("rows", [((0, 4),), ((1, 3),), ((0, 1), (3, 4)), ()])
@pytest.mark.parametrize("columns", [((0, 6),), ((2, 5),), ((0, 1), (2, 4), (5, 6)), ()])
def test_cells_say_what_take_puts_where(
    rows: tuple[tuple[int, int], ...], columns: tuple[tuple[int, int], ...]
) -> None:
    ref = ParamRef("w", (4, 6), rows, columns)
    taken = take(STORE, ref)
    rebuilt = torch.full_like(taken, -1)
    for cell in cells(ref):
        rebuilt[cell.taken] = STORE[cell.stored]
    assert torch.equal(rebuilt, taken)


def test_cells_of_a_vector() -> None:
    ref = ParamRef("b", (4,), ((0, 1), (2, 4)))
    bias = torch.arange(4.0)
    assert [bias[cell.stored].tolist() for cell in cells(ref)] == [[0], [2, 3]]
    assert [take(bias, ref)[cell.taken].tolist() for cell in cells(ref)] == [[0], [2, 3]]
