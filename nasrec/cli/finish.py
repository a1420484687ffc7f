"""How a command that makes a run ends: its page, what it prints, its exit status."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nasrec import reports, runs
from nasrec.cli.usage import INTERRUPTED
from nasrec.io.json import json_text
from nasrec.runs.results import RunResult

__all__ = ["finish"]

R = TypeVar("R", bound=RunResult)


def finish(found: R, closing: Callable[[R], str], *, as_json: bool, page: bool | None = None) -> int:
    """Writes and prints, by the first of several processes.

    Args:
        found: what the run gave.
        closing: its text for people, also where it was interrupted.
        as_json: print the report instead.
        page: whether there is enough for a page; None: where the run was not interrupted.

    Returns:
        The exit status.
    """
    if runs.is_main():
        if page if page is not None else not found.interrupted:
            reports.write(found)
        print(json_text(found.report) if as_json else closing(found))
    return INTERRUPTED if found.interrupted else 0
