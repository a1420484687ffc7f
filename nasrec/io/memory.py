"""Whether something fits into this machine's memory, asked before it is made."""

from __future__ import annotations

import os

from nasrec.errors import NasrecError

__all__ = ["require_memory"]


def require_memory(needed: int, what: str, advice: str, error: type[NasrecError]) -> None:
    """A clear refusal instead of an allocator's error, or of a machine that swaps itself to death.

    Args:
        needed: bytes.
        what: the thing and its verb, such as `the weights take`.
        advice: what to do about it.
        error: raised where the machine has less memory than that.
    """
    try:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not known on this platform
        return
    if needed > present:
        raise error(f"{what} {needed / 2**30:,.1f} GiB, this machine has {present / 2**30:,.1f} GiB; {advice}")
