"""Score genotypes by the shared weights of a trained supernet: log loss and AUC on validation rows."""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.options import data, supernet
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import supernet as tables
from nasrec.cli.usage import number
from nasrec.io.json import json_text

HELP = "validation scores of genotypes by the shared weights"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    supernet.add_arguments(parser, several=True)
    data.add_options(parser, required=False)
    supernet.add_tuning(parser)
    parser.add_argument("--valid-rows", type=number(1), metavar="N", help="score on so many of them, evenly spread")
    parser.add_argument("--precision", default="float32", help="of all but the last linear: float32 or bfloat16")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Scores one genotype after the other."""
    rows = data.source_of(args) if args.data is not None else None
    options = runs.ScoreOptions(
        supernet.tuning_of(args), args.seed, args.device, valid_rows=args.valid_rows, precision=args.precision
    )
    genotypes = tuple(dict.fromkeys(args.genotypes))
    found = runs.score_genotypes(args.checkpoint, genotypes, rows, options, CommandReporter(quiet=args.json))
    print(json_text(found.to_dict()) if args.json else tables.score_table(found))
    return 0
