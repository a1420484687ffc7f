"""Run a trained model on simulated crossbars: AUC and log loss under variation, faults and noise, beside its energy."""

from __future__ import annotations

import argparse

from nasrec import reports, runs
from nasrec.cli.options import columns, data, model
from nasrec.cli.options import hardware as chips
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import pim as tables
from nasrec.cli.usage import number
from nasrec.io.json import json_text
from nasrec.runs.hardware import load_hardware
from nasrec.runs.simulate import SimulateOptions

HELP = "AUC and log loss of a trained model on simulated crossbars"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    data.add_options(parser, required=False)
    columns.add_weights(parser)
    parser.add_argument("--hardware", default=chips.DEFAULT, metavar="HW", help=f"{chips.named()}; default default")
    chips.add_override(parser)
    parser.add_argument("--part", choices=("valid", "test"), default="valid", help="rows to score (default valid)")
    parser.add_argument("--limit", type=number(1), metavar="N", help="score only the first N of them")
    parser.add_argument("--chips", type=number(1, 1000), default=1, metavar="N", help="simulate N chips (default 1)")
    parser.add_argument("--ideal-cells", action="store_true", help="no variation and no stuck cells")
    parser.add_argument("--no-noise", action="store_true", help="no noise when reading")
    parser.add_argument("--drift", type=float, default=0.0, metavar="SECONDS", help="time since programming")
    parser.add_argument("--ir-drop", action="store_true", help="voltage lost along wires, to first order")
    parser.add_argument(
        "--adc-range",
        choices=("calibrated", "clip", "full"),
        default="calibrated",
        help="what the converters' largest code stands for (default: the largest sum met in calibration)",
    )
    parser.add_argument(
        "--embedding-dim",
        type=number(1),
        metavar="E",
        help="channels (default 16, or those of the run, the graph or the weights)",
    )
    parser.add_argument("--seed", type=number(0), default=0, help="of chips, initial weights and a twin's rows")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for the report (default: none is written)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Simulates, scores, prints."""
    options = SimulateOptions(
        part=args.part, limit=args.limit, chips=args.chips, variation=not args.ideal_cells,
        stuck=not args.ideal_cells, read_noise=not args.no_noise, drift_s=args.drift, ir_drop=args.ir_drop,
        adc_range=args.adc_range, weights=args.weights, embedding_dim=args.embedding_dim,
        model_options=model.given_options(args), seed=args.seed,
    )  # fmt: skip
    rows = data.source_of(args) if args.data is not None else None
    hardware = load_hardware(args.hardware, args.overrides)
    found = runs.simulate(args.genotype, rows, args.output, hardware, options, CommandReporter(quiet=args.json))
    if found.folder is not None:
        reports.write(found)
    print(json_text(found.report) if args.json else tables.simulation(found))
    return 0
