"""Kinds of columns, told by types, values and names."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from nasrec.data.frame import Columns, infer_columns
from nasrec.errors import DataError

ROWS = 2000
rng = np.random.default_rng(0)
COUNTS = np.floor(np.exp(rng.normal(1.5, 1.2, ROWS)))
IDS = rng.integers(0, 150, ROWS)

CASES: dict[str, tuple[object, str]] = {
    "price": (rng.random(ROWS), "dense"),
    "score32": (rng.random(ROWS).astype(np.float32), "dense"),
    "clicks": (COUNTS.astype(int), "dense"),
    "counts_with_gaps": (np.where(IDS % 3 == 0, np.nan, COUNTS), "dense"),
    "counts_below_zero": (COUNTS.astype(int) - 2, "dense"),
    "timestamp": (np.arange(ROWS) * 1000 + 1_650_000_000_000, "dense"),
    "follow_user_num": (IDS, "dense"),
    "width": (rng.choice([320, 640, 720], ROWS), "dense"),
    "whole_floats": (rng.integers(0, 150, ROWS).astype(float), "dense"),
    "user_id": (rng.integers(0, 1500, ROWS), "categorical"),
    "userId": (np.floor(COUNTS), "categorical"),
    "zip": (rng.integers(10_000, 99_999, ROWS), "categorical"),
    "advertiser": (IDS + 4000, "categorical"),
    "ids_with_gaps": (np.where(IDS % 3 == 0, np.nan, IDS + 4000), "categorical"),
    "nullable_ids": (pd.array(np.where(IDS % 3 == 0, None, IDS + 40), "Int64"), "categorical"),
    "hashed": (rng.choice(rng.integers(0, 2**62, 90), ROWS), "categorical"),
    "device_type": (rng.integers(0, 5, ROWS), "categorical"),
    "age_class": (rng.choice([1, 18, 25, 35, 45], ROWS), "categorical"),
    "is_new": (rng.integers(0, 2, ROWS), "categorical"),
    "mobile": (IDS % 2 == 0, "categorical"),
    "maybe": (pd.array(np.where(IDS % 3 == 0, None, IDS % 2 == 0), "boolean"), "categorical"),
    "city": ([f"c{value}" for value in IDS], "categorical"),
    "objects": (np.array([f"c{value}" for value in IDS], object), "categorical"),
    "mixed": (np.array([int(v) if v % 2 else f"c{v}" for v in IDS], object), "categorical"),
    "pandas_category": (pd.Categorical(IDS), "categorical"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_column(name) -> None:
    values, kind = CASES[name]
    frame = pd.DataFrame({"y": IDS % 2, "other": ["a", "b"] * (ROWS // 2), name: values})
    found = infer_columns(frame, "y")
    assert (name in found.dense, name in found.categorical) == (kind == "dense", kind == "categorical")
    assert found.label == "y" and "other" in found.categorical and found.left_out == {}


def test_given_kinds_win() -> None:
    frame = pd.DataFrame({name: values for name, (values, _) in CASES.items()} | {"y": IDS % 2, "one": 1})
    found = infer_columns(frame, "y", dense=["user_id", "one"], categorical=["price"])
    assert found == Columns("y", ("user_id", "one"), ("price",))
    found = infer_columns(frame, "y", dense=["user_id"], ignore=["city", "one", "not there"], weight="price")
    assert "user_id" in found.dense and "zip" in found.categorical and found.weight == "price"
    assert not {"city", "one", "price", "y"} & {*found.dense, *found.categorical}


def test_columns_that_tell_nothing_are_left_out() -> None:
    frame = pd.DataFrame({"y": IDS % 2, "city": IDS.astype(str), "one": 7, "none": np.nan, "row": np.arange(ROWS),
                          "row_id": np.arange(ROWS), "text": [f"t{i}" for i in range(ROWS)]})  # fmt: skip
    with pytest.warns(UserWarning, match=r"left out of the model: 'one' \(one value\), 'none' \(no values\)") as caught:
        found = infer_columns(frame, "y")
    assert found.left_out == {
        "one": "one value", "none": "no values", "row_id": "a value of its own in every row",
        "text": "a value of its own in every row",
    }  # fmt: skip
    assert found.dense == ("row",) and found.categorical == ("city",)
    assert caught[0].filename == __file__


def test_columns_of_a_public_data_set_are_what_they_are_there() -> None:
    """I10 has few values and would be a code by itself; columns beside those of the data set follow the rules."""
    dense = {f"I{i}": rng.integers(0, 5 if i == 10 else 90, ROWS) for i in range(1, 14)}
    frame = pd.DataFrame(
        {**dense, **{f"C{i}": IDS for i in range(1, 27)}, "clicked": IDS % 2, "extra": rng.random(ROWS)}
    )
    found = infer_columns(frame, "clicked")
    assert found.dense == (*dense, "extra") and len(found.categorical) == 26
    assert "I10" in infer_columns(frame.drop(columns="C1"), "clicked").categorical


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"t": pd.Timestamp("2022-05-01")}, {}, r"'t' holds dates or times.*frame\['t'\].dt.hour.*ignore=\['t'\]"),
        ({"t": datetime.date(2022, 5, 1)}, {}, "'t' holds dates or times"),
        ({"t": pd.Timedelta("3s")}, {}, "'t' holds durations"),
        ({"t": [[1, 2]] * 4}, {}, r"'t' holds values of type list.*ignore=\['t'\]"),
        ({}, {"label": "z"}, "label column 'z' is not in the frame, which has y, c"),
        ({}, {"dense": ["z"]}, "dense column 'z' is not in the frame"),
        ({}, {"dense": ["c"], "categorical": ["c"]}, "column 'c' is named as dense and as categorical"),
        ({}, {"categorical": ["y"]}, "column 'y' is named as label and as categorical"),
        ({}, {"categorical": [3]}, "categorical must name columns by text, not 3"),
        ({"c": [0.5, 0.25, 0.75, 1.0]}, {}, "no column of the frame is categorical"),
        ({3.5: 1}, {}, "column name 3.5 of the frame is no text"),
    ],
)
def test_errors(change, arguments, message) -> None:
    frame = pd.DataFrame({"y": [0, 1, 0, 1], "c": ["a", "b", "a", "b"]})
    for name, values in change.items():
        frame[name] = values
    with pytest.raises(DataError, match=message):
        infer_columns(frame, **({"label": "y"} | arguments))


def test_what_is_no_frame() -> None:
    for value, message in (([1, 2], "a pandas DataFrame is expected"), (pd.DataFrame({"y": []}), "has no rows")):
        with pytest.raises(DataError, match=message):
            infer_columns(value, "y")
    with pytest.raises(DataError, match="column 'c' comes twice"):
        infer_columns(pd.DataFrame([[0, 1, 2]], columns=["y", "c", "c"]), "y")
