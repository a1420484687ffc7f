"""Parses the command line, runs one subcommand, and turns what goes wrong into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence

from nasrec._version import __version__
from nasrec.cli.completion import SHELLS, PrintCompletion
from nasrec.cli.usage import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, Parser, UsageError
from nasrec.errors import NasrecError, OtherRankFailed

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    "demo", "data", "train", "supernet", "search", "rank", "report", "compile", "inspect", "export", "profile",
    "prune", "quantize", "pim", "codesign", "doctor",
)  # fmt: skip
"""Modules of `nasrec.cli.commands`, in the order a person works."""

_FIRST_TELLS_S = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        The exit status: 0 success; 2 bad usage or bad input, with one line on standard error; 130 interrupted;
        141 when the reader of standard output went away.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign must not stop the work
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except OtherRankFailed:
        return BAD_INPUT
    except NasrecError as error:
        _let_the_first_tell(error)
        message = " ".join(str(error).split())
        print(message if isinstance(error, UsageError) else f"nasrec: {message}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":  # of several processes that torchrun started, all are interrupted
            print("nasrec: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
    except SystemExit as done:  # argparse after --help and --version; errors are raised by Parser
        return int(done.code or 0)
    _log_to_stderr(args.verbose)
    status: int = args.run(args)
    return status


def _parser(words: Sequence[str]) -> Parser:
    """The parser of the command that is named; of all of them, where none is."""
    named = next((word for word in words if not word.startswith("-")), None)
    parser = Parser(
        prog="nasrec",
        description="Click-through-rate models, designed automatically and compiled.",
        epilog="'nasrec COMMAND --help' explains a command. Exit status: 0 success, 2 bad usage or bad input, "
        "130 interrupted with what was done kept.",
    )
    parser.add_argument("--version", action="version", version=f"nasrec {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        help=f"print a script that completes commands in {', '.join(SHELLS)}",
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log what is done; twice for details")
    # Not `required`: argparse would list the commands without saying where help is.
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    parser.set_defaults(run=_no_command)
    for name in (named,) if named in COMMANDS else COMMANDS:
        module = importlib.import_module(f"nasrec.cli.commands.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        command.add_argument(
            "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="log what is done; twice for details"
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def _no_command(args: argparse.Namespace) -> int:
    raise UsageError(f"nasrec: name a command: {', '.join(COMMANDS)}; see 'nasrec --help'")


def _log_to_stderr(verbose: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes one tells the work, and one of each machine warns
        level = logging.WARNING if os.environ.get("LOCAL_RANK", "0") == "0" else logging.ERROR
    for package in ("nasrec", "nasrec_ir", "nasrec_pim"):  # not the root logger: other libraries' remarks stay theirs
        logger = logging.getLogger(package)
        logger.setLevel(level)
        for handler in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
            logger.removeHandler(handler)
        handler = _Handler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


def _let_the_first_tell(error: NasrecError) -> None:
    """Of several processes that torchrun has started, all may have the same options to complain about. The first one of
    a machine is quick, and its end ends the others; errors that come later, `report_first_failure` has seen to."""
    if os.environ.get("LOCAL_RANK", "0") != "0" and not hasattr(error, "__notes__"):
        time.sleep(_FIRST_TELLS_S)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, so that a second run in one process finds and replaces it."""


def _silence_stdout() -> None:
    """Nothing more can be written; without this the interpreter would complain when it flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file behind it, as under a test's capture
        return
