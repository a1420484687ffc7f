"""Files that grow line by line: what was added stays, whatever ends the process."""

from __future__ import annotations

import contextlib
import errno
import os

__all__ = ["append"]


def append(descriptor: int, data: bytes, *, durable: bool) -> None:
    """Adds bytes at the end of an open file, all of them or none.

    They go to the system in one call where it takes them, so that a process that is killed leaves all or none too.

    Args:
        descriptor: of a file that is open for writing.
        data: what to add, such as a whole line.
        durable: return only when it is on the disk, where it survives the loss of power.

    Raises:
        OSError: it cannot be written, as on a full disk; the file is as it was.
    """
    start = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        left = memoryview(data)
        while left:
            written = os.write(descriptor, left)
            if written == 0:  # or this would never end
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left = left[written:]
        if durable:
            os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, start)
        raise
