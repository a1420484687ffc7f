"""Ranges, tensor types and parameter references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec_ir import ParamRef, TensorType
from nasrec_ir.interpret import take
from nasrec_ir.types import Segments, merge, select, span, total


@st.composite
def segments(draw: st.DrawFn, most: int = 12) -> Segments:
    chosen = sorted(draw(st.sets(st.integers(0, most - 1))))
    return merge((i, i + 1) for i in chosen)


def positions(ranges: Segments) -> list[int]:
    return [i for start, stop in ranges for i in range(start, stop)]


def test_merge_drops_empty_and_joins_touching_ranges() -> None:
    assert merge([(0, 2), (2, 2), (2, 5), (7, 9), (9, 9)]) == ((0, 5), (7, 9))
    assert merge([]) == ()


def test_total_and_span() -> None:
    assert total(((0, 2), (5, 9))) == 6
    assert span(((1, 2), (5, 9))) == (1, 9)
    assert span(()) == (0, 0)


@given(segments(), st.data())
def test_select_is_indexing_twice(outer: Segments, data: st.DataObject) -> None:
    inner = data.draw(segments(max(1, total(outer))))
    inner = merge((a, min(b, total(outer))) for a, b in inner if a < total(outer))
    assert positions(select(outer, inner)) == [positions(outer)[i] for i in positions(inner)]


@pytest.mark.parametrize(
    ("type_", "text", "full"),
    [
        (TensorType(()), "f32[B]", True),
        (TensorType((13,)), "f32[B, 13]", True),
        (TensorType((26, 16), live=(0, 8)), "f32[B, 26, 16] live 0:8", False),
        (TensorType((3,), "i64"), "i64[B, 3]", True),
        (TensorType((0,)), "f32[B, 0]", True),
        (TensorType((4,), live=(0, 4)), "f32[B, 4]", True),
        (TensorType((4,), live=(0, 0)), "f32[B, 4] live 0:0", False),
    ],
)
def test_tensor_type_text(type_: TensorType, text: str, full: bool) -> None:
    assert str(type_) == text
    assert type_.full is full


def test_live_ranges_have_one_spelling() -> None:
    assert TensorType((4,), live=(3, 3)) == TensorType((4,), live=(0, 0)) == TensorType((4,), live=(4, 2))
    assert TensorType((), live=(0, 0)) == TensorType(()), "a logit has no axis to be masked along"
    assert TensorType((4,)) == TensorType((4,), live=(0, 4))


def test_elements() -> None:
    assert TensorType(()).elements == 1
    assert TensorType((3, 4)).elements == 12
    assert TensorType((3, 0)).elements == 0


def test_parameter_reference_defaults_to_everything() -> None:
    matrix, vector = ParamRef("w", (4, 6)), ParamRef("b", (4,))
    assert matrix.rows == ((0, 4),) and matrix.columns == ((0, 6),) and matrix.whole
    assert vector.rows == ((0, 4),) and vector.columns == () and vector.whole
    assert ParamRef("w", (0, 6)).rows == () and ParamRef("w", (0, 6)).whole


def test_parameter_reference_counts_what_it_selects() -> None:
    ref = ParamRef("w", (4, 6), ((0, 1), (2, 4)), ((1, 3),))
    assert ref.view_shape == (3, 2)
    assert ref.elements == 6
    assert not ref.whole


@given(st.data())
def test_narrowing_selects_within_the_selection(data: st.DataObject) -> None:
    stored = np.arange(12 * 12).reshape(12, 12)
    ref = ParamRef("w", (12, 12), data.draw(segments()), data.draw(segments()))
    view = take(stored, ref)
    rows, columns = (merge((a, min(b, size)) for a, b in data.draw(segments()) if a < size) for size in ref.view_shape)
    narrowed = ref.narrow(rows=rows, columns=columns)
    assert np.array_equal(take(stored, narrowed), view[np.ix_(positions(rows), positions(columns))])
    assert narrowed.view_shape == (total(rows), total(columns))
