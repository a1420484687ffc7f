"""Quantise a trained model: every stored matrix, and what it multiplies, in 2 to 16 bits instead of floats.

GENOTYPE may be the folder of a run, whose model, weights and rows are taken over. Scales are calibrated on training
rows; with --epochs or --max-steps training goes on in these bits, quantisation-aware. Prints log loss, AUC and bytes of
the float and of the quantised model. The folder then holds graph.ir with weights.pt, and is a run that other commands
take (nasrec export DIR ...). The same command on the same folder goes on with a run that was interrupted.
"""

from __future__ import annotations

import argparse

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import model, training
from nasrec.cli.options import quantize as options
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import quantize as tables
from nasrec.runs import settings
from nasrec.runs.data import from_settings
from nasrec.runs.quantize_options import OWN, QuantizeOptions

HELP = "quantise a trained model, or train it in few bits"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser, required=False)
    options.add_options(parser)
    training.add_options(parser)
    training.add_output(parser, "runs/NAME-quantised-TIME")


def run(args: argparse.Namespace) -> int:
    """Calibrates, trains if asked to, saves, scores. What is done when Ctrl-C comes is kept."""
    values = training.merged(args, "quantize", OWN, trained=True, check=QuantizeOptions.from_settings)
    bits = QuantizeOptions.from_settings(
        values,
        train=settings.train_options(values),
        trains="epochs" in values or "max_steps" in values,
        insist=args.weight_bits is not None or args.act_bits is not None,
        fresh=args.fresh,
    )
    found = runs.quantize(
        values["genotype"], from_settings(values), args.output, bits, CommandReporter(quiet=args.json)
    )
    return finish(found, tables.closing, as_json=args.json)
