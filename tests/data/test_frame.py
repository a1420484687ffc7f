"""A DataFrame becomes the prepared folder that the same table in a file becomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.data.frame import prepare_frame
from nasrec.errors import DataError


def frame_of(rows: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    ids = rng.integers(0, 40, rows)
    return pd.DataFrame(
        {
            "city": np.where(ids % 9 == 0, None, np.char.add("c ", ids.astype(str))),
            "price": np.where(ids % 5 == 0, np.nan, rng.normal(0, 30, rows)),
            "click": rng.random(rows) < 0.3,
            "user": np.where(ids % 7 == 0, np.nan, ids + 13_800_000_001),
            "stock": rng.integers(-2, 10_000, rows) + 2**60,
            "kind": pd.Categorical(ids % 3 == 0),
            "w": rng.random(rows) + 0.1,
            "note": "unused",
        },
        index=rng.permutation(rows),
    )


KINDS = {"dense": ["price", "stock"], "categorical": ["city", "user", "kind"]}


def assert_same_rows(one: Path, other: Path) -> None:
    for mine, theirs in zip(nasrec.data.open(one), nasrec.data.open(other), strict=True):
        rows, others = mine.fetch(slice(None)), theirs.fetch(slice(None))
        for name in ("dense", "sparse", "label", "weight"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(others, name), err_msg=name)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("split", ["random", "time"])
def test_same_as_a_file(tmp_path, weight, split) -> None:
    frame, options = frame_of(), Options(split=split, min_count=3, block_bytes=9000)
    before = frame.copy(deep=True)
    manifest = prepare_frame(frame, "click", tmp_path / "frame", **KINDS, weight=weight, options=options)
    pd.testing.assert_frame_equal(frame, before)
    frame.to_parquet(tmp_path / "log.parquet", index=False)
    schema = {"label": "click", **KINDS} | ({"weight": weight} if weight else {})
    (tmp_path / "log.json").write_text(json.dumps(schema))
    prepare([tmp_path / "log.parquet"], tmp_path / "file", schema=tmp_path / "log.json", options=options)
    assert_same_rows(tmp_path / "frame", tmp_path / "file")
    assert len(manifest.parts["train"].files) > 3 and manifest.weighted == (weight is not None)
    assert manifest.title == "DataFrame" and [source["path"] for source in manifest.sources] == ["DataFrame"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "frame", "log.json", "log.parquet"]


def test_same_as_csv(tmp_path) -> None:
    frame = frame_of().assign(user=lambda f: f["user"].astype("Int64"), click=lambda f: f["click"] * 1)
    prepare_frame(frame, "click", tmp_path / "frame", **KINDS)
    frame.assign(kind=frame["kind"].astype(int)).to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "log.json").write_text(json.dumps({"label": "click", **KINDS}))
    prepare([tmp_path / "log.csv"], tmp_path / "file", schema=tmp_path / "log.json")
    assert_same_rows(tmp_path / "frame", tmp_path / "file")


def test_given_parts(tmp_path) -> None:
    """Valid and test rows are read with the vocabulary of the training rows, whatever their own types."""
    frame = frame_of()
    train, valid, test = frame[:500], frame[500:700].dropna(), frame[700:]
    valid = valid.assign(user=valid["user"].astype(np.int64))
    prepare_frame(train, "click", tmp_path / "out", **KINDS, valid=valid, test=test)
    data = nasrec.data.open(tmp_path / "out")
    assert [len(part) for part in data] == [500, len(valid), 200]
    known, vocabulary = set(train["user"].dropna()), data.vocabulary("user")
    wanted = [vocabulary[str(user)] if user in known else 1 for user in valid["user"]]
    assert data.valid.fetch(slice(None)).sparse[:, 1].tolist() == wanted and max(wanted) > 1
    with pytest.raises(DataError, match=r"DataFrame \(test\): the frame lacks the column price"):
        prepare_frame(train, "click", tmp_path / "b", **KINDS, valid=valid, test=test.drop(columns="price"))
    with pytest.raises(DataError, match="give both valid and test, or neither"):
        prepare_frame(train, "click", tmp_path / "b", **KINDS, valid=valid)


def test_again_is_the_same_work(tmp_path) -> None:
    frame, out = frame_of(), tmp_path / "out"
    first = prepare_frame(frame, "click", out, **KINDS)
    assert prepare_frame(frame.drop(columns="note"), "click", out, **KINDS) == first
    for other, message in (
        ({"frame": frame.assign(price=1.0)}, "other rows"),
        ({"options": Options(seed=3)}, "other options"),
        ({"categorical": ["city"]}, "other"),
    ):
        with pytest.raises(DataError, match=f"{out}: already holds data prepared from .*{message}"):
            prepare_frame(**({"frame": frame, "label": "click", "out": out} | KINDS | other))


def test_an_infinite_number_is_a_bad_row(tmp_path) -> None:
    frame = frame_of()
    frame.iloc[17, frame.columns.get_loc("price")] = np.inf
    with pytest.warns(
        UserWarning, match="1 of clicks's rows are left out; the first: clicks:17: column 'price' is inf"
    ):
        manifest = prepare_frame(frame, "click", tmp_path / "a", **KINDS, name="clicks")
    assert manifest.rows == len(frame) - 1 and manifest.bad_rows["kinds"] == {"not finite": 1}
    with pytest.raises(DataError, match="DataFrame:17: column 'price' is inf"):
        prepare_frame(frame, "click", tmp_path / "b", **KINDS, options=Options(max_bad_rows=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"click": 2}, "column 'click' is 2 in row 0 and 899 more; a label must be 0 or 1"),
        ({"click": np.where(np.arange(900) == 5, np.nan, 1)}, "column 'click' is missing in row 5; a label must be"),
        ({"click": "yes"}, "column 'click' should hold numbers, but holds"),
        ({"click": 1}, "column 'click': all 900 rows have a click; learning needs both classes"),
        ({"w": -1.0}, "column 'w' is -1 in row 0 and 899 more; a weight must be a positive number"),
        ({"w": 1e39}, "column 'w' is 1e\\+39 in row 0"),
        ({"price": "cheap"}, "column 'price' should hold numbers, but holds"),
        (
            {"city": lambda f: pd.Series(["\ud800"] * 900, f.index, object)},
            "column 'city' holds a text with half of a character",
        ),
        ({"city": pd.Interval(0, 1)}, "column 'city' should hold texts or ids, but holds"),
    ],
)
def test_errors(tmp_path, change, message) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare_frame(frame_of().assign(**change), "click", tmp_path / "out", **KINDS, weight="w")
    assert "\n" not in str(caught.value) and not (tmp_path / "out" / "manifest.json").exists()
