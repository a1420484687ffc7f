"""Train a genotype's model, or a baseline, on click logs; save source, weights, curves and a report of the run.

The same command on the same folder goes on with a run that was interrupted or killed, at the very step, and shows a
finished one. --seeds trains several times and gives mean and deviation; --tune picks the learning rate first. --from
RUN (or the folder of a run in the place of GENOTYPE) trains its model on from its weights.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import model, training
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import train as tables
from nasrec.cli.usage import UsageError, number
from nasrec.runs import settings
from nasrec.runs.data import from_settings
from nasrec.runs.options import TuneOptions
from nasrec.runs.tune import SEEDS

HELP = "train a genotype or a baseline on click logs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser, required=False)
    parser.add_argument("--from", dest="from_run", metavar="RUN", help="the folder of a run, to train its model on")
    training.add_options(parser)
    usual = TuneOptions()
    group = parser.add_argument_group("tuning")
    group.add_argument(
        "--tune",
        action="store_true",
        help=f"choose the peak learning rate by mean validation log loss over the seeds (--seeds, default {SEEDS}), "
        "then score the chosen one on the test rows",
    )
    group.add_argument(
        "--tune-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=(usual.low, usual.high),
        help=f"learning rates to choose from (default {usual.low:g} {usual.high:g}, the paper's)",
    )
    group.add_argument(
        "--tune-trials", type=number(1), default=usual.trials, metavar="N", help=f"how many (default {usual.trials})"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files too")
    training.add_output(parser, "runs/NAME-TIME")


def run(args: argparse.Namespace) -> int:
    """Trains, saves, scores on the test rows. What is done when Ctrl-C comes is kept."""
    if args.from_run is not None:
        if args.genotype is not None:
            raise UsageError("nasrec train: --from names the model; leave out GENOTYPE")
        args.genotype = args.from_run
    if args.tune and args.seeds is None:
        args.seeds = SEEDS
    values = training.merged(args, "train", trained=True)
    tune = TuneOptions(args.tune_range[0], args.tune_range[1], args.tune_trials) if args.tune else None
    options = settings.train_options(values, tune=tune, tensorboard=args.tensorboard, fresh=args.fresh)
    found = runs.train(
        values["genotype"], from_settings(values), args.output, options, CommandReporter(quiet=args.json)
    )
    return finish(found, tables.closing, as_json=args.json)
