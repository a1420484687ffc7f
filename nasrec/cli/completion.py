"""Completion of commands, options and file names in a shell, as a script that shtab writes from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from nasrec.cli.usage import UsageError
from nasrec.extras import install_command

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Prints the script for a shell and ends, as --version does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        try:
            import shtab
        except ImportError:
            command = install_command("shtab")
            raise UsageError(f"nasrec: {option_string} needs the package shtab; run: {command}") from None
        for action in _with_free_values(parser):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def _with_free_values(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Everything that takes a text of one's own, in all commands: most are names of files, and no others can be
    completed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _with_free_values(command)
        elif action.nargs != 0 and action.choices is None and action.type is None:
            yield action
