"""Files that appear whole or not at all, whatever writes them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasrec.checks import format_path, format_value
from nasrec.errors import NasrecError

__all__ = [
    "checked_path",
    "ensure_directory",
    "failure_reason",
    "remove_partial_files",
    "replacing",
    "write_bytes",
    "write_text",
]

_PARTIAL = ".nasrec-"
"""How the names of files begin that are being written."""


@contextmanager
def replacing(path: str | os.PathLike[str], error: type[NasrecError]) -> Iterator[Path]:
    """A path to write to; what is there when the block ends takes the place of `path`, on an exception nothing does.

    The path lies in a folder of its own beside the target. Other files that the block leaves there, such as weights
    that a format keeps apart, are moved first. All are on the disk before any is moved.

    Args:
        path: the file to make or to replace.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    shown = format_path(os.fspath(path))
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise error(f"{shown}: is not a regular file; give a file name")
        scratch = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    except (OSError, ValueError) as failure:
        raise error(f"{shown}: cannot be written: {failure_reason(failure)}") from None
    try:
        yield scratch / target.name
        for written in scratch.iterdir():
            _sync(written)
        for written in sorted(scratch.iterdir(), key=lambda file: file.name == target.name):
            os.replace(written, target.parent / written.name)
    except OSError as failure:
        raise error(f"{shown}: cannot be written: {failure_reason(failure)}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(path: Any, data: bytes | memoryview, error: type[NasrecError]) -> None:
    """Writes a file whole or not at all, and returns when it is on the disk; links are followed and kept.

    Args:
        path: the file to make or to replace, a str or a path object.
        data: its bytes, or anything with the buffer protocol.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    name = checked_path(path, error)
    try:
        target = os.path.realpath(name)
        if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
            raise error(f"{format_path(name)}: is not a regular file; give a file name")
        temporary = os.path.join(os.path.dirname(target), f"{_PARTIAL}{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "xb", buffering=0) as file:
                view = memoryview(data).cast("B")
                while len(view):
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except (OSError, ValueError) as failure:
        raise error(f"{format_path(name)}: cannot be written: {failure_reason(failure)}") from None


def remove_partial_files(folder: Path, keep: str | None = None) -> None:
    """Removes what processes that were killed left half written in a folder, of which no other may write there now.

    Args:
        folder: where `replacing` and `write_bytes` wrote.
        keep: a name that stays, although it looks like such a file.
    """
    for left in folder.glob(f"{_PARTIAL}*"):
        if left.name != keep:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def write_text(path: Any, text: str, error: type[NasrecError]) -> None:
    """`write_bytes` of a text in UTF-8. Raises `error` too where the text has no such bytes."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise error(f"{format_path(checked_path(path, error))}: cannot be written: holds half of a character") from None
    write_bytes(path, data, error)


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def checked_path(path: Any, error: type[NasrecError]) -> str:
    """A path as text. A number would be taken for an open file, and bytes cannot be shown: both raise `error`."""
    try:
        name = os.fspath(path)
    except TypeError:
        raise error(f"a path is expected, not {format_value(path)}") from None
    if not isinstance(name, str):
        raise error(f"a path is expected, not {format_value(name)}")
    return name


def failure_reason(failure: Exception) -> str:
    """What went wrong with a file, in words that go on a sentence."""
    text = getattr(failure, "strerror", None) or str(failure)
    return text[:1].lower() + text[1:]


def ensure_directory(path: str | os.PathLike[str], error: type[NasrecError]) -> Path:
    """A folder that exists and can be written to, made if need be; raises `error` where that cannot be."""
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):  # permission bits alone do not tell: mounts, quotas, root
            pass
    except OSError as failure:
        raise error(
            f"{format_path(os.fspath(path))}: cannot be a folder for results: {failure_reason(failure)}"
        ) from None
    return target
