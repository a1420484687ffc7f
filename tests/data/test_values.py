"""Arrow columns of any type become the numbers and texts that a CSV file of them would give."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasrec.data
from nasrec.data import prepare
from nasrec.data.values import as_numbers, as_texts


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1.0, 2.5, None, 1.380000001e10, -0.0]), ["1", "2.5", None, "13800000010", "0"]),
        (pa.array([2.0, 0.25], pa.float32()), ["2", "0.25"]),
        (pa.array([float("nan"), float("inf"), 1e300]), ["nan", "inf", "1e+300"]),
        (pa.array([2**60 + 1, -7]), ["1152921504606846977", "-7"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([True, False, None]), ["1", "0", None]),
        (pa.array(["a", "", None], pa.large_string()), ["a", None, None]),
        (pa.array(["a", ""], pa.string_view()), ["a", None]),
        (pa.array([3, 4, 3]).dictionary_encode(), ["3", "4", "3"]),
        (pa.chunked_array([[1.0], [None, 2.0]]), ["1", None, "2"]),
        (pa.array([None, None]), [None, None]),
    ],
)
def test_texts(column, texts) -> None:
    assert as_texts(column).type == pa.string()
    assert as_texts(column).to_pylist() == texts


def test_numbers() -> None:
    assert as_numbers(pa.array([" 1.5", "-", None, "2e1"]), ["-"]).to_pylist() == [1.5, None, None, 20.0]
    assert as_numbers(pa.array([2**60 + 1])).to_pylist() == [float(2**60 + 1)]
    assert as_numbers(pa.array([True, None])).to_pylist() == [1.0, None]
    nan = pa.array([1.0, float("nan")])
    assert np.isnan(as_numbers(nan)[1].as_py()) and as_numbers(nan, ["NaN"]).to_pylist() == [1.0, None]
    for column in (["a"], [[1]], np.array(["2022-05-01"], "datetime64[s]")):
        with pytest.raises(pa.ArrowException):
            as_numbers(pa.array(column))


@pytest.mark.parametrize(
    ("column", "text", "missing"),
    [
        (pa.array([2**60 + i for i in range(60)]), [str(2**60 + i) for i in range(60)], [""]),
        (pa.array(["-" if i % 5 == 0 else f"{i}.5" for i in range(60)]), None, ["", "-"]),
        (pa.array([float("nan") if i % 5 == 0 else i / 4 for i in range(60)]), None, ["", "nan"]),
        (pa.array([None if i % 5 == 0 else float(i) for i in range(60)]), None, ["", "nan"]),
    ],
    ids=["large integers", "numbers as texts", "NaN is missing", "whole numbers with gaps"],
)
def test_parquet_and_csv_give_the_same_rows(tmp_path, column, text, missing) -> None:
    """A column used as number and as category, from a Parquet file and from the CSV file of the same values."""
    values = text or ["" if value is None else f"{value:g}" if isinstance(value, float) else value
                      for value in column.to_pylist()]  # fmt: skip
    label = [i % 2 for i in range(60)]
    pq.write_table(pa.table({"y": label, "p": column, "c": column}), tmp_path / "log.parquet")
    lines = [f"{y},{value},{value}" for y, value in zip(label, values, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["y,p,c", *lines, ""]))
    shown = ", ".join(f'"{word}"' for word in missing)
    (tmp_path / "s.toml").write_text(f'label="y"\ndense=["p"]\ncategorical=["c"]\nmissing=[{shown}]\n')
    for kind in ("csv", "parquet"):
        manifest = prepare([tmp_path / f"log.{kind}"], tmp_path / kind, schema=tmp_path / "s.toml")
        assert manifest.rows == 60 and manifest.options.get("missing", [""]) == missing
    for one, other in zip(nasrec.data.open(tmp_path / "csv"), nasrec.data.open(tmp_path / "parquet"), strict=True):
        rows, others = one.fetch(slice(None)), other.fetch(slice(None))
        np.testing.assert_array_equal(rows.dense, others.dense)
        np.testing.assert_array_equal(rows.sparse, others.sparse)


def test_ids_with_gaps_are_known_where_they_have_none(tmp_path) -> None:
    """A user column is of floating point where one of its values is missing, and of integers in the other files."""
    users = np.arange(100) + 13_800_000_001
    gaps = [None if i % 7 == 0 else float(user) for i, user in enumerate(users)]
    for name, column in {"train": pa.array(gaps), "valid": pa.array(users), "test": pa.array(users)}.items():
        pq.write_table(pa.table({"y": [0, 1] * 50, "user": column}), tmp_path / f"{name}.parquet")
    (tmp_path / "s.toml").write_text('label = "y"\ncategorical = ["user"]\n')
    files = [tmp_path / f"{name}.parquet" for name in ("train", "valid", "test")]
    options = nasrec.data.Options(split="given")
    prepare(files, tmp_path / "out", schema=tmp_path / "s.toml", options=options)
    found = nasrec.data.open(tmp_path / "out").valid.fetch(slice(None)).sparse[:, 0]
    assert [place for place, id_ in enumerate(found) if id_ == 1] == list(range(0, 100, 7))
