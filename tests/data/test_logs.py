"""Raw files to prepared logs: values, vocabularies and splits."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nasrec.data import load_logs
from nasrec.data.blocks import squash
from nasrec.data.formats import FORMATS
from nasrec.errors import DataError

AVAZU_HEADER = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
    "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)


def avazu_text(rows: int, header: str = AVAZU_HEADER) -> str:
    """Two days (a Tuesday and a Wednesday), hours 0 and 13."""
    lines = []
    for row in range(rows):
        cells = dict.fromkeys(header.split(","), "x")
        cells |= {"id": str(10**18 + row), "click": str(int(row % 3 == 0)), "hour": ("14102100", "14102213")[row % 2]}
        lines.append(",".join(cells.values()))
    return "\n".join([header, *lines]) + "\n"


def frappe_text(rows: int, first_user: int = 0) -> str:
    lines = (f"{row % 2},{first_user + row % 7},{row % 11},1,2,3,4,5,6,7,8" for row in range(rows))
    return "\n".join(["label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city", *lines]) + "\n"


def test_squash_is_odd_and_maps_missing_to_zero() -> None:
    got = squash(np.array([[0.0, 1.0, -2.0, np.nan, 65535.0]]), "signed-log")
    np.testing.assert_allclose(got, [[0, np.log(2), -np.log(3), 0, np.log(65536)]], rtol=1e-6)
    assert got.dtype == np.float32


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz", "gz_without_the_ending"])
def test_criteo_values(raw_file, criteo_lines, name) -> None:
    text = "\n".join(criteo_lines) + "\n"
    path = raw_file(name, gzip.compress(text.encode()) if name.startswith("gz") else text)
    splits = load_logs(path, split="time", min_count=1)
    train, valid, test = splits
    assert (len(train), len(valid), len(test)) == (160, 20, 20)
    assert train.schema.num_dense == 13 and train.schema.num_sparse == 26
    everything = np.concatenate([log.dense for log in splits])
    np.testing.assert_allclose(everything[:, 0], np.log1p(np.arange(200)), rtol=1e-6)
    assert everything[5, 1] == pytest.approx(-np.log(3)) and everything[6, 1] == pytest.approx(np.log(4))
    assert everything[1, 2] == 0 and everything[2, 2] == pytest.approx(np.log(8))
    np.testing.assert_array_equal(np.concatenate([log.label for log in splits]), np.arange(200) % 4 == 0)
    # C1 has three values: ids 2, 3, 4; C2 is always missing: id 0.
    assert train.schema.cardinalities[:3] == (5, 2, 3)
    first = np.concatenate([log.sparse[:, 0] for log in splits])
    assert first.min() == 2 and all(len(set(first[row::3])) == 1 for row in range(3))
    assert (train.sparse[:, 1] == 0).all() and (train.sparse[:, 2] == 2).all()


def test_ids_follow_training_frequency_and_rare_values_are_cut(raw_file) -> None:
    users = ["b"] * 30 + ["a"] * 30 + ["c"] * 40 + ["rare"] * 3
    lines = [f"{row % 2},{user},1,1,1,1,1,1,1,1,1" for row, user in enumerate(users)]
    header = "label," + ",".join(FORMATS["frappe"].sparse)
    train = raw_file("frappe_x1_train.csv", "\n".join([header, *lines]) + "\n")
    late = "\n".join([header, "0,new,1,1,1,1,1,1,1,1,1", "1,c,,1,1,1,1,1,1,1,1"]) + "\n"
    raw_file("frappe_x1_valid.csv", late)
    raw_file("frappe_x1_test.csv", late)
    splits = load_logs(train.parent, min_count=4)
    users = list(splits.vocabularies[0].items())
    assert users == [("c", 2, 40), ("a", 3, 30), ("b", 4, 30)]  # the tie of a and b in text order
    assert splits.schema.cardinalities[0] == 5
    assert splits.train.sparse[-1, 0] == 1  # rare
    np.testing.assert_array_equal(splits.valid.sparse[:, 0], [1, 2])  # new
    np.testing.assert_array_equal(splits.test.sparse[:, 1], [2, 0])  # an empty field is missing


def test_vocabulary_never_sees_validation_or_test_rows(raw_file) -> None:
    """Values of later rows must not change what the training rows are turned into."""
    base = frappe_text(400).splitlines()
    changed = [line if row <= 320 else line.replace(",1,2,3,", ",new,2,3,") for row, line in enumerate(base)]
    one = load_logs(raw_file("one.csv", "\n".join(base)), split="time", min_count=1)
    two = load_logs(raw_file("two.csv", "\n".join(changed)), split="time", min_count=1)
    assert [list(words.items()) for words in one.vocabularies] == [list(words.items()) for words in two.vocabularies]
    np.testing.assert_array_equal(one.train.sparse, two.train.sparse)
    assert (two.test.sparse[:, 2] == 1).all() and (one.test.sparse[:, 2] == 2).all()


def test_avazu_hour_becomes_two_columns_and_the_id_goes(raw_file) -> None:
    splits = load_logs(raw_file("train.csv", avazu_text(300)))
    train = splits.train
    assert train.dense.shape == (240, 0) and train.schema.num_sparse == 23
    assert train.schema.sparse_names[:2] == ("hour_of_day", "weekday") and "id" not in train.schema.sparse_names
    assert {text for text, _, _ in splits.vocabularies[0].items()} == {"00", "13"}
    assert {text for text, _, _ in splits.vocabularies[1].items()} == {"tuesday", "wednesday"}
    dense, sparse, label = next(train.batches(7))
    assert dense.shape == (7, 0) and sparse.shape == (7, 23) and label.shape == (7,)


def test_columns_may_stand_in_another_order(raw_file) -> None:
    order = list(reversed(AVAZU_HEADER.split(",")))
    one = load_logs(raw_file("one.csv", avazu_text(100)))
    two = load_logs(raw_file("two.csv", avazu_text(100, ",".join(order))))
    assert one.schema == two.schema
    np.testing.assert_array_equal(one.train.sparse, two.train.sparse)


def test_random_split_is_stratified_seeded_and_a_partition(raw_file, criteo_lines) -> None:
    path = raw_file("train.txt", "\n".join(criteo_lines))
    one, again, other = load_logs(path), load_logs(path, seed=2018), load_logs(path, seed=1)
    for log in one:
        assert log.click_rate == pytest.approx(0.25)
    np.testing.assert_array_equal(one.test.dense, again.test.dense)
    assert not np.array_equal(one.test.dense, other.test.dense)
    rows = np.sort(np.concatenate([np.round(np.expm1(log.dense[:, 0])) for log in one]))
    np.testing.assert_array_equal(rows, np.arange(200))


def test_max_rows_takes_the_first(raw_file, criteo_lines) -> None:
    splits = load_logs(raw_file("train.txt", "\n".join(criteo_lines)), max_rows=100, split="time")
    assert sum(map(len, splits)) == 100
    assert splits.test.dense[-1, 0] == pytest.approx(np.log(100))


def test_windows_line_ends_and_blank_last_lines(raw_file, criteo_lines) -> None:
    plain = load_logs(raw_file("a.txt", "\n".join(criteo_lines)))
    odd = load_logs(raw_file("b.txt", "\r\n".join(criteo_lines) + "\r\n\r\n"))
    np.testing.assert_array_equal(plain.train.sparse, odd.train.sparse)
    np.testing.assert_array_equal(plain.train.dense, odd.train.dense)


def test_folder_with_a_given_split(raw_file) -> None:
    for part, rows in (("train", 80), ("valid", 30), ("test", 20)):
        path = raw_file(f"frappe_x1_{part}.csv.gz", frappe_text(rows))
    assert [len(log) for log in load_logs(path.parent)] == [80, 30, 20]
    with pytest.raises(DataError, match="three files give the split"):
        load_logs(path.parent, split="time")


def test_folder_with_several_kinds_wants_a_choice(raw_file, criteo_lines) -> None:
    raw_file("criteo_sample.tsv.gz", "\n".join(criteo_lines))
    folder = raw_file("avazu_sample.csv", avazu_text(100)).parent
    with pytest.raises(DataError, match=r"several kinds .criteo, avazu.*name the data set"):
        load_logs(folder)
    assert load_logs(folder, "avazu").schema.num_dense == 0
    assert load_logs(folder, "criteo").schema.num_dense == 13


def test_folder_where_one_name_fits_two_kinds_goes_by_content(raw_file) -> None:
    folder = raw_file("train.csv", frappe_text(100)).parent
    assert load_logs(folder).schema.sparse_names[0] == "user"


def test_real_criteo(real_data: Path) -> None:
    splits = load_logs(real_data, "criteo")
    assert sum(map(len, splits)) == 18_497
    assert splits.schema.num_dense == 13 and splits.schema.num_sparse == 26
    assert splits.test.click_rate == pytest.approx(4380 / 18_497, abs=1e-3)
    assert splits.train.dense.min() == pytest.approx(-np.log(3))  # I2 goes down to -2


def test_real_avazu(real_data: Path) -> None:
    splits = load_logs(real_data, "avazu")
    assert sum(map(len, splits)) == 9_999
    assert splits.schema.num_dense == 0 and splits.schema.num_sparse == 23
    assert splits.schema.cardinalities[:2] == (3, 3)  # one single hour


def test_real_frappe(real_data: Path) -> None:
    splits = load_logs(real_data, "frappe")
    assert [len(log) for log in splits] == [202_005, 57_722, 28_860]
    assert splits.schema.num_dense == 0 and splits.schema.num_sparse == 10
    assert splits.schema.cardinalities[2:] == (9, 9, 4, 5, 4, 11, 82, 235)
