"""A text file as chunks of whole lines, each with its line numbers and the place where reading goes on after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nasrec.data.streams import Raw, open_bytes
from nasrec.errors import DataError

__all__ = ["Chunk", "chunks"]

_LONGEST_LINE = 1 << 24
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Whole lines, each ended by a newline.

    Attributes:
        data: the lines' bytes.
        first_line: number of the first one, from 1.
        offset: unpacked bytes of the file up to the end of the chunk.
        lines: lines of the file up to the end of the chunk.
        consumed: bytes of the file itself that were read for it, for progress.
    """

    data: bytes
    first_line: int
    offset: int
    lines: int
    consumed: int


def chunks(path: Path, size: int, *, offset: int = 0, lines: int = 0) -> Iterator[Chunk]:
    """Chunks of about `size` bytes from unpacked byte `offset` on, where `lines` lines have gone before.

    Chunks depend on the file, `size` and where they begin alone. Raises `DataError` on a stream that breaks off and on
    a line of more than 16 MiB.
    """
    with open_bytes(path) as stream:
        stream.skip_to(offset)
        rest, wanted = b"", size
        while True:
            # Always the bytes [offset, offset + wanted) of the file, whether or not reading began anew at offset.
            data = rest + _read_whole(stream, wanted - len(rest))
            if not data:
                return
            end = data.rfind(b"\n") + 1 if len(data) == wanted else len(data)
            if end == 0:
                if len(data) > _LONGEST_LINE:
                    raise DataError(
                        f"{path}, line {lines + 1}: longer than {_LONGEST_LINE >> 20} MiB; is this a text file with "
                        "one impression a line?"
                    )
                rest, wanted = data, wanted + size
                continue
            rest, whole, wanted = data[end:], data[:end], size
            start, offset = offset, offset + end
            # The last newline may be missing.
            whole = whole if whole.endswith(b"\n") else whole + b"\n"
            first, lines = lines + 1, lines + whole.count(b"\n")
            yield Chunk(whole.removeprefix(_BOM) if start == 0 else whole, first, offset, lines, stream.consumed)


def _read_whole(stream: Raw, size: int) -> bytes:
    """`size` bytes, fewer only at the end: an unpacking stream may hand out less than it has."""
    parts, left = [], size
    while left > 0 and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
