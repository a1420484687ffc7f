"""One module a subcommand, named in `nasrec.cli.frame.COMMANDS`.

Each has a docstring (its description in `--help`), `HELP` (one line for the list of commands), `configure(parser)`
and `run(args) -> int`. It imports what is heavy, torch above all, inside `run`, so that `--help` stays quick.
"""
