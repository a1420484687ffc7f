"""The weight-sharing supernet: train it, take subnets out of it, score genotypes by its weights."""

from __future__ import annotations

import argparse

from nasrec.cli.commands import supernet_extract as extract
from nasrec.cli.commands import supernet_score as score
from nasrec.cli.commands import supernet_train as train

HELP = "train a weight-sharing supernet; extract and score its subnets"

ACTIONS = {"train": train, "extract": extract, "score": score}
"""Module by action, in the order a person works."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in ACTIONS.items():
        module.configure(actions.add_parser(name, help=module.HELP, description=module.__doc__))


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    status: int = ACTIONS[args.action].run(args)
    return status
