"""Bytes of a file as a stream, unpacked on the way whatever it was packed with."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nasrec.errors import DataError

__all__ = ["PACKINGS", "open_bytes", "packing_of"]

_MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00", "zst": b"\x28\xb5\x2f\xfd"}
PACKINGS = tuple(_MAGIC)
_BUFFER_BYTES = 1 << 20


class Raw:
    """The unpacked stream, and how far into the file itself it has come (`consumed`, in bytes)."""

    def __init__(self, stream: Any, file: IO[bytes]) -> None:
        self._stream, self._file = stream, file

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        return data

    def skip_to(self, offset: int) -> None:
        """Goes on `offset` unpacked bytes after the beginning: at once in a plain file, else by unpacking."""
        if self._stream is self._file:
            self._file.seek(offset)
            return
        left = offset
        while left > 0 and (data := self.read(min(left, _BUFFER_BYTES))):
            left -= len(data)

    @property
    def consumed(self) -> int:
        return self._file.tell()


@contextmanager
def open_bytes(path: Path) -> Iterator[Raw]:
    """The file's bytes, unpacked if they are packed (told by the first bytes, not by the name).

    Raises `DataError` in place of every way in which a packed stream can be broken.
    """
    packing = packing_of(path)
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            yield Raw(_unpacked(file, packing), file)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise broken(path, packing, error) from error
    except OSError as error:
        if error.errno is None:  # so gzip, bz2 and Arrow say that the bytes are not theirs
            raise broken(path, packing, error) from error
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def packing_of(path: Path) -> str | None:
    """A key of `PACKINGS`, or None for plain bytes. Raises `DataError` if the file cannot be read."""
    try:
        with path.open("rb") as stream:
            start = stream.read(6)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), None)


def broken(path: Path, packing: str | None, error: Exception) -> DataError:
    """The error for a stream that does not unpack."""
    return DataError(f"{path}: the {packing} stream is corrupt or cut off ({error}); fetch the file again")


def _unpacked(file: IO[bytes], packing: str | None) -> Any:
    if packing == "gz":
        return gzip.GzipFile(fileobj=file)
    if packing == "bz2":
        return bz2.BZ2File(file)
    if packing == "xz":
        return lzma.LZMAFile(file)
    if packing == "zst":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    return file
