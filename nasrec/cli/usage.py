"""Arguments that do not make sense, told in one line; exit statuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from nasrec.errors import NasrecError

__all__ = ["BAD_INPUT", "BROKEN_PIPE", "INTERRUPTED", "Parser", "UsageError", "number"]

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
"""Exit statuses; the last two are 128 + the signal's number, as shells have it."""


class UsageError(NasrecError):
    """The command line itself is wrong; the message points to the help."""


class Parser(argparse.ArgumentParser):
    """argparse, but an error is raised instead of printed over several lines."""

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`."""
        raise UsageError(f"{self.prog}: {message}; see '{self.prog} --help'")


def number(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """An argument type: a whole number in a range; `10_000` and `10,000` are read too."""

    def parse(text: str) -> int:
        try:
            value = int(text.replace(",", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is out of range ({least} to {most})")
        return value

    return parse
