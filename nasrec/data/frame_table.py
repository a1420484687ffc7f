"""Columns of a DataFrame as an Arrow table of numbers and texts, whatever pandas keeps them as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nasrec.data.formats import MISSING_TEXTS
from nasrec.data.infer import SCALARS, check_frame
from nasrec.data.values import as_numbers, as_texts
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_table"]


def frame_table(
    frame: pd.DataFrame, numbers: Sequence[str], texts: Sequence[str], missing: Sequence[str] = MISSING_TEXTS
) -> Any:
    """The given columns, in this order: float64 and strings, null where a value is missing (None, NaN, NaT, NA).

    Args:
        frame: its other columns, their order and its index play no part; it is not changed.
        numbers, texts: columns by name.
        missing: texts that stand for a missing value.

    Raises:
        DataError: this is no frame, a column is missing, or holds values of another kind.
    """
    names = check_frame(frame)
    absent = [name for name in (*numbers, *texts) if name not in names]
    if absent:
        raise DataError(
            f"the frame lacks the column{'s' if absent[1:] else ''} {', '.join(absent[:5])}"
            f"{', ...' if absent[5:] else ''}; it has {', '.join(names)[:200]}"
        )
    place = {name: position for position, name in enumerate(names)}
    columns = {name: _numbers(frame.iloc[:, place[name]], name, missing) for name in numbers}
    columns |= {name: _texts(frame.iloc[:, place[name]], name, missing) for name in texts}
    return pa.table(columns)


def _numbers(series: pd.Series[Any], name: str, missing: Sequence[str]) -> Any:
    try:
        return as_numbers(_arrow(series), missing)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise DataError(
            f"column {name!r} should hold numbers, but holds {_content(series)}; convert it, or name it as categorical"
        ) from None


def _texts(series: pd.Series[Any], name: str, missing: Sequence[str]) -> Any:
    from pandas.api import types

    try:
        if types.is_object_dtype(series.dtype) and types.infer_dtype(series, skipna=True) != "string":
            return as_texts(_mixed_texts(series), missing)
        return as_texts(_arrow(series), missing)
    except UnicodeEncodeError:
        raise DataError(f"column {name!r} holds a text with half of a character, which UTF-8 cannot write") from None
    except (pa.ArrowException, TypeError, ValueError):
        raise DataError(f"column {name!r} should hold texts or ids, but holds {_content(series)}; convert it") from None


def _arrow(series: pd.Series[Any]) -> Any:
    import pandas as pd

    if isinstance(series.dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
    column = pa.array(series, from_pandas=True)
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _mixed_texts(series: pd.Series[Any]) -> Any:
    """Texts of Python objects, each by its own type: one odd value must not change the texts of the others."""
    texts: list[str | None] = []
    reals: dict[int, float] = {}
    for place, (value, is_missing) in enumerate(zip(series, series.isna(), strict=True)):
        if is_missing:
            texts.append(None)
        elif isinstance(value, (bool, np.bool_)):
            texts.append("1" if value else "0")
        elif isinstance(value, (float, np.floating)):
            reals[place] = float(value)
            texts.append(None)
        elif isinstance(value, SCALARS):
            texts.append(str(value))
        else:
            raise TypeError(f"a {type(value).__name__} has no text")
    for place, text in zip(reals, as_texts(pa.array(reals.values(), pa.float64())).to_pylist(), strict=True):
        texts[place] = text
    return pa.array(texts, pa.string())


def _content(series: pd.Series[Any]) -> str:
    """What a column holds, in words."""
    present = series.dropna()
    if series.dtype != object or len(present) == 0:
        return f"{series.dtype} values"
    return f"values such as {present.iloc[0]!s:.40} ({type(present.iloc[0]).__name__})"
