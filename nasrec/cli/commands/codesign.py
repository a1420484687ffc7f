"""Search models, their precisions and in-memory hardware together, with a trained supernet for log loss.

Every evaluation is journaled; the same command on the same folder goes on with a search that was interrupted or killed.
The Pareto front is held against handcrafted designs. --retrain K trains designs of the front and the handcrafted model
from scratch, runs them on simulated crossbars, and fine-tunes them for the noise of cells.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import codesign, data, search
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import codesign as tables
from nasrec.runs.codesign import CodesignOptions

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
    return finish(found, tables.closing, as_json=args.json, page="evaluations" in found.report)
