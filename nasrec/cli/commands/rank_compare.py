"""`nasrec rank --compare-algorithms`: search algorithms on a table of trained architectures."""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.tables import rank as tables
from nasrec.cli.usage import UsageError, number
from nasrec.runs.rank_options import ComparisonOptions

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares them; the words of earlier versions are read too."""
    group = parser.add_argument_group("comparison of search algorithms on the table")
    group.add_argument(
        "--compare-algorithms", action="store_true",
        help="evolution against random search on the table of --truth, a file or the folder of a study",
    )  # fmt: skip
    group.add_argument("--contest", dest="compare_algorithms", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--budget", type=number(1), metavar="N", help="architectures of a search (default: a quarter)")
    group.add_argument(
        "--comparison-seeds", type=number(2), default=100, metavar="N", help="searches of each (default 100)"
    )
    group.add_argument("--contest-seeds", dest="comparison_seeds", type=number(2), help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Compares, draws."""
    if args.truth is None:
        raise UsageError("nasrec rank: --compare-algorithms needs the table of an earlier run; give --truth FILE")
    options = ComparisonOptions(args.budget, args.comparison_seeds)
    found = runs.compare_algorithms(args.truth, args.output, options)
    return finish(found, tables.comparison_closing, as_json=args.json)
