"""Any table through a schema file: CSV, TSV, headerless text, Parquet."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.data.schemafile import load_schema
from nasrec.errors import DataError
from tests.data.oracle import encode
from tests.data.test_prepare import assert_equal, parts_of

SCHEMA = 'label = "y"\ndense = ["p", "q"]\ncategorical = ["c", "d"]\nmissing = ["", "NA"]\nmin_count = 2\n'


def table(rows: int) -> list[list[str]]:
    rng = random.Random(1)
    return [
        [str(rng.randrange(2)), rng.choice(["", "NA", "3.5", "-1e2"]), str(rng.randrange(99)),
         rng.choice(["a b", "NA", 'x"y', "k,l", f"n{rng.randrange(60)}"]), str(rng.randrange(9))]
        for _ in range(rows)
    ]  # fmt: skip


def quoted(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set('",') else cell for cell in cells)


def schema_file(folder: Path, text: str = SCHEMA, name: str = "schema.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def wanted(rows: list[list[str]]) -> list[dict[str, np.ndarray]]:
    return encode(rows, parts_of(rows), dense=2, min_count=2, missing=("", "NA"))


@pytest.mark.parametrize("spare", [False, True])
def test_csv(tmp_path, spare) -> None:
    """With quotes, a text for missing values, columns in any order, and columns that nobody asked for."""
    rows = table(600)
    order = [3, 0, 4, 2, 1]
    names = [["y", "p", "q", "c", "d"][i] for i in order] + (["note"] if spare else [])
    lines = [quoted([row[i] for i in order] + (["hello"] if spare else [])) for row in rows]
    (tmp_path / "log.csv").write_text("\n".join([",".join(names), *lines]))
    manifest = prepare(
        [tmp_path / "log.csv"], tmp_path / "out", schema=schema_file(tmp_path), options=Options(block_bytes=3000)
    )
    assert (manifest.dataset, manifest.title) == ("table", "schema")
    assert_equal(tmp_path / "out", wanted(rows))


def test_tabs_without_header(tmp_path) -> None:
    rows = table(300)
    (tmp_path / "log").write_text("".join("\t".join(row) + "\n" for row in rows))
    text = {"label": "y", "dense": ["p", "q"], "categorical": ["c", "d"], "separator": "tab", "header": False,
            "columns": ["y", "p", "q", "c", "d"], "missing": ["", "NA"], "min_count": 2}  # fmt: skip
    schema = schema_file(tmp_path, json.dumps(text), "schema.json")
    prepare([tmp_path / "log"], tmp_path / "out", schema=schema)
    assert_equal(tmp_path / "out", wanted(rows))


@pytest.mark.parametrize("numbers", ["text", "typed"])
def test_parquet(tmp_path, numbers) -> None:
    rows = table(1000)
    columns = dict(zip("ypqcd", map(list, zip(*rows, strict=True)), strict=True))
    values = {name: pa.array(column) for name, column in columns.items()}
    values["y"] = pa.array([text == "1" for text in columns["y"]])
    values["p"] = pa.array([None if text in ("", "NA") else float(text) for text in columns["p"]])
    if numbers == "typed":
        values |= {"q": pa.array([int(text) for text in columns["q"]]), "d": pa.array(map(int, columns["d"]))}
        values["c"] = values["c"].dictionary_encode()
    pq.write_table(pa.table(values), tmp_path / "log.parquet", row_group_size=300)
    options = Options(block_bytes=5000)
    prepare([tmp_path / "log.parquet"], tmp_path / "out", schema=schema_file(tmp_path), options=options)
    assert_equal(tmp_path / "out", wanted(rows))
    assert len(nasrec.data.open(tmp_path / "out").manifest.parts["train"].files) > 8


def test_parquet_bad_rows(tmp_path) -> None:
    y = [0, 1, 2, None, 1, 0, 1] * 20
    p = [0.0, 1.0, 2.0, 3.0, float("nan"), float("inf"), None] * 20
    pq.write_table(pa.table({"y": y, "p": pa.array(p, from_pandas=False), "c": ["x"] * 140}), tmp_path / "log.parquet")
    schema = schema_file(tmp_path, 'label = "y"\ndense = ["p"]\ncategorical = ["c"]\n')
    manifest = prepare([tmp_path / "log.parquet"], tmp_path / "out", schema=schema)
    assert manifest.rows == 60 and manifest.bad_rows["kinds"] == {"label": 40, "not finite": 40}
    assert manifest.bad_rows["first"][0] == f"{tmp_path / 'log.parquet'}:3: column 'y' is '2'; the label must be 0 or 1"


def test_parquet_errors(tmp_path) -> None:
    schema = schema_file(tmp_path, 'label = "y"\ndense = ["p"]\ncategorical = ["c"]\n')
    pq.write_table(pa.table({"y": [0, 1], "p": ["a", "b"], "c": ["x", "y"]}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"text.parquet: column 'p' holds string values that are no numbers"):
        prepare([tmp_path / "text.parquet"], tmp_path / "a", schema=schema)
    pq.write_table(pa.table({"y": [0, 1], "x": [1, 2]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other.parquet: lacks the columns p, c of schema; it has y, x"):
        prepare([tmp_path / "other.parquet"], tmp_path / "b", schema=schema)
    with pytest.raises(DataError, match="a Parquet file; say what its columns mean with a schema file"):
        prepare([tmp_path / "other.parquet"], tmp_path / "c")
    data = (tmp_path / "text.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut.parquet: is not a whole Parquet file"):
        prepare([tmp_path / "cut.parquet"], tmp_path / "d", schema=schema)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label = ", "is not TOML"),
        ('categorical = ["c"]', "the schema lacks 'label'"),
        ('label = "y"', "the schema lacks 'categorical'"),
        ('label = "y"\ncategorical = []', "categorical names no column"),
        ('label = "y"\ncategorical = ["c"]\ncolour = 1', "a schema has no key 'colour'"),
        ('label = "y"\ncategorical = ["y"]', "column 'y' is named twice"),
        ('label = 1\ncategorical = ["c"]', "label must be a column's name, not 1"),
        ('label = "y"\ncategorical = "c"', "categorical must be a list of texts"),
        ('label = "y"\ncategorical = ["c"]\nheader = "no"', "header must be true or false"),
        ('label = "y"\ncategorical = ["c"]\nheader = false', "columns must name all columns"),
        ('label = "y"\ncategorical = ["c"]\nheader = false\ncolumns = ["c"]', "columns lacks y"),
        ('label = "y"\ncategorical = ["c"]\nseparator = "ab"', "separator must be one ASCII character"),
        ('label = "y"\ncategorical = ["c"]\nmin_count = 0', "min_count must be a whole number"),
    ],
)
def test_schema_errors(tmp_path, text, message) -> None:
    with pytest.raises(DataError, match=f"schema.toml: {message}"):
        load_schema(schema_file(tmp_path, text))
    with pytest.raises(DataError, match="cannot be read"):
        load_schema(tmp_path / "none.toml")


def test_a_table_that_does_not_fit_the_schema(tmp_path) -> None:
    (tmp_path / "log.csv").write_text("y,p,c\n0,1,x\n")
    with pytest.raises(DataError, match=r"log.csv, line 1: the header is not that of schema; missing q, d"):
        prepare([tmp_path / "log.csv"], tmp_path / "out", schema=schema_file(tmp_path))
    with pytest.raises(DataError, match="a data set or a schema file, not both"):
        prepare([tmp_path / "log.csv"], tmp_path / "out", schema=schema_file(tmp_path), dataset="avazu")


@pytest.mark.parametrize("line", ['1,2,3,"open,x', "1,2,3,a\rb,x", '1,2,3,"a\nb",x'])
def test_a_row_is_one_line(tmp_path, line) -> None:
    rows = [quoted(row) for row in table(100)]
    (tmp_path / "log.csv").write_text("\n".join(["y,p,q,c,d", *rows[:50], line, *rows[50:]]), newline="")
    manifest = prepare([tmp_path / "log.csv"], tmp_path / "out", schema=schema_file(tmp_path))
    assert manifest.rows == 100 and set(manifest.bad_rows["kinds"]) == {"columns"}
