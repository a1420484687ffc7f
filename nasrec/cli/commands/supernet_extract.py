"""Take a subnet out of a trained supernet: readable source, genotype and weights of a model that stands alone.

The folder is a run like any other: commands that take GENOTYPE take it.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.options import data, supernet
from nasrec.cli.tables import supernet as tables
from nasrec.cli.usage import UsageError
from nasrec.io.json import json_text
from nasrec.runs.supernet import data_of

HELP = "a subnet as a model of its own"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    supernet.add_arguments(parser, several=False)
    supernet.add_tuning(parser)
    data.add_options(parser, required=False)
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder for model.py, genotype.json and weights.pt"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Extracts, checks and saves."""
    rows = data.source_of(args) if args.data is not None else None
    known = rows is not None or (args.finetune is not None and data_of(args.checkpoint) is not None)
    if known != (args.finetune is not None):
        raise UsageError("nasrec supernet extract: --finetune and --data go together; give both or neither")
    options = runs.ExtractOptions(supernet.tuning_of(args), args.seed, args.device)
    found = runs.extract_subnet(args.checkpoint, args.genotype, args.output, rows, options)
    print(json_text(found.report) if args.json else tables.extracted(found))
    return 0
