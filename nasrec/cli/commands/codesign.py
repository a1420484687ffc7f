"""Search models, their precisions and in-memory hardware together, with a trained supernet for log loss.

Every evaluation is journaled; the same command on the same folder goes on with a search that was interrupted or killed.
The Pareto front is held against handcrafted designs. --retrain K trains designs of the front and the handcrafted model
from scratch, runs them on simulated crossbars, and fine-tunes them for the noise of cells.
"""

from __future__ import annotations

import argparse

from nasrec import reports, runs
from nasrec.cli.options import codesign, data, search
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import codesign as tables
from nasrec.cli.usage import INTERRUPTED
from nasrec.io.json import json_text
from nasrec.runs.codesign import CodesignOptions
from nasrec.runs.folder import resume_hint

HELP = "search models, precisions and in-memory hardware together"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    codesign.add_options(parser)
    search.add_retraining(parser, CodesignOptions, "designs of the front", "the knee first")
    codesign.add_verification(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/codesign-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Searches, holds what was found against reference designs, and trains the chosen where that is asked for."""
    options = codesign.options_of(args)
    rows = data.source_of(args) if args.data is not None else None
    found = runs.codesign(args.supernet, rows, args.output, options, CommandReporter(quiet=args.json))
    if "evaluations" in found.report:
        reports.write(found)
    if found.interrupted:
        print(resume_hint(found.folder))
        return INTERRUPTED
    print(json_text(found.report) if args.json else tables.closing(found))
    return 0
