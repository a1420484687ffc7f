"""Map a model onto in-memory hardware: what each node costs there, against other designs, and what the hardware is."""

from __future__ import annotations

import argparse

from nasrec.cli.commands import pim_compare as compare
from nasrec.cli.commands import pim_corrections as corrections
from nasrec.cli.commands import pim_hardware as hardware
from nasrec.cli.commands import pim_map as mapped
from nasrec.cli.commands import pim_simulate as simulate

HELP = "map a model onto ReRAM hardware: latency, energy, area; compare designs"

ACTIONS = {
    "map": mapped,
    "compare": compare,
    "simulate": simulate,
    "hardware": hardware,
    "corrections": corrections,
}
"""Module by action, in the order a person works."""

FORMER_NAMES = {"mends": "corrections"}
"""Actions by the names that they had in earlier versions: they work, and no help lists them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in ACTIONS.items():
        module.configure(actions.add_parser(name, help=module.HELP, description=module.__doc__))
    for former, name in FORMER_NAMES.items():
        ACTIONS[name].configure(actions.add_parser(former, description=ACTIONS[name].__doc__))


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    status: int = ACTIONS[FORMER_NAMES.get(args.action, args.action)].run(args)
    return status
