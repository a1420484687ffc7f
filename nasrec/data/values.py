"""Arrow columns of any type as numbers and as texts: one rule, whether rows come from Parquet or from a DataFrame.

A value becomes the text that it has in a CSV file, so that a table gives the same ids in every form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nasrec.data.formats import MISSING_TEXTS

__all__ = ["as_numbers", "as_texts"]

_EXACT = 2.0**63
"""Whole numbers below this magnitude are written as integers, as a column without gaps would be."""


def as_numbers(column: Any, missing: Sequence[str] = MISSING_TEXTS) -> Any:
    """A column as float64, null where it is missing.

    Integers beyond 2^53 are rounded, as they are when a text is read. Numbers may be kept as texts.

    Args:
        column: an Arrow array or chunked array.
        missing: texts that stand for a missing value; where `nan` is one of them, the number NaN is too.

    Raises:
        pyarrow.ArrowException: its values are no numbers.
    """
    column = _decoded(column)
    if _is_text(column.type):
        column = pc.utf8_trim(_without(column.cast(pa.large_string()), missing), " \t")
    numbers = column.cast(pa.float64(), safe=False) if pa.types.is_integer(column.type) else column.cast(pa.float64())
    if "nan" in {text.lower() for text in missing}:
        numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    return numbers


def as_texts(column: Any, missing: Sequence[str] = MISSING_TEXTS) -> Any:
    """A column as strings, null where it is missing.

    A whole number is written without a point even where its column is of floating point, which it is as soon as one
    of its ids is missing. A bool is 1 or 0.

    Raises:
        pyarrow.ArrowException: its values have no text.
    """
    column = _decoded(column)
    if pa.types.is_floating(column.type):
        column = _float_texts(column)
    return _without(column.cast(pa.string()), missing)


def _decoded(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column


def _float_texts(column: Any) -> Any:
    shortest = column.cast(pa.string())
    exact = column.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.floor(exact), exact), pc.less(pc.abs(exact), _EXACT))
    if not pc.any(whole).as_py():
        return shortest
    integers = pc.if_else(whole, exact, None).cast(pa.int64())
    return pc.coalesce(integers.cast(pa.string()), shortest)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _without(texts: Any, missing: Sequence[str]) -> Any:
    return pc.if_else(pc.is_in(texts, pa.array(missing, texts.type)), None, texts)
