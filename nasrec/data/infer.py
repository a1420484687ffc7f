"""Which columns of a DataFrame are numbers and which are categories, told by their types, values and names.

- Texts, categories and bools are categorical; numbers with a fraction are dense.
- Whole numbers, and floats that are whole wherever they are not missing, as an integer column with gaps is in pandas,
  are ids or quantities. The name decides where its last word does (`user_id`, `zip`, `clicks_count`); then the values:
  few of them are codes; values that hardly ever come back, and values that thin out upwards as counts do, are
  quantities; all others are ids.
- The columns of a public data set that `nasrec.data.formats` knows are what they are there.
- What cannot tell anything about a new row is left out, with a warning: one value, no value, or (texts and ids) a
  value of its own in each of many rows.
"""

from __future__ import annotations

import datetime
import decimal
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec.checks import format_value
from nasrec.data.formats import FORMATS
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCALARS", "Columns", "check_frame", "find_columns", "infer_columns", "warn_left_out"]

SCALARS = (str, bool, np.bool_, int, np.integer, float, np.floating, decimal.Decimal, datetime.date)
"""Python objects that have a text."""

FEW_VALUES = 10
"""So many different whole numbers, or fewer, are codes."""

_MANY_ROWS = 100
_COMES_BACK = 2.0
_HEAVY_TAIL, _TAIL = 0.1, 0.4
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
_PLAIN = (*_NUMBERS, "string", "boolean", "categorical")
_TIMES = ("date", "time", "period")
"""What pandas' own names of contents are, or begin with."""
_KNOWN = ("criteo", "avazu", "frappe")
_ID_WORDS = frozenset((
    "id", "ids", "uid", "gid", "pid", "key", "code", "hash", "zip", "zipcode", "postcode", "user", "item", "type",
    "kind", "class", "category", "cat", "group", "segment", "status", "gender", "sex", "city", "country", "region",
    "brand", "device", "browser", "os", "site", "weekday",
))  # fmt: skip
_AMOUNT_WORDS = frozenset((
    "count", "counts", "cnt", "num", "number", "amount", "total", "sum", "price", "duration", "ms", "seconds",
    "minutes", "days", "length", "size", "width", "height",
))  # fmt: skip
_FLAG_WORDS = frozenset(("is", "has"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table mean.

    Attributes:
        label: the column of 0 and 1.
        dense, categorical: a model's inputs.
        weight: a column of positive row weights, if there is one.
        left_out: columns that are no inputs although nobody said so, and why.
    """

    label: str
    dense: tuple[str, ...]
    categorical: tuple[str, ...]
    weight: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def require_inputs(self) -> None:
        """Raises `DataError` if there is no categorical column."""
        if not self.categorical:
            raise DataError(
                "no column of the frame is categorical; a model needs at least one: name it in categorical="
            )


def infer_columns(
    frame: pd.DataFrame,
    label: str,
    *,
    dense: Sequence[str] | None = None,
    categorical: Sequence[str] | None = None,
    ignore: Iterable[str] = (),
    weight: str | None = None,
) -> Columns:
    """The kinds of a frame's columns.

    Args:
        frame: rows; not changed.
        label: the column to predict; its values are not looked at here.
        dense, categorical: columns that are so whatever they look like. Where both are given, no other column is used;
            else the other ones are inferred by the rules above.
        ignore: columns that are not used.
        weight: a column of row weights.

    Raises:
        DataError: this is no frame, a column comes twice, is missing or has two meanings; or one that nobody named
            holds dates, times or objects.
    """
    columns = find_columns(frame, label, dense, categorical, ignore, weight)
    columns.require_inputs()
    warn_left_out(columns)
    return columns


def find_columns(
    frame: pd.DataFrame,
    label: str,
    dense: Sequence[str] | None,
    categorical: Sequence[str] | None,
    ignore: Iterable[str],
    weight: str | None,
) -> Columns:
    """`infer_columns` without its warning, and perhaps without a categorical column."""
    names = check_frame(frame)
    given = {"label": [label], "weight": [weight] if weight else [], "dense": list(dense or ()),
             "categorical": list(categorical or ()), "ignore": list(ignore)}  # fmt: skip
    _check_given(given, names)
    kinds = dict.fromkeys(given["dense"], "dense") | dict.fromkeys(given["categorical"], "categorical")
    left_out: dict[str, str] = {}
    if dense is None or categorical is None:
        known = _known_kinds(names)
        spoken_for = {column for columns in given.values() for column in columns}
        for position, name in enumerate(names):
            if name in spoken_for:
                continue
            kind, reason = _kind(name, frame.iloc[:, position], known.get(name))
            if kind:
                kinds[name] = kind
            else:
                left_out[name] = reason
    found = {kind: tuple(name for name in names if kinds.get(name) == kind) for kind in ("dense", "categorical")}
    return Columns(label, found["dense"], found["categorical"], weight, left_out)


def check_frame(frame: Any) -> list[str]:
    """The names of a frame's columns, as texts; raises `DataError` if it is none, empty, or two have the same name."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame is expected, not {format_value(frame)}")
    if len(frame) == 0:
        raise DataError("the frame has no rows; it should hold impressions, one a row")
    names = []
    for name in frame.columns:
        if isinstance(name, bool) or not isinstance(name, (str, int, np.integer)):
            raise DataError(f"column name {name!r:.80} of the frame is no text; rename the columns")
        names.append(str(name))
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise DataError(f"column {twice!r} comes twice in the frame; rename one or drop it")
    return names


def _check_given(given: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    place: dict[str, str] = {}
    for what, columns in given.items():
        for column in columns:
            if not isinstance(column, str):
                raise DataError(f"{what} must name columns by text, not {format_value(column)}")
            if column not in names and what != "ignore":
                raise DataError(f"{what} column {column!r} is not in the frame, which has {', '.join(names)[:200]}")
            if column in place:
                raise DataError(f"column {column!r} is named as {place[column]} and as {what}; it can be one of them")
            place[column] = what


def _known_kinds(names: Sequence[str]) -> dict[str, str]:
    """The columns of a public data set, where all of them are there; "" for one that is no input."""
    for kind, form in FORMATS.items():
        if kind in _KNOWN and {*form.dense, *form.sparse} <= set(names):
            kinds = dict.fromkeys(form.dense, "dense") | dict.fromkeys(form.sparse, "categorical")
            return kinds | dict.fromkeys(form.dropped, "")
    return {}


def _kind(name: str, series: pd.Series[Any], known: str | None) -> tuple[str, str]:
    """Kind, "" for a column that is to be left out, and the reason."""
    from pandas.api import types

    content = types.infer_dtype(series, skipna=True)
    if content.startswith(_TIMES):
        raise DataError(
            f"column {name!r} holds {'durations' if content.startswith('timedelta') else 'dates or times'}, which a "
            f"model cannot use as they are: make columns of their parts, such as frame[{name!r}].dt.hour, or pass "
            f"ignore=[{name!r}]"
        )
    present = series.dropna()
    if len(present) == 0:
        return "", "no values"
    if content not in _PLAIN and (odd := [kind for kind in {*map(type, present)} if not issubclass(kind, SCALARS)]):
        raise DataError(
            f"column {name!r} holds values of type {odd[0].__name__}, which are neither numbers nor texts; make "
            f"columns of their parts, or pass ignore=[{name!r}]"
        )
    counts = present.value_counts(sort=False)
    counts = counts[counts > 0]  # a pandas category may stand for no row
    if len(counts) == 1:
        return "", "one value"
    if known is not None:
        return known, "a row's number"
    kind = "categorical"
    if content in _NUMBERS and not types.is_bool_dtype(series.dtype):
        values = counts.index.to_numpy(dtype=np.float64)
        order = np.argsort(values)
        as_integers = content == "integer" or len(present) < len(series)
        kind = _number_kind(name, values[order], counts.to_numpy()[order], as_integers)
    row_number = kind == "categorical" and len(counts) == len(present) >= _MANY_ROWS
    return ("", "a value of its own in every row") if row_number else (kind, "")


def _number_kind(name: str, values: NDArray[np.float64], counts: NDArray[np.int64], as_integers: bool) -> str:
    """Dense or categorical: different values, ascending, and how often each one came.

    `as_integers`: whole numbers may be ids even where the name does not say so.
    """
    words = [word.lower() for word in _WORD.findall(name)] or [name]
    is_id = words[-1] in _ID_WORDS or words[0] in _FLAG_WORDS
    if not (np.isfinite(values).all() and (values % 1 == 0).all()) or not (as_integers or is_id):
        return "dense"
    if is_id:
        return "categorical"
    if words[-1] in _AMOUNT_WORDS or words[0] in _AMOUNT_WORDS:
        return "dense"
    if len(values) <= FEW_VALUES:
        return "categorical"
    if counts.sum() < _COMES_BACK * len(values):
        return "dense"
    # Where the middle one of the different values stands in their range: ids fill it, counts thin out.
    middle = (np.median(values) - values[0]) / (values[-1] - values[0])
    commonest = (values[counts.argmax()] - values[0]) / (values[-1] - values[0])
    counts_up = values[0] <= 1 and commonest <= _HEAVY_TAIL and middle < _TAIL
    return "dense" if middle < _HEAVY_TAIL or counts_up else "categorical"


def warn_left_out(columns: Columns, depth: int = 1) -> None:
    """Warns whoever called the function that calls this one, or `depth` functions further out, if columns are left
    out."""
    if columns.left_out:
        what = ", ".join(f"{name!r} ({reason})" for name, reason in columns.left_out.items())
        warnings.warn(
            f"left out of the model: {what}; name a column in dense= or categorical= to keep it, or in ignore=",
            stacklevel=2 + depth,
        )
