"""Prune a model in rounds: learn what matters, drop the rest for good, train what is left from the same beginning.

Rows, columns and fields really leave: each round gives a smaller graph (graph.ir), its source, weights and scores, in a
folder of its own, which is a run like any other. GENOTYPE may also be the folder of a run, whose model, rows and
settings are taken over. The same command on the same folder goes on with what was interrupted or killed, and with more
--rounds.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import model, training
from nasrec.cli.options import prune as options
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import prune as tables
from nasrec.runs import settings
from nasrec.runs.data import from_settings
from nasrec.runs.prune import OWN, PruneOptions

HELP = "prune a model in rounds to a smaller graph"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser, required=False)
    options.add_options(parser)
    training.add_options(parser)
    training.add_output(parser, "runs/prune-NAME-TIME")


def run(args: argparse.Namespace) -> int:
    """Trains and prunes, seed by seed; what is done when Ctrl-C comes is kept."""
    values = training.merged(args, "prune", OWN, trained=False, check=PruneOptions.from_settings)
    seeds = values.pop("seeds", 1)
    pruning = PruneOptions.from_settings(values, train=settings.train_options(values), seeds=seeds, fresh=args.fresh)
    found = runs.prune(
        values["genotype"], from_settings(values), args.output, pruning, CommandReporter(quiet=args.json)
    )
    return finish(found, tables.closing, as_json=args.json)
