"""Report what this installation can do: versions, compiled kernels and why others are not, optional packages."""

from __future__ import annotations

import argparse

from nasrec.cli.tables.doctor import installation
from nasrec.environment import examine
from nasrec.io.json import json_text

HELP = "report versions, compiled kernels and optional packages"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the report; a missing part is a finding, not a failure."""
    report = examine()
    print(json_text(report) if args.json else installation(report))
    return 0
