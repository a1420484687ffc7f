"""New rows become what preparation would have made of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.data.encode import Encoder
from nasrec.data.frame import prepare_frame
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import DataError
from tests.data.test_frame import KINDS, frame_of

NUMBERS = {
    "float64": st.none() | st.floats(allow_nan=True, allow_infinity=False),
    "float32": st.none() | st.floats(width=32, allow_nan=True, allow_infinity=False),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "boolean": st.none() | st.booleans(),
    "str": st.none() | st.integers(-999, 999).map(str),
}
CATEGORIES = {
    **NUMBERS,
    "str": st.none() | st.text(st.characters(codec="utf-8"), max_size=4),
    "object": st.none() | st.text("ab", max_size=2) | st.integers(-3, 3) | st.booleans() | st.sampled_from([0.5, 2.0]),
    "category": st.none() | st.sampled_from(["a", "b", ""]),
}


@st.composite
def columns(draw, kinds: dict[str, st.SearchStrategy], rows: int) -> pd.Series:
    kind = draw(st.sampled_from(sorted(kinds)))
    few = draw(st.lists(kinds[kind], min_size=1, max_size=8))
    return pd.Series(draw(st.lists(st.sampled_from(few), min_size=rows, max_size=rows)), dtype=kind)


@st.composite
def frames(draw) -> tuple[pd.DataFrame, list[str], list[str]]:
    rows = 10 * draw(st.integers(1, 4))
    dense = {f"d{j}": draw(columns(NUMBERS, rows)) for j in range(draw(st.integers(0, 3)))}
    sparse = {f"c{j}": draw(columns(CATEGORIES, rows)) for j in range(draw(st.integers(1, 3)))}
    frame = pd.DataFrame({"y": [0, 1] * (rows // 2), **dense, **sparse})
    return frame, list(dense), list(sparse)


@settings(max_examples=60, deadline=None)
@given(
    frames(), st.sampled_from(["signed-log", "clamped-log", "none"]), st.integers(1, 3), st.sampled_from([None, 3, 4])
)
def test_rows_of_the_prepared_frame(found, transform, min_count, table_rows) -> None:
    """Bit for bit, whatever pandas keeps the values as; also by an encoder that was saved."""
    frame, dense, sparse = found
    options = Options(
        split="time",
        fractions=(3, 1, 1),
        dense=transform,
        min_count=min_count,
        max_table_rows=table_rows,
        max_bad_rows=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        prepare_frame(frame, "y", f"{folder}/data", dense=dense, categorical=sparse, options=options)
        parts = [part.fetch(slice(None)) for part in nasrec.data.open(f"{folder}/data")]
        encoder = Encoder.of(f"{folder}/data")
        encoder.save(f"{folder}/model")
        shuffled = frame[[*sparse, *dense][::-1]]
        for found_encoder in (encoder, Encoder.load(f"{folder}/model")):
            numbers, ids = found_encoder.encode(shuffled)
            assert numbers.dtype == np.float32 and ids.dtype == np.int64
            assert numbers.tobytes() == np.concatenate([part.dense for part in parts]).tobytes()
            np.testing.assert_array_equal(ids, np.concatenate([part.sparse for part in parts]))


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    prepare_frame(frame_of(), "click", tmp_path / "data", **KINDS, options=Options(min_count=3))
    return Encoder.of(tmp_path / "data")


def test_unknown_and_missing_values(encoder) -> None:
    row = {"price": None, "stock": -3, "city": "nowhere", "user": None, "kind": True}
    dense, sparse = encoder.encode(pd.DataFrame([row, row | {"city": "", "user": 13_800_000_002, "price": 1.5}]))
    log = np.float32(-np.log1p(3.0))
    np.testing.assert_array_equal(dense, np.array([[0, log], [np.log1p(1.5), log]], np.float32))
    assert sparse[:, 0].tolist() == [1, 0] and sparse[0, 1] == 0 and sparse[1, 1] > 1 and (sparse[:, 2] > 1).all()
    assert encoder.features(8).cardinalities == encoder.schema.cardinalities


@pytest.mark.parametrize("rows", [1, 900])
def test_looking_up_and_a_table_give_the_same_ids(encoder, monkeypatch, rows) -> None:
    from nasrec.data import vocabulary

    frame = frame_of(rows).assign(city=lambda f: f["city"].astype(object).where(f["w"] < 0.8, "nowhere"))
    found = []
    for cost in (0, 1 << 40):
        monkeypatch.setattr(vocabulary, "_LOOK_UP", cost)
        found.append(encoder.encode(frame)[1])
    np.testing.assert_array_equal(*found)


def test_many_rows_are_worked_on_in_parts(encoder, monkeypatch) -> None:
    from nasrec.data import encode

    whole = encoder.encode(frame_of())
    monkeypatch.setattr(encode, "_TOGETHER", 7)
    for one, other in zip(whole, encoder.encode(frame_of()), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(DataError, match="row 12: column 'price' is inf"):
        encoder.encode(frame_of().assign(price=lambda f: f["price"].where(np.arange(900) != 12, np.inf)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["price", "city"]), "the frame lacks the columns price, city; it has click, user"),
        (lambda f: f.assign(price="cheap"), "column 'price' should hold numbers, but holds"),
        (lambda f: f.assign(price="nan"), "row 0: column 'price' is nan; expected a finite number"),
        (lambda f: f.assign(user=[[1]] * len(f)), "column 'user' should hold texts or ids"),
        (lambda f: f[:0], "the frame has no rows"),
        (lambda f: f.to_numpy(), "a pandas DataFrame is expected"),
    ],
)
def test_errors(encoder, change, message) -> None:
    with pytest.raises(DataError, match=message):
        encoder.encode(change(frame_of()))


def test_a_public_format(tmp_path, criteo_lines) -> None:
    """Rows read from Criteo's own file, and the same ones from a frame."""
    (tmp_path / "train.txt").write_text("\n".join(criteo_lines))
    prepare([tmp_path / "train.txt"], tmp_path / "out", dataset="criteo", options=Options(split="time", min_count=2))
    encoder = Encoder.of(tmp_path / "out")
    names = ["label", *encoder.schema.dense_names, *encoder.schema.sparse_names]
    texts = dict.fromkeys(encoder.schema.sparse_names, str)  # else pandas takes 00000001 for a number
    frame = pd.read_csv(tmp_path / "train.txt", sep="\t", names=names, dtype=texts)
    dense, sparse = encoder.encode(frame)
    parts = [part.fetch(slice(None)) for part in nasrec.data.open(tmp_path / "out")]
    assert dense.tobytes() == np.concatenate([part.dense for part in parts]).tobytes()
    np.testing.assert_array_equal(sparse, np.concatenate([part.sparse for part in parts]))


def test_avazus_hour_becomes_two_columns(tmp_path) -> None:
    columns = nasrec.data.formats.FORMATS["avazu"]
    rows = [{name: f"{name}{i % 4}" for name in columns.sparse} | {"id": i, "click": i % 2,
            "hour": f"141021{i % 24:02d}"} for i in range(120)]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "train.csv", index=False)
    prepare([tmp_path / "train.csv"], tmp_path / "out", dataset="avazu", options=Options(split="time"))
    data, encoder = nasrec.data.open(tmp_path / "out"), Encoder.of(tmp_path / "out")
    wanted = np.concatenate([part.fetch(slice(None)).sparse for part in data])
    np.testing.assert_array_equal(encoder.encode(frame)[1], wanted)
    np.testing.assert_array_equal(encoder.encode(frame.assign(hour=frame["hour"].astype(int)))[1], wanted)
    split = frame.assign(hour_of_day=frame["hour"].str[-2:], weekday="tuesday").drop(columns="hour")
    np.testing.assert_array_equal(encoder.encode(split)[1], wanted)
    with pytest.raises(DataError, match="column 'hour' is '25'; expected YYMMDDHH"):
        encoder.encode(frame.assign(hour="25"))


def test_missing_texts_of_a_schema(tmp_path) -> None:
    (tmp_path / "log.csv").write_text("y,p,c\n" + "0,-,-\n1,2,a\n" * 30)
    (tmp_path / "s.toml").write_text('label="y"\ndense=["p"]\ncategorical=["c"]\nmissing=["-"]\n')
    prepare([tmp_path / "log.csv"], tmp_path / "out", schema=tmp_path / "s.toml")
    Encoder.of(tmp_path / "out").save(tmp_path / "model")
    dense, sparse = Encoder.load(tmp_path / "model").encode(pd.DataFrame({"p": ["-", "2"], "c": ["-", "a"]}))
    assert dense[0, 0] == 0 and dense[1, 0] > 0 and sparse.tolist() == [[0], [2]]


def test_synthetic_rows_have_ids_as_values(tmp_path) -> None:
    prepare_synthetic("criteo", 400, tmp_path / "out", max_cardinality=20)
    Encoder.of(tmp_path / "out").save(tmp_path / "model")
    encoder = Encoder.load(tmp_path / "model")
    assert not (tmp_path / "model" / "vocabulary").exists()
    frame = pd.DataFrame({name: [3.0, np.nan] for name in encoder.schema.dense_names + encoder.schema.sparse_names})
    dense, sparse = encoder.encode(frame)
    assert (sparse == [[3], [0]] * np.ones((2, 26))).all() and (dense[0] == np.float32(np.log1p(3.0))).all()
    with pytest.raises(DataError, match=r"row 1: column 'C2' is 3\.5; its values are ids from 0 to 19"):
        encoder.encode(frame.assign(C2=[1, 3.5]))


def test_damaged_files(tmp_path, encoder) -> None:
    folder = tmp_path / "model"
    encoder.save(folder)
    whole = (folder / "encoder.json").read_text()
    for change, message in (
        ({"format": "other"}, "is no file of an encoder"),
        ({"version": 2}, "is of version 2, this program reads 1"),
        ({"dense": "price"}, "dense must be a list of texts, not 'price'"),
        ({"dense": ["city"]}, "a column comes twice"),
        ({"transform": "log"}, "transform must be one of signed-log, clamped-log, none, not 'log'"),
        ({"dataset": []}, r"dataset must be one of criteo, avazu, kdd, frappe, table, not \[\]"),
        ({"categorical": []}, "categorical must be a list of objects"),
        ({"categorical": [{"name": "a", "rows": 0, "sha256": None}]}, "rows of a categorical column must be"),
        ({"categorical": [{"name": "a", "rows": 9, "sha256": 7}]}, "sha256 of a categorical column must be a text"),
        ({"categorical": [{"rows": 9}]}, "name must be a list of texts"),
    ):
        (folder / "encoder.json").write_text(json.dumps(json.loads(whole) | change))
        with pytest.raises(DataError, match=f"encoder.json: {message}"):
            Encoder.load(folder)
    values = json.loads(whole)
    values["categorical"][0]["rows"] = 5
    (folder / "encoder.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"00.arrow: has ids outside 2 to 4"):
        Encoder.load(folder)
    (folder / "encoder.json").write_text(whole)
    path = folder / "vocabulary" / "01.arrow"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"01.arrow: its SHA-256 is not that of encoder.json"):
        Encoder.load(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"01.arrow: cannot be read"):
        Encoder.load(folder)


def test_a_file_that_is_no_vocabulary(tmp_path) -> None:
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), pa.schema([("text", pa.int64())])) as writer:
        writer.write_table(pa.table({"text": [1]}))
    with pytest.raises(DataError, match=r"x.arrow: is not a vocabulary; it has the columns text"):
        nasrec.data.Vocabulary(tmp_path / "x.arrow")
