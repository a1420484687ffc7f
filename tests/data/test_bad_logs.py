"""Every broken file ends in one `DataError` that names file, line and column, and says what to do."""

from __future__ import annotations

import gzip
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.data import load_logs
from nasrec.errors import DataError


def with_field(lines: list[str], line: int, column: int, text: str) -> str:
    fields = lines[line - 1].split("\t")
    fields[column] = text
    return "\n".join([*lines[: line - 1], "\t".join(fields), *lines[line:]]) + "\n"


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        (0, "2", "150: column 'label' is '2'; the label must be 0 or 1"),
        (0, "", "150: column 'label' is ''"),
        (0, "yes", "150: column 'label' is 'yes'"),
        (3, "many", "150: column 'I3' is 'many'; expected a finite number"),
        (13, "nan", "150: column 'I13' is 'nan'"),
        (1, "1e999", "150: column 'I1' is '1e999'"),
        (1, "inf", "150: column 'I1' is 'inf'"),
        (1, "0x10", "150: column 'I1' is '0x10'"),
        (39, "a\tb", "150: 41 columns, Criteo Display Advertising train.txt has 40 separated by tabs"),
        (39, "a\nb", "151: 1 columns, .* has 40"),
    ],
)
@pytest.mark.parametrize("name", ["log.txt", "log.txt.gz"])
def test_a_bad_field_is_named(raw_file, criteo_lines, name, column, text, message) -> None:
    path = raw_file(name, with_field(criteo_lines, 150, column, text))
    with pytest.raises(DataError, match=f"{name}:{message}"):
        load_logs(path)


def test_missing_column(raw_file, criteo_lines) -> None:
    lines = [*criteo_lines[:99], criteo_lines[99].rsplit("\t", 1)[0], *criteo_lines[100:]]
    with pytest.raises(DataError, match=r":100: 39 columns.*has 40.*test.txt has 39 columns and no label"):
        load_logs(raw_file("log.txt", "\n".join(lines)))


def test_not_utf8(raw_file, criteo_lines) -> None:
    content = with_field(criteo_lines, 7, 20, "MARK").encode().replace(b"MARK", b"\xff\xfe")
    with pytest.raises(DataError, match=r"log.txt:7: byte .* not UTF-8"):
        load_logs(raw_file("log.txt", content))


@pytest.mark.parametrize("name", ["log.txt", "log.gz"])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_empty(raw_file, name, content) -> None:
    with pytest.raises(DataError, match=f"{name}: the file is empty"):
        load_logs(raw_file(name, content))


def test_header_alone(raw_file) -> None:
    header = "label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city\n"
    with pytest.raises(DataError, match=r"log.csv: no rows; it should hold"):
        load_logs(raw_file("log.csv", header))


@pytest.mark.parametrize("harm", ["cut", "flip", "crc", "head"])
def test_corrupt_gz(raw_file, criteo_lines, harm) -> None:
    # Noise keeps the packed stream long enough to be cut in the middle.
    noise = random.Random(0)
    lines = [line.replace("68fd1e64", noise.randbytes(4).hex()) for line in criteo_lines * 50]
    packed = bytearray(gzip.compress("\n".join(lines).encode()))
    if harm == "cut":
        packed = packed[: len(packed) * 3 // 4]
    elif harm == "flip":
        packed[len(packed) // 2 : len(packed) // 2 + 8] = b"\xff" * 8
    elif harm == "crc":
        packed[-6] ^= 0xFF
    else:
        packed = packed[:2] + b"\x00" * 30
    with pytest.raises(
        DataError,
        match=r"log: the gz stream is corrupt or cut off .*fetch the file again",
    ):
        load_logs(raw_file("log", bytes(packed)), "criteo")


@pytest.mark.parametrize("label", ["0", "1"])
def test_one_class_only(raw_file, criteo_lines, label) -> None:
    lines = [label + line[1:] for line in criteo_lines]
    with pytest.raises(DataError, match=r"log.txt, column 'label': all 200 rows have (no|a) click"):
        load_logs(raw_file("log.txt", "\n".join(lines)))


def test_a_part_without_clicks(raw_file, criteo_lines) -> None:
    lines = [("1" if row < 100 else "0") + line[1:] for row, line in enumerate(criteo_lines)]
    with pytest.raises(DataError, match=r"log.txt: the valid part would hold 20 rows with 0 clicks"):
        load_logs(raw_file("log.txt", "\n".join(lines)), split="time")


def test_missing_file_and_empty_folder(tmp_path) -> None:
    with pytest.raises(DataError, match=r"nowhere.txt: no such file or folder"):
        load_logs(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="no raw click log in this folder"):
        load_logs(tmp_path)
    with pytest.raises(DataError, match=r"no raw click log in this folder .looked for train.txt"):
        load_logs(tmp_path, "criteo")


def test_unknown_content_and_wrong_kind(raw_file, criteo_lines) -> None:
    cases = {
        "a,b,c\n1,2,3\n": "the first line has the columns",
        "\t".join("x" * 39) + "\n": "39 tab-separated columns: test.txt has 39 columns and no label",
        "\t".join("1" * 12) + "\n": "no userid_profile.txt beside it",
        "\x00\x01\x02": "not a known click log",
    }
    for content, message in cases.items():
        with pytest.raises(DataError, match=message):
            load_logs(raw_file("log", content))
    criteo = raw_file("log", "\n".join(criteo_lines))
    with pytest.raises(DataError, match=r"line 1: the header is not that of Avazu train.csv; missing id, click"):
        load_logs(criteo, "avazu")
    with pytest.raises(
        DataError, match="dataset 'movielens' is unknown; raw files are read of criteo, avazu, kdd, frappe"
    ):
        load_logs(criteo, "movielens")


def test_avazu_without_labels_and_with_a_bad_hour(raw_file) -> None:
    header = (
        "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
        "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
    )
    rows = [f"1,{row % 2},14102100" + ",x" * 21 for row in range(50)]
    rows[30] = rows[30].replace("14102100", "2014-10-21")
    with pytest.raises(DataError, match=":32: column 'hour' is '2014-10-21'; expected YYMMDDHH"):
        load_logs(raw_file("log.csv", "\n".join([header, *rows])))
    with pytest.raises(DataError, match=r"missing click.*no click column"):
        load_logs(raw_file("test.csv", header.replace("click,", "") + "\n"), "avazu")


LINE = b"0\t" + b"\t".join([b"5"] * 13) + b"\t" + b"\t".join([b"68fd1e64"] * 26) + b"\n"
TEXT = b"".join(LINE if row % 3 else b"1" + LINE[1:] for row in range(60))


@given(
    edits=st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.binary(max_size=12)), min_size=1, max_size=4),
    packed=st.booleans(),
    kind=st.sampled_from([None, "criteo", "avazu", "kdd", "frappe"]),
)
def test_damaged_bytes_end_in_rows_or_a_data_error(edits, packed, kind) -> None:
    data = bytearray(gzip.compress(TEXT, mtime=0) if packed else TEXT)
    for place, junk in edits:
        place %= len(data)
        data[place : place + len(junk)] = junk
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(data)
        try:
            splits = load_logs(path, kind)
        except DataError as error:
            message = str(error)
        else:
            message = str(path)
            assert splits.schema.num_sparse == 26
        assert str(path) in message


def test_arguments(raw_file, criteo_lines) -> None:
    path = raw_file("log.txt", "\n".join(criteo_lines))
    for arguments, message in (
        ({"max_rows": 0}, "max_rows must be a whole number of at least 1"),
        ({"split": "monthly"}, "split 'monthly' is unknown"),
        ({"split": "given"}, "a given split takes three files"),
        ({"min_count": 0}, "min_count must be a whole number of at least 1"),
        ({"fractions": (1, 0, 0)}, "three positive numbers"),
        ({"fractions": (0.5, 0.5)}, "three positive numbers"),
    ):
        with pytest.raises(DataError, match=message):
            load_logs(path, **arguments)
