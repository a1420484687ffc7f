"""The lock that an open file or folder carries."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nasrec.io import lock
from nasrec.io.lock import try_lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import os, sys
from nasrec.io.lock import try_lock
assert try_lock(os.open(sys.argv[1], os.O_RDONLY))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_one_holder_at_a_time_until_it_closes(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    one, other = (os.open(tmp_path / "x", os.O_RDONLY) for _ in range(2))
    try:
        assert try_lock(one) and try_lock(one)
        assert not try_lock(other)
        os.close(one)
        one = -1
        assert try_lock(other)
    finally:
        for descriptor in (one, other):
            if descriptor >= 0:
                os.close(descriptor)


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "ir", "pim"))}
    descriptor = os.open(path, os.O_RDONLY)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"locked\n"
            assert not try_lock(descriptor)
            process.kill()
            process.wait()
            assert try_lock(descriptor)
        finally:
            process.kill()
            os.close(descriptor)


def test_a_file_system_without_locks_locks_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert try_lock(descriptor)
    os.close(descriptor)


def test_no_other_module_locks_files() -> None:
    found = [path for path in (ROOT / "nasrec").rglob("*.py") if "fcntl" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT / "nasrec").as_posix() for path in found] == ["io/lock.py"]
