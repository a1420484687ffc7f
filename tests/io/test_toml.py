"""Flat tables written as TOML are read as what they were."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nasrec.errors import TrainError
from nasrec.io.toml import read_toml, toml_text

VALUES = {
    "text": 'a "quoted" \\ text\nof two lines, with \x7f and é',
    "count": 3,
    "real": 1e-07,
    "yes": True,
    "widths": [16, 32],
    "flags": (False, True),
    "none": [],
}


def test_values_come_back(tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    path.write_text(toml_text(VALUES), encoding="utf-8")
    assert read_toml(path, TrainError) == {**VALUES, "flags": [False, True]} == tomllib.loads(toml_text(VALUES))


@pytest.mark.parametrize(("text", "words"), [("x = ", "is not TOML"), ("a = " + "[" * 3000, "is ")])
def test_what_is_no_toml(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(TrainError, match=f"bad.toml: {words}") as raised:
        read_toml(path, TrainError)
    assert "\n" not in str(raised.value)
