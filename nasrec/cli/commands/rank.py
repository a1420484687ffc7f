"""How well a supernet ranks architectures: its scores against the losses of models trained from scratch.

The truth is a table that grows by each training, can be shared between runs, and serves as a tabular benchmark for
search algorithms (--contest). --matrix trains a supernet for each sampling strategy and masking, and compares them.
"""

from __future__ import annotations

import argparse
import time

from nasrec import reports
from nasrec.cli.options import data as rows
from nasrec.cli.options import space as spaces
from nasrec.cli.options.search import add_finetune_rows
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.io.json import json_text
from nasrec.runs import folder as runs

HELP = "measure how well a supernet ranks architectures"

COMMAND = "nasrec rank"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    rows.add_options(parser, required=False)
    group = parser.add_argument_group("supernets")
    group.add_argument("--supernet", metavar="FILE", help="a trained one to examine; default: one is trained")
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
        ("embedding-dim", number(1), 16, "channels of an embedding (default 16)"),
    ):
        group.add_argument(f"--{name}", type=kind, default=default, metavar="X", help=text)
    spaces.add_options(parser)
    group = parser.add_argument_group("truth")
    group.add_argument(
        "-n", "--architectures", type=number(3), default=60, metavar="N", help="to train from scratch (default 60)"
    )
    group.add_argument("--all", action="store_true", help="every architecture of the space, for a tabular benchmark")
    group.add_argument(
        "--truth", metavar="FILE", help="the table, shared between runs (default truth.jsonl in the folder)"
    )
    group.add_argument("--train-config", metavar="FILE", help="how they are trained: TOML as 'nasrec train --config'")
    group.add_argument("--truth-seeds", type=number(1), default=1, metavar="N", help="trainings of each (default 1)")
    group = parser.add_argument_group("contest of search algorithms on the table")
    group.add_argument("--contest", action="store_true", help="evolution against random search on the table of --truth")
    group.add_argument("--budget", type=number(1), metavar="N", help="architectures of a search (default: a quarter)")
    group.add_argument("--contest-seeds", type=number(2), default=100, metavar="N", help="searches (default 100)")
    parser.add_argument("--seed", type=number(0), default=0, metavar="N", help="of all draws (default 0)")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/rank-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains what is missing, compares, draws."""
    from nasrec.cli.commands.rank_compare import contest
    from nasrec.runs.rank import study

    if args.contest:
        if args.truth is None:
            raise UsageError(f"{COMMAND}: --contest needs the table of an earlier run; give --truth FILE")
    elif args.data is None:
        raise UsageError(f"{COMMAND}: --data PATH is missing; see '{COMMAND} --help'")
    target = ensure_directory(args.output or f"runs/rank-{time.strftime('%Y%m%d-%H%M%S')}", TrainError)
    runs.require_command(target, "rank --contest" if args.contest else "rank")
    with runs.held(target):
        try:
            said = contest(args, target) if args.contest else study(args, target)
        except KeyboardInterrupt:
            print(runs.resume_hint(target))
            return INTERRUPTED
        runs.write_report(target, said)
        reports.write(target)
    print(json_text(said) if args.json else f"\nreport.html, report.json and pictures are in {target}")
    return 0
