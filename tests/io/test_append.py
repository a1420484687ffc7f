"""Lines at the end of a file: all of one, or none of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasrec.io import append as module
from nasrec.io.append import append


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"first\n")
    return tmp_path / "file"


@pytest.fixture(params=[0, os.O_APPEND])
def descriptor(path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    found = os.open(path, os.O_RDWR | request.param)
    yield found
    os.close(found)


def test_lines_go_to_the_end(path: Path, descriptor: int) -> None:
    append(descriptor, b"second\n", durable=False)
    os.lseek(descriptor, 0, os.SEEK_SET)
    append(descriptor, b"third\n", durable=True)
    append(descriptor, b"", durable=False)
    assert path.read_bytes() == b"first\nsecond\nthird\n"


def test_only_durable_lines_wait_for_the_disk(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    append(descriptor, b"x\n", durable=False)
    assert synced == []
    append(descriptor, b"x\n", durable=True)
    assert synced == [descriptor]


def test_a_write_in_pieces_is_completed(path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda file, data: write(file, data[:3]))
    append(descriptor, b"second line\n", durable=False)
    assert path.read_bytes() == b"first\nsecond line\n"


def test_a_system_that_takes_nothing_is_a_full_disk(
    path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", lambda file, data: 0)
        with pytest.raises(OSError, match="No space left"):
            append(descriptor, b"second\n", durable=False)
    assert path.read_bytes() == b"first\n"


@pytest.mark.parametrize("durable", [False, True])
def test_a_full_disk_leaves_the_file_as_it_was(
    path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    write, room = os.write, [3]

    def full(file: int, data: memoryview) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            append(descriptor, b"second\n", durable=durable)
    assert path.read_bytes() == b"first\n"
    append(descriptor, b"third\n", durable=durable)
    assert path.read_bytes() == b"first\nthird\n"
