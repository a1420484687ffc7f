"""What masks mean in a weight-sharing supernet, and the words for it.

"full_width" was called "published" before. That word is still accepted wherever a user or a file names a masking, and
it stays in what is written (saved supernets, identities of runs, reports), so that files of earlier versions and of
this one compare equal and runs that were begun go on.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from nasrec.checks import format_value
from nasrec.errors import SpaceError

__all__ = ["MASKINGS", "Masking", "current_word", "masking_of", "written_word"]

Masking = Literal["full_width", "sliced"]
"""`full_width`: operators run at full width, layer norm included, and results are masked, as the release does.
`sliced`: operators run on the active slice only, which makes a path equal to the compiled model."""

MASKINGS: tuple[Masking, ...] = get_args(Masking)

_WRITTEN: dict[Masking, str] = {"full_width": "published"}
_CURRENT: dict[str, Masking] = {written: masking for masking, written in _WRITTEN.items()}


def masking_of(word: Any) -> Masking:
    """The masking that a word of a user, or of a file, means.

    Raises:
        SpaceError: there is no such masking.
    """
    word = current_word(word) if isinstance(word, str) else word
    for masking in MASKINGS:
        if word == masking:
            return masking
    raise SpaceError(f"masking must be {' or '.join(map(repr, MASKINGS))}, not {format_value(word)}")


def current_word(word: str) -> str:
    """Today's word for a former one; any other word as it is."""
    return _CURRENT.get(word, word)


def written_word(masking: Masking) -> str:
    """The word for a masking in files and identities."""
    return _WRITTEN.get(masking, masking)
