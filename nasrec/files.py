"""Files that appear whole or not at all, whatever writes them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasrec.errors import NasrecError
from nasrec.jsonfile import shown_path

__all__ = ["folder", "replacing", "write_bytes"]


@contextmanager
def replacing(path: str | os.PathLike[str], error: type[NasrecError]) -> Iterator[Path]:
    """A path to write to; what is there when the block ends takes the place of `path`, on an exception nothing does.

    The path lies in a folder of its own beside the target. Other files that the block leaves there, such as weights
    that a format keeps apart, are moved first.

    Args:
        path: the file to make or to replace.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    shown = shown_path(os.fspath(path))
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise error(f"{shown}: is not a regular file; give a file name")
        scratch = Path(tempfile.mkdtemp(prefix=".nasrec-", dir=target.parent))
    except (OSError, ValueError) as failure:
        raise error(f"{shown}: cannot be written: {_reason(failure)}") from None
    try:
        yield scratch / target.name
        for written in sorted(scratch.iterdir(), key=lambda file: file.name == target.name):
            os.replace(written, target.parent / written.name)
    except OSError as failure:
        raise error(f"{shown}: cannot be written: {_reason(failure)}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview, error: type[NasrecError]) -> None:
    """Writes a file whole or not at all, and returns when it is on the disk.

    Args:
        path: the file to make or to replace.
        data: its bytes, or anything with the buffer protocol.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    target = os.fspath(path)
    temporary = f"{target}.{secrets.token_hex(4)}.tmp"
    try:
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
    except OSError as failure:
        raise error(f"{shown_path(target)}: cannot be written: {_reason(failure)}") from failure


def folder(path: str | os.PathLike[str], error: type[NasrecError]) -> Path:
    """A folder that exists and can be written to, made if need be; raises `error` where that cannot be."""
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):  # permission bits alone do not tell: mounts, quotas, root
            pass
    except OSError as failure:
        raise error(f"{shown_path(os.fspath(path))}: cannot be a folder for results: {_reason(failure)}") from None
    return target


def _reason(failure: OSError | ValueError) -> str:
    text = getattr(failure, "strerror", None) or str(failure)
    return text[:1].lower() + text[1:]
