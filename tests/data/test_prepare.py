"""Raw files to a prepared folder, held against the protocol written once more in plain Python."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.data.splits import Splitter
from nasrec.errors import DataError
from tests.data.oracle import encode


def criteo_rows(count: int, seed: int = 0) -> list[list[str]]:
    """Rows of texts in Criteo's form, with gaps, negatives, rare values and letters beyond ASCII."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        dense = [rng.choice(["", "0", "-2", str(int(rng.expovariate(0.01)))]) for _ in range(13)]
        sparse = [rng.choice(["", "é", f"{int(rng.paretovariate(0.7)) % 5000:08x}"]) for _ in range(26)]
        rows.append([str(int(rng.random() < 0.3)), *dense, *sparse])
    return rows


def text_of(rows: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def parts_of(rows: list[list[str]], by: str = "random", seed: int = 2018) -> list[int]:
    label = np.array([int(row[0]) for row in rows], np.uint8)
    return Splitter(by, (0.8, 0.1, 0.1), seed, len(rows), int(label.sum())).parts(label, 0, 0).tolist()


def assert_equal(folder: Path, wanted: list[dict[str, np.ndarray]]) -> None:
    data = nasrec.data.open(folder, check=True)
    for log, expected in zip(data.load(), wanted, strict=True):
        np.testing.assert_array_equal(log.label, expected["label"])
        np.testing.assert_array_equal(log.sparse, expected["sparse"])
        np.testing.assert_allclose(log.dense, expected["dense"], rtol=1e-6)


@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize("max_table_rows", [None, 40])
def test_follows_the_protocol_in_blocks(tmp_path, by, max_table_rows) -> None:
    """Many small blocks, texts looked at in many ranges: the same as all at once."""
    rows = criteo_rows(1500)
    (tmp_path / "train.txt").write_text(text_of(rows), encoding="utf-8")
    options = Options(split=by, min_count=2, max_table_rows=max_table_rows, block_bytes=20_000)
    manifest = prepare([tmp_path], tmp_path / "out", dataset="criteo", options=options)
    assert sum(len(part.files) for part in manifest.parts.values()) > 10
    assert_equal(tmp_path / "out", encode(rows, parts_of(rows, by), dense=13, min_count=2, max_rows=max_table_rows))
    for column in manifest.columns:
        assert max_table_rows is None or column.rows <= max_table_rows


def test_blocks_and_ranges_leave_no_trace(tmp_path, monkeypatch) -> None:
    (tmp_path / "train.txt").write_text(text_of(criteo_rows(1200, 3)), encoding="utf-8")
    logs = []
    for name, block_bytes, entries in (("one", 1 << 25, 4_000_000), ("many", 9_000, 50), ("odd", 33_333, 1)):
        monkeypatch.setattr("nasrec.data.vocabulary.ENTRIES", entries)
        prepare([tmp_path / "train.txt"], tmp_path / name, options=Options(min_count=1, block_bytes=block_bytes))
        data = nasrec.data.open(tmp_path / name)
        logs.append(data.load())
        assert [list(words.items()) for words in data.vocabularies()] == [
            list(words.items()) for words in logs[0].vocabularies
        ]
    for other in logs[1:]:
        for one, two in zip(logs[0], other, strict=True):
            assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("label", "dense", "sparse"))


def test_kaggle_csv_is_the_same_log(tmp_path) -> None:
    rows = criteo_rows(300, 1)
    (tmp_path / "train.txt").write_text(text_of(rows), encoding="utf-8")
    header = ",".join(["Id", "Label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))])
    lines = [",".join([str(10**7 + i), *row]) for i, row in enumerate(rows)]
    (tmp_path / "kaggle.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    one = nasrec.data.load_logs(tmp_path / "train.txt", "criteo")
    two = nasrec.data.load_logs(tmp_path / "kaggle.csv", "criteo")
    assert one.schema == two.schema
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.sparse, b.sparse)
        np.testing.assert_array_equal(a.dense, b.dense)


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zst", "gz in two members"])
def test_packed_input(tmp_path, packing) -> None:
    text = text_of(criteo_rows(400, 2)).encode()
    half = len(text) // 2
    packed = {
        "gz": lambda: gzip.compress(text),
        "bz2": lambda: bz2.compress(text),
        "xz": lambda: lzma.compress(text),
        "zst": lambda: pa.Codec("zstd").compress(text, asbytes=True),
        "gz in two members": lambda: gzip.compress(text[:half]) + gzip.compress(text[half:]),
    }[packing]()
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "packed").write_bytes(packed)
    options = Options(block_bytes=5_000)
    for name in ("plain", "packed"):
        prepare([tmp_path / name], tmp_path / f"out-{name}", dataset="criteo", options=options)
    one, two = (nasrec.data.open(tmp_path / f"out-{name}") for name in ("plain", "packed"))
    assert [part.files for part in one.manifest.parts.values()] == [part.files for part in two.manifest.parts.values()]

    (tmp_path / "packed").write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(DataError, match=f"packed: the {packing[:3].strip()} stream is corrupt or cut off"):
        prepare([tmp_path / "packed"], tmp_path / "broken", dataset="criteo", options=options)


def test_several_files_are_one_log(tmp_path) -> None:
    rows = criteo_rows(500, 4)
    for name, part in (("a", rows[:123]), ("b", rows[123:])):
        (tmp_path / name).write_text(text_of(part), encoding="utf-8")
    prepare([tmp_path / "a", tmp_path / "b"], tmp_path / "out", dataset="criteo", options=Options(min_count=1))
    assert_equal(tmp_path / "out", encode(rows, parts_of(rows), dense=13, min_count=1))


def test_given_split(tmp_path) -> None:
    rows = criteo_rows(300, 5)
    parts = [rows[:200], rows[200:240], rows[240:]]
    for name, part in zip("abc", parts, strict=True):
        (tmp_path / name).write_text(text_of(part), encoding="utf-8")
    files = [tmp_path / name for name in "abc"]
    prepare(files, tmp_path / "out", dataset="criteo", options=Options(split="given", min_count=2))
    assert_equal(tmp_path / "out", encode(rows, [0] * 200 + [1] * 40 + [2] * 60, dense=13, min_count=2))


def test_vocabulary_from_all_rows_and_other_dense_forms(tmp_path) -> None:
    rows = criteo_rows(300, 6)
    path = tmp_path / "train.txt"
    path.write_text(text_of(rows), encoding="utf-8")
    prepare([path], tmp_path / "all", options=Options(vocabulary_from="all", min_count=1, dense="clamped-log"))
    everything = nasrec.data.open(tmp_path / "all").load()
    assert all((log.sparse != 1).all() for log in everything)
    assert min(log.dense.min() for log in everything) == 0
    prepare([path], tmp_path / "raw", options=Options(dense="none"))
    values = {float(text) for row in rows for text in row[1:14] if text}
    assert {float(v) for v in nasrec.data.open(tmp_path / "raw").train.fetch(slice(None)).dense.ravel()} <= values


def test_bad_rows_are_left_out_counted_and_listed(tmp_path) -> None:
    rows = criteo_rows(400, 7)
    lines = text_of(rows).splitlines()
    bad = {10: "2" + lines[9][1:], 50: lines[49].rsplit("\t", 1)[0], 51: "\t".join(["0", "nan", *rows[50][2:]]),
           200: "\t".join(["0", *rows[199][1:5], "ten", *rows[199][6:]]), 399: "\udcff" + lines[398]}  # fmt: skip
    for number, line in bad.items():
        lines[number - 1] = line
    lines.insert(100, "")  # a blank line is nothing, but counts as a line
    path = tmp_path / "train.txt"
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    good = [row for number, row in enumerate(rows, start=1) if number not in bad]
    manifest = prepare([path], tmp_path / "out", options=Options(min_count=2, block_bytes=30_000))
    assert_equal(tmp_path / "out", encode(good, parts_of(good), dense=13, min_count=2))
    assert manifest.bad_rows["kinds"] == {"columns": 1, "encoding": 1, "label": 1, "not finite": 1, "number": 1}
    assert [line.split(": ")[0] for line in manifest.bad_rows["first"]] == [
        f"{path}:{number}" for number in (10, 50, 51, 201, 400)
    ]
    for limit in (4, 1):
        options = Options(min_count=2, max_bad_rows=limit, block_bytes=30_000)
        with pytest.raises(
            DataError, match=rf"more than the {limit} that are allowed; the first: .*train.txt:10: column"
        ):
            prepare([path], tmp_path / f"limit{limit}", options=options)
    with pytest.raises(DataError, match=r"train.txt:10: column 'label' is '2'"):
        prepare([path], tmp_path / "strict", options=Options(max_bad_rows=0))


def test_a_second_run_finds_the_work_done(tmp_path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text_of(criteo_rows(200)), encoding="utf-8")
    first = prepare([path], tmp_path / "out")
    assert prepare([path], tmp_path / "out").checksum == first.checksum
    with pytest.raises(DataError, match="already holds data prepared from other files or with other options"):
        prepare([path], tmp_path / "out", options=Options(min_count=3))


def test_folders_that_are_not_ours(tmp_path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text_of(criteo_rows(200)), encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.doc").write_text("dear")
    with pytest.raises(DataError, match="full: is not empty and holds no prepared data"):
        prepare([path], tmp_path / "full")
    with pytest.raises(DataError, match=r"train.txt: is not empty|train.txt: cannot be written"):
        prepare([path], path)
    with pytest.raises(DataError, match=r"cannot be written: not a directory|Not a directory"):
        prepare([path], path / "below")


def test_no_input(tmp_path) -> None:
    with pytest.raises(DataError, match="name at least one raw file"):
        prepare([], tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: no such file"):
        prepare([tmp_path / "nowhere"], tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "monthly"}, "split 'monthly' is unknown"),
        ({"dense": "cube"}, "dense 'cube' is unknown"),
        ({"impressions": "half"}, "impressions 'half' is unknown"),
        ({"vocabulary_from": "test"}, "vocabulary_from 'test' is unknown"),
        ({"min_count": 0}, "min_count must be a whole number of at least 1"),
        ({"max_table_rows": 2}, "max_table_rows must be a whole number of at least 3"),
        ({"max_bad_rows": -1}, "max_bad_rows"),
        ({"block_bytes": 0}, "block_bytes"),
        ({"fractions": (1, 0, 0)}, "three positive numbers"),
    ],
)
def test_options(options, message) -> None:
    with pytest.raises(DataError, match=message):
        Options(**options)


def test_real_criteo_in_memory_and_on_disk(real_data: Path, tmp_path) -> None:
    prepare([real_data / "criteo_sample.tsv.gz"], tmp_path / "out", options=Options(block_bytes=1 << 20))
    data = nasrec.data.open(tmp_path / "out", check=True)
    for one, two in zip(data, nasrec.data.load_logs(real_data, "criteo", max_table_rows=500_000), strict=True):
        assert len(one) == len(two)
        np.testing.assert_array_equal(one.fetch(slice(None)).sparse, two.sparse)
