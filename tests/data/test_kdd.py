"""KDD Cup 2012 track 2: lines that sum impressions up, and user profiles joined to them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.errors import DataError

NAMES = ("display_url", "ad_id", "advertiser_id", "query_id", "keyword_id", "title_id", "description_id", "user_id",
         "gender", "age")  # fmt: skip


def write_logs(folder: Path, lines: int = 300) -> list[list[int]]:
    """A contest folder: users 0..39, profiles of 1..29; click, impression, then the other ten columns."""
    rng = random.Random(0)
    rows = []
    for _ in range(lines):
        impressions = rng.choice([1, 1, 1, 2, 7])
        clicks = rng.choice([0, 0, rng.randrange(impressions + 1)])
        rows.append([clicks, impressions, *(rng.randrange(5) for _ in range(9)), rng.randrange(40)])
    (folder / "training.txt").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    users = [(user, user % 3, 1 + user % 6) for user in range(1, 30)]
    rng.shuffle(users)
    (folder / "userid_profile.txt").write_text("".join("\t".join(map(str, user)) + "\n" for user in users))
    return rows


def decoded(folder: Path) -> list[tuple[object, ...]]:
    """All rows with their texts again: label, weight, impression, user, gender, age."""
    data = nasrec.data.open(folder)
    texts = [{number: text for text, number, _ in words.items()} | {0: None} for words in data.vocabularies()]
    found = []
    for log in data.load():
        weights = np.ones(len(log)) if log.weight is None else log.weight
        for label, weight, dense, ids in zip(log.label, weights, log.dense, log.sparse, strict=True):
            user, gender, age = (texts[j][int(ids[j])] for j in (7, 8, 9))
            found.append((int(label), int(weight), round(float(np.expm1(dense[0]))), user, gender, age))
    return sorted(found, key=str)


def expected(rows: list[list[int]], how: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for clicks, impressions, *rest in rows:
        user = rest[-1]
        known = 1 <= user < 30
        tail = (impressions, str(user), str(user % 3) if known else None, str(1 + user % 6) if known else None)
        if how == "line":
            found.append((int(clicks > 0), 1, *tail))
        elif how == "expand":
            found += [(1, 1, *tail)] * clicks + [(0, 1, *tail)] * (impressions - clicks)
        else:
            found += [(1, clicks, *tail)] * (clicks > 0) + [(0, impressions - clicks, *tail)] * (impressions > clicks)
    return sorted(found, key=str)


@pytest.mark.parametrize("how", ["expand", "weight", "line"])
@pytest.mark.parametrize("dataset", ["kdd", None])
def test_impressions_and_users(tmp_path, how, dataset) -> None:
    rows = write_logs(tmp_path)
    options = Options(impressions=how, min_count=1, block_bytes=2000, vocabulary_from="all")
    manifest = prepare([tmp_path], tmp_path / "out", dataset=dataset, options=options)
    assert manifest.dense == ("impression", "depth", "position") and manifest.schema.sparse_names == NAMES
    assert decoded(tmp_path / "out") == expected(rows, how)
    views, clicks = sum(row[1] for row in rows), sum(row[0] for row in rows)
    if how == "expand":
        assert manifest.rows == views and sum(part.clicks for part in manifest.parts.values()) == clicks
    assert sum(part.weight for part in manifest.parts.values()) == (len(rows) if how == "line" else views)
    assert manifest.weighted == (how == "weight")


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("2\t1" + "\t1" * 10, "label", "2 clicks of 1 impressions; there cannot be more clicks than views"),
        ("0\t0" + "\t1" * 10, "label", "0 clicks of 0 impressions; expected whole numbers"),
        ("0.5\t1" + "\t1" * 10, "label", "0.5 clicks of 1 impressions; expected whole numbers"),
        ("x\t1" + "\t1" * 10, "label", "column 'click' is 'x'; the label must be a number"),
        ("1\t1" + "\t1" * 9, "columns", "11 columns, KDD Cup 2012 track 2 training.txt has 12 separated by tabs"),
    ],
)
def test_bad_lines(tmp_path, line, kind, message) -> None:
    write_logs(tmp_path)
    with (tmp_path / "training.txt").open("a") as file:
        file.write(line + "\n")
    manifest = prepare([tmp_path], tmp_path / "out", dataset="kdd")
    assert manifest.bad_rows["kinds"] == {kind: 1} and message in manifest.bad_rows["first"][0]
    assert manifest.bad_rows["first"][0].startswith(f"{tmp_path / 'training.txt'}:301: ")


def test_users_file(tmp_path) -> None:
    write_logs(tmp_path)
    raw, users = tmp_path / "training.txt", tmp_path / "userid_profile.txt"
    users.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"training.txt: no userid_profile.txt beside it; say where"):
        prepare([raw], tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: no such file; it should hold user profiles"):
        prepare([raw], tmp_path / "out", users=tmp_path / "nowhere")
    assert prepare([raw], tmp_path / "out", users=tmp_path / "elsewhere").columns[8].distinct == 3
    for text in ("1\t2\n", "1\t2\t3\nx\t1\t1\n", "1\t\t3\n", "1\t2\t3\t4\n"):
        users.write_text(text)
        with pytest.raises(DataError, match=r"userid_profile.txt, line \d: expected user id, gender and age"):
            prepare([raw], tmp_path / "bad")
    users.write_text("")
    with pytest.raises(DataError, match="the file is empty"):
        prepare([raw], tmp_path / "bad")
    criteo = tmp_path / "criteo"
    criteo.write_text("\t".join("1" * 40) + "\n")
    with pytest.raises(DataError, match="user profiles belong to KDD Cup 2012"):
        prepare([criteo], tmp_path / "bad", dataset="criteo", users=users)


def test_more_impressions_than_rows_can_be_made_of(tmp_path) -> None:
    write_logs(tmp_path)
    with (tmp_path / "training.txt").open("a") as file:
        file.write("0\t2000000" + "\t1" * 10 + "\n")
    with pytest.raises(DataError, match=r"a line sums up 2,000,000 impressions.*--impressions weight"):
        prepare([tmp_path], tmp_path / "out", dataset="kdd")
    prepare([tmp_path], tmp_path / "weighted", dataset="kdd", options=Options(impressions="weight"))


def test_the_raw_format(real_data: Path, tmp_path) -> None:
    """The contest's own first lines have no click: one is changed, as learning needs both classes."""
    lines = (real_data / "kdd12_format" / "training.txt").read_text().splitlines()
    clicked = [f"1{line[1:]}" for line in lines[:5]]
    (tmp_path / "training.txt").write_text("\n".join([*lines, *clicked] * 10) + "\n")
    users = real_data / "kdd12_format" / "user.txt"
    manifest = prepare([tmp_path / "training.txt"], tmp_path / "out", users=users)
    assert manifest.rows == 160 and manifest.schema.num_dense == 3 and manifest.schema.num_sparse == 10
