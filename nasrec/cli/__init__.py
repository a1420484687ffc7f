"""The command line: `nasrec`, or `python -m nasrec`."""

from __future__ import annotations

from nasrec.cli.frame import main

__all__ = ["main"]
