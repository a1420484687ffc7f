"""A prepared folder that is damaged in any way is named in one line, never read as if it were whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import nasrec.data
from nasrec.data.manifest import _checksum
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import DataError, NasrecError
from nasrec.features import FeatureSpec


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "frappe"
    text = "\n".join(f"{i % 2},{i % 7},1,1,1,1,1,1,1,1,1" for i in range(300))
    raw = folder.parent / "frappe.csv"
    raw.write_text("label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city\n" + text)
    nasrec.data.prepare([raw], folder, dataset="frappe")
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def fails(folder: Path, words: str, *, check: bool = False) -> None:
    with pytest.raises(DataError, match=words) as caught:
        nasrec.data.open(folder, check=check).train.fetch(slice(0, 5))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_whole(folder) -> None:
    data = nasrec.data.open(folder, check=True)
    assert data.features(8) == FeatureSpec(0, [9, *[3] * 9], 8)
    assert data.manifest.checksum == json.loads((folder / "manifest.json").read_text())["checksum"]
    assert data.vocabulary("user")["3"] >= 2 and data.vocabulary("user")["8"] == 1
    assert data.vocabulary("user")[None] == 0
    with pytest.raises(DataError, match="no vocabulary of a column 'colour'; there are user, item"):
        data.vocabulary("colour")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[]", "is not a manifest of prepared data"),
        ('{"format": "other"}', "is not a manifest of prepared data"),
        ('{"format": "nasrec-data", "version": 2}', "is of version 2, this program reads 1"),
        ('{"format": "nasrec-data", "version": 1}', "its checksum does not fit"),
    ],
)
def test_corrupt_manifest(folder, text, words) -> None:
    (folder / "manifest.json").write_text(text)
    fails(folder, f"manifest.json: {words}")


def test_every_changed_byte_of_the_manifest_is_noticed(folder) -> None:
    path = folder / "manifest.json"
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError):
            nasrec.data.open(folder)


def test_a_manifest_of_another_form(folder) -> None:
    values = {"format": "nasrec-data", "version": 1, "parts": {}}
    (folder / "manifest.json").write_text(json.dumps(values | {"checksum": _checksum(values)}))
    fails(folder, "manifest.json: is malformed")


def test_damaged_files(folder) -> None:
    shard = next((folder / "train").iterdir())
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    fails(folder, "arrow: has [0-9,]+ bytes, the manifest says [0-9,]+; it is cut off or damaged")
    shard.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    fails(folder, "arrow: its SHA-256 is not that of the manifest", check=True)
    shard.write_bytes(b"x" * len(content))
    fails(folder, "arrow: is not a shard of prepared rows")
    shard.unlink()
    fails(folder, "arrow: is missing; the folder is not whole")


def test_a_shard_of_other_columns(folder) -> None:
    path = next((folder / "train").iterdir())
    size = path.stat().st_size
    batch = pa.record_batch([pa.array([0, 1], pa.uint8())], names=["label"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = nasrec.data.open
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(NasrecError, match="manifest says"):
        data(folder)


def test_no_data(tmp_path) -> None:
    fails(tmp_path, "holds no prepared data .no manifest.json.; make it with 'nasrec data prepare'")
    fails(tmp_path / "nowhere", "holds no prepared data")


def test_twins_are_synthetic_rows_on_disk(tmp_path) -> None:
    """The rows of `synthesize`, cut as `split` cuts, in as many rows as asked for."""
    for rows in (1_000, 140_000):
        manifest = prepare_synthetic("kdd", rows, tmp_path / str(rows), seed=5, max_cardinality=50)
        synthetic = nasrec.data.synthesize("kdd", rows, 5, max_cardinality=50)
        assert manifest.rows == rows and manifest.schema == synthetic.log.schema
        for one, two in zip(nasrec.data.open(tmp_path / str(rows)), synthetic.log.split(), strict=True):
            found = one.fetch(slice(None))
            assert (found.sparse == two.sparse).all() and (found.dense == two.dense).all()
            assert (found.label == two.label).all()
    assert prepare_synthetic("kdd", 1_000, tmp_path / "1000", seed=5, max_cardinality=50).rows == 1_000
    for arguments, words in (
        ({"seed": 6}, "already holds other prepared data"),
        ({"kind": "movielens"}, "kind 'movielens' is unknown"),
        ({"rows": 0}, "rows must be at least 1"),
        ({"split": "given"}, "no given split"),
    ):
        with pytest.raises(DataError, match=words):
            prepare_synthetic(**({"kind": "kdd", "rows": 1_000, "output": tmp_path / "1000", "seed": 5} | arguments))
