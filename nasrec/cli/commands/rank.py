"""How well a supernet ranks architectures: its scores against the losses of models trained from scratch.

The truth is a table that grows by each training, can be shared between runs, and serves as a tabular benchmark for
search algorithms (--compare-algorithms). --matrix trains a supernet for each sampling strategy and masking, and
compares them.
"""

from __future__ import annotations

import argparse
from dataclasses import fields

from nasrec import runs
from nasrec.cli.commands import rank_compare
from nasrec.cli.finish import finish
from nasrec.cli.options import data, space
from nasrec.cli.options.search import add_finetune_rows
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import rank as tables
from nasrec.cli.usage import UsageError, number
from nasrec.runs import settings
from nasrec.runs.rank_options import RankOptions
from nasrec.runs.supernet import data_of

HELP = "measure how well a supernet ranks architectures"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    data.add_options(parser, required=False)
    group = parser.add_argument_group("supernets")
    group.add_argument(
        "--supernet",
        metavar="FILE",
        help="a trained one to examine, the folder of 'nasrec supernet train' or its supernet.pt; default: one is "
        "trained",
    )
    group.add_argument("--matrix", action="store_true", help="train one for each sampling strategy and masking")
    group.add_argument(
        "--unbalanced", action="store_true", help="with --matrix: without operator-balanced dot-product too"
    )
    group.add_argument(
        "--finetune", type=number(1), default=500, metavar="STEPS",
        help="score without and with so many steps of fine-tuning the last layer (default 500, the paper's)",
    )  # fmt: skip
    add_finetune_rows(group)
    group.add_argument("--valid-rows", type=number(1), metavar="N", help="validation rows to score on (default: all)")
    for name, kind, default, text in (
        ("supernet-seeds", number(1), 1, "supernets of each kind (default 1)"),
        ("supernet-epochs", number(1), 1, "passes over the rows (default 1)"),
        ("supernet-lr", float, 0.12, "peak learning rate (default 0.12)"),
        ("supernet-batch-size", number(1), 512, "rows of a step (default 512)"),
        ("embedding-dim", number(1), None, "channels of an embedding (default 16, or those of --supernet)"),
    ):
        group.add_argument(f"--{name}", type=kind, default=default, metavar="X", help=text)
    space.add_options(parser)
    group = parser.add_argument_group("truth")
    group.add_argument(
        "-n", "--architectures", type=number(3), default=60, metavar="N", help="to train from scratch (default 60)"
    )
    group.add_argument(
        "--all",
        dest="all_architectures",
        action="store_true",
        help="every architecture of the space, for a tabular benchmark",
    )
    group.add_argument(
        "--truth", metavar="FILE", help="the table, shared between runs (default truth.jsonl in the folder)"
    )
    group.add_argument("--train-config", metavar="FILE", help="how they are trained: TOML as 'nasrec train --config'")
    group.add_argument("--truth-seeds", type=number(1), default=1, metavar="N", help="trainings of each (default 1)")
    rank_compare.add_options(parser)
    parser.add_argument("--seed", type=number(0), default=0, metavar="N", help="of all draws (default 0)")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/rank-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains what is missing, compares, draws."""
    if args.compare_algorithms:
        return rank_compare.run(args)
    if args.data is None and (args.supernet is None or data_of(args.supernet) is None):
        raise UsageError("nasrec rank: --data PATH is missing; see 'nasrec rank --help'")
    names = {one.name for one in fields(RankOptions)}
    given = {name: value for name, value in vars(args).items() if name in names}
    if args.train_config is not None:
        given["recipe"] = settings.recipe_from_file(args.train_config)
    rows = data.source_of(args) if args.data is not None else None
    found = runs.rank(rows, args.output, RankOptions(**given), CommandReporter(quiet=args.json))
    return finish(found, tables.study_closing, as_json=args.json)
