"""Files of lines: what the journals of searches do not test already."""

from __future__ import annotations

import pytest

from nasrec.errors import SearchError
from nasrec.io.jsonl import JsonLinesLog, read_lines


def number(value: object) -> int:
    if not isinstance(value, dict) or "n" not in value:
        raise SearchError("is no number")
    return int(value["n"])


def opened(path, identity=None) -> JsonLinesLog[int]:
    return JsonLinesLog(path, "nasrec-test", identity or {}, number, SearchError)


def test_lines_come_back(tmp_path) -> None:
    with opened(tmp_path / "file", {"a": (1, 2)}) as file:
        file.add({"n": 1})
    with opened(tmp_path / "file", {"a": [1, 2]}) as file:
        assert file.entries == [1]
        file.add({"n": 2})
    assert read_lines(tmp_path / "file", "nasrec-test", number, SearchError) == ({"a": [1, 2]}, [1, 2])


def test_only_one_process_writes(tmp_path) -> None:
    with opened(tmp_path / "file"), pytest.raises(SearchError, match="another process is writing it"):
        opened(tmp_path / "file")
    opened(tmp_path / "file").close()


def test_a_file_of_another_kind_is_left_alone(tmp_path) -> None:
    path = tmp_path / "file"
    for text in (
        "my notes\nand more",
        "my notes\n",
        "my notes",
        '{"format": "else"}\n',
        '{"format":"nasrec-test","version":1}\n',
    ):
        path.write_text(text)
        with pytest.raises(SearchError):
            opened(path)
        assert path.read_text() == text


def test_a_first_line_that_a_kill_cut_short(tmp_path) -> None:
    (tmp_path / "file").write_text('{"format":"nasrec-t')
    with opened(tmp_path / "file") as file:
        file.add({"n": 3})
    assert read_lines(tmp_path / "file", "nasrec-test", number, SearchError)[1] == [3]


def test_folders_and_missing_places(tmp_path) -> None:
    with pytest.raises(SearchError, match="cannot be written: Is a directory"):
        opened(tmp_path)
    with pytest.raises(SearchError, match="cannot be written: No such file"):
        opened(tmp_path / "none" / "file")
