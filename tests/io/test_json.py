"""Strict JSON: what is read, what is refused with one line, and how values are written."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from nasrec.errors import DataError
from nasrec.io.json import json_text, parse_json, read_json, require_format


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[1e999]", "too large"),
        (f"[{'9' * 30}]", "integer of 30 characters is too large"),
        ("{\n  oops}", "is not JSON: line 2, column 3: expecting property name"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_not_strict_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        parse_json(text, DataError)
    assert "\n" not in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, 2.5, null, "ä"]}', encoding="utf-8")
    assert read_json(path, DataError) == {"a": [1, 2.5, None, "ä"]}
    path.write_bytes(b'"\xff"')
    with pytest.raises(DataError, match=r"x.json: is not UTF-8 text \(byte 1\)"):
        read_json(path, DataError)
    for wrong, reason in ((tmp_path, "is not a regular file; give a JSON file"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(DataError, match=reason):
            read_json(wrong, DataError)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is not a regular file"):
        read_json(tmp_path / "pipe", DataError)


def test_numbers_without_a_word_in_json_become_null() -> None:
    value = {"a": math.nan, 2: [math.inf, 1.5], "c": (1, "x\n[ 1 ]")}
    text = json_text(value)
    assert json.loads(text) == {"a": None, "2": [None, 1.5], "c": [1, "x\n[ 1 ]"]}
    assert json_text({"curve": [1, 2.5, -3e-7]}).splitlines()[1].strip() == '"curve": [1, 2.5, -3e-07]'


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "is no file of a thing"),
        ({"version": 2}, "is no file of a thing"),
        ({"format": "other", "version": 2}, "is no file of a thing"),
        ({"format": "thing"}, "is of version None, this program reads 2"),
        ({"format": "thing", "version": 3}, "is of version 3, this program reads 2"),
        ({"format": "thing", "version": 2}, None),
    ],
)
def test_format_and_version(values: object, words: str | None) -> None:
    if words is None:
        require_format(values, "thing", 2, "a thing", DataError)
        return
    with pytest.raises(DataError, match=words):
        require_format(values, "thing", 2, "a thing", DataError)
