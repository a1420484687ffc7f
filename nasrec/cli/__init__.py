"""The command line, `nasrec` or `python -m nasrec`: one file per subcommand.

A subcommand is a module of this package with `HELP` (one line), `configure(parser)` and `run(args) -> int`, named
in `COMMANDS` of `nasrec.cli.frame`. It imports what is heavy inside `run`, so that `--help` stays quick.
"""

from __future__ import annotations

from nasrec.cli.frame import main

__all__ = ["main"]
