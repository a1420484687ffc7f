"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasrec.errors import DataError
from nasrec.io.atomic import ensure_directory, replacing


def test_a_file_and_what_belongs_to_it(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_text("old", encoding="utf-8")
    with replacing(target, DataError) as file:
        file.write_text("new", encoding="utf-8")
        (file.parent / "model.data").write_text("weights", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
    assert sorted(os.listdir(tmp_path)) == ["model", "model.data"]
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "model"
    target.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with replacing(target, DataError) as file:
            file.write_text("half", encoding="utf-8")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert os.listdir(tmp_path) == ["model"] and target.read_text(encoding="utf-8") == "old"


def test_links_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link", DataError) as file:
        file.write_text("new", encoding="utf-8")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text(encoding="utf-8") == "new"


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="model: cannot be written: no space"), replacing(tmp_path / "model", DataError):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a regular file"), replacing(tmp_path, DataError):
        pass
    with pytest.raises(DataError, match="cannot be written"), replacing(tmp_path / "none" / "x", DataError):
        pass
    with pytest.raises(DataError, match="null byte"), replacing("a\0b", DataError):
        pass
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be a folder"):
        ensure_directory(tmp_path / "file" / "deeper", DataError)
    assert ensure_directory(tmp_path / "a" / "b", DataError).is_dir()
