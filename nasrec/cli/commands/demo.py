"""The main job from end to end: compile a published genotype, print its live blocks and cost, save source and picture,
train it for a short while on click logs, and compare it with logistic regression and DLRM trained in the same way.

Rows are the synthetic Criteo twin's; NASREC_DATA (a file or a folder) or --data gives real ones.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nasrec import runs
from nasrec.cli.options import data
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import demo as tables
from nasrec.cli.tables.model import described
from nasrec.cli.usage import INTERRUPTED, number
from nasrec.io.json import json_text
from nasrec.reports.demo import draw
from nasrec.runs.data import from_environment
from nasrec.runs.demo import ROWS_SEEN, DemoOptions

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec
    from nasrec.runs.data import RunData
    from nasrec.runs.model import Architecture
    from nasrec_ir import Graph

HELP = "compile a published genotype, train it, compare it with baselines"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    data.add_options(parser, required=False)
    parser.add_argument(
        "--genotype", default="criteo-full", metavar="GENOTYPE", help="what to compile (default criteo-full)"
    )
    parser.add_argument("--epochs", type=number(1), metavar="N", help=f"passes (default: about {ROWS_SEEN:,} rows)")
    parser.add_argument("--batch-size", type=number(1), default=128, metavar="N", help="rows of a step (default 128)")
    parser.add_argument("--seed", type=number(0), default=0, help="of weights, order and the twin's rows (default 0)")
    parser.add_argument("-o", "--output", metavar="DIR", default="runs/demo", help="folder (default runs/demo)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the demonstration, and draws its curves."""
    args.data = args.data or from_environment()
    options = DemoOptions(args.epochs, args.batch_size, args.seed)
    found = runs.demo(args.genotype, data.source_of(args), args.output, options, _Reporter(quiet=args.json))
    draw(found)
    print(json_text(found.report) if args.json else tables.closing(found))
    return INTERRUPTED if found.interrupted else 0


class _Reporter(CommandReporter):
    """Remarks are what the demonstration shows, so they go to standard output."""

    def note(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)

    def begun(
        self, data: RunData, architecture: Architecture | None, features: FeatureSpec | None, graph: Graph | None
    ) -> None:
        if not self._quiet and architecture is not None and features is not None and graph is not None:
            print(f"{data.describe()}\n\n{described(architecture, features, graph)}", flush=True)
