"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nasrec.errors import DataError
from nasrec.io import atomic
from nasrec.io.atomic import ensure_directory, remove_partial_files, replacing, write_bytes


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


@pytest.mark.parametrize("how", ["replacing", "write_bytes"])
def test_what_is_written_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: (events.append("sync"), sync(descriptor)))
    monkeypatch.setattr(atomic.os, "replace", lambda a, b: (events.append(Path(b).name), replace(a, b)))
    if how == "write_bytes":
        write_bytes(tmp_path / "model", b"new", DataError)
        assert events == ["sync", "model"]
        return
    with replacing(tmp_path / "model", DataError) as file:
        file.write_text("new", encoding="utf-8")
        (file.parent / "model.data").write_text("weights", encoding="utf-8")
    assert events == ["sync", "sync", "model.data", "model"]


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    """Both kinds of leftovers, as a kill leaves them, and nothing else."""
    kept = [tmp_path / "model", tmp_path / ".nasrec-unfinished" / "plan.json", tmp_path / ".hidden"]
    for path in (tmp_path / ".nasrec-abc" / "model", tmp_path / ".nasrec-0123.tmp", *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    remove_partial_files(tmp_path, keep=".nasrec-unfinished")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    remove_partial_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "model"]


def test_the_names_of_files_being_written_are_those_that_are_removed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda *args, **options: None)  # as if killed before
    with replacing(tmp_path / "a", DataError) as file:
        file.write_text("x", encoding="utf-8")
    monkeypatch.undo()

    def killed(*args: object) -> None:
        raise SystemExit

    for name in ("replace", "unlink"):
        monkeypatch.setattr(atomic.os, name, killed)
    with pytest.raises(SystemExit):
        write_bytes(tmp_path / "b", b"x", DataError)
    monkeypatch.undo()
    assert len(os.listdir(tmp_path)) == 3
    remove_partial_files(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


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
