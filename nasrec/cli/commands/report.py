"""Make one HTML page of a run: figures, tables and pictures in a file that needs no other and no network.

The run is the folder of a 'nasrec train' (also with --seeds or --tune), 'nasrec supernet train', 'nasrec search' or
'nasrec rank'.
"""

from __future__ import annotations

import argparse

from nasrec.io.json import json_text

HELP = "make one HTML page of a run's results"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, with its report.json")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page (default report.html in the folder)")
    parser.add_argument("--json", action="store_true", help="print where the page is as JSON")


def run(args: argparse.Namespace) -> int:
    """Writes the page."""
    from nasrec import reports

    page = reports.write(args.folder, args.output)
    print(json_text({"page": str(page)}) if args.json else f"{page} is written")
    return 0
