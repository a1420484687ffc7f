"""Make one HTML page of a run: figures, tables and pictures in a file that needs no other and no network."""

from __future__ import annotations

import argparse

from nasrec import reports
from nasrec.io.json import json_text
from nasrec.reports.registry import COMMANDS

HELP = "make one HTML page of a run's results"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    known = [f"nasrec {command}" for command in COMMANDS]
    parser.epilog = f"Pages are made of the folders of {', '.join(known[:-1])} and {known[-1]}."
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, with its report.json")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page (default report.html in the folder)")
    parser.add_argument("--json", action="store_true", help="print where the page is as JSON")


def run(args: argparse.Namespace) -> int:
    """Writes the page."""
    page = reports.write(args.folder, args.output)
    print(json_text({"page": str(page)}) if args.json else f"{page} is written")
    return 0
