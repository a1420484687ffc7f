"""Score genotypes by the shared weights of a trained supernet: log loss and AUC on validation rows."""

from __future__ import annotations

import argparse
import time
from typing import Any

from nasrec.cli.options import data as rows
from nasrec.cli.options import supernet as checkpoint
from nasrec.cli.usage import number
from nasrec.io.json import json_text
from nasrec.reports import text as output

HELP = "validation scores of genotypes by the shared weights"

COMMAND = "nasrec supernet score"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    checkpoint.add_arguments(parser, several=True)
    rows.add_options(parser, required=True)
    checkpoint.add_tuning(parser)
    parser.add_argument("--valid-rows", type=number(1), metavar="N", help="score on so many of them, evenly spread")
    parser.add_argument("--precision", default="float32", help="of all but the last linear: float32 or bfloat16")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Scores one genotype after the other."""
    from nasrec.supernet import Scorer

    net = checkpoint.open_supernet(args, COMMAND)
    genotypes = {text: checkpoint.genotype_of(text, net) for text in args.genotypes}
    data = checkpoint.rows_for(net, args)
    train, valid, _ = data.splits
    tuning = checkpoint.tuning_of(args)
    scorer = Scorer(net, valid, train_log=train, tuning=tuning, most_rows=args.valid_rows, precision=args.precision)
    scores: list[dict[str, Any]] = []
    for text, genotype in genotypes.items():
        started = time.perf_counter()
        metrics = scorer(genotype)
        seconds = time.perf_counter() - started
        scores.append({"genotype": text, "name": genotype.name, **metrics.to_dict(), "seconds": seconds})
    if args.json:
        tuned = None if tuning is None else vars(tuning)
        print(json_text({"command": "supernet score", "data": data.summary(), "finetune": tuned, "scores": scores}))
    else:
        print(_table(scores))
    return 0


def _table(scores: list[dict[str, Any]]) -> str:
    lines = [
        [one["genotype"], f"{one['log_loss']:.5f}", f"{one['auc']:.5f}", f"{one['rows']:,}", f"{one['seconds']:.2f}"]
        for one in scores
    ]
    return output.table(("genotype", "log loss", "AUC", "rows", "s"), lines)
