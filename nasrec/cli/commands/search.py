"""Search a trained supernet's space for better genotypes; every evaluation is journaled as it happens.

The same command on the same folder goes on with a search that was interrupted or killed. --retrain K trains the K best
from scratch, chooses among them on the validation rows, and scores the chosen one on the test rows with several seeds.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import data, search
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import search as tables
from nasrec.runs.search import SearchOptions

HELP = "search for better genotypes with a trained supernet"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    search.add_options(parser)
    search.add_retraining(parser, SearchOptions)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/search-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Searches, writes what was found, and trains the best where that is asked for."""
    options = SearchOptions(**search.given(args, SearchOptions))
    rows = data.source_of(args) if args.data is not None else None
    found = runs.search(args.supernet, rows, args.output, options, CommandReporter(quiet=args.json))
    return finish(found, tables.closing, as_json=args.json, page="evaluations" in found.report)
