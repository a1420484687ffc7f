"""One writer at a time: a lock that a file or folder carries while a process has it open."""

from __future__ import annotations

import fcntl

__all__ = ["try_lock"]


def try_lock(descriptor: int) -> bool:
    """Locks an open file or folder until it is closed, without waiting.

    Args:
        descriptor: of the open file or folder; the lock ends when it is closed, or when the process ends.

    Returns:
        False where another process has the lock. True where it is ours now, and on a file system that knows no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
