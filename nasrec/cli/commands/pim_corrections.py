"""What each correction of MNSIM 2.0's model changes: for a single layer, or for a model mapped onto the chip."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import asdict

from nasrec.cli.options import columns, model
from nasrec.cli.options import hardware as chips
from nasrec.cli.tables import pim as tables
from nasrec.cli.usage import UsageError
from nasrec.io.json import json_text
from nasrec.runs.hardware import load_hardware
from nasrec_pim import Hardware, Measured, correction_deltas, estimate, map_graph, measure_linear

HELP = "what each correction of MNSIM 2.0 changes"

LAYER = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser, required=False)
    columns.add_options(parser)
    parser.add_argument("--layer", metavar="KxN", help="a fully connected layer instead, for example 512x1024")
    parser.add_argument("--hardware", default="mnsim", metavar="HW", help=f"{chips.named()}; default mnsim")
    chips.add_override(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Measures under every set of corrections."""
    hardware = load_hardware(args.hardware, args.overrides)
    base, deltas, physical = correction_deltas(_measure(args), hardware)
    if args.json:
        rows = [asdict(delta) for delta in deltas]
        print(json_text({"mnsim": asdict(base), "corrections": rows, "physical": asdict(physical)}))
        return 0
    print(tables.correction_table(base, deltas))
    return 0


def _measure(args: argparse.Namespace) -> Callable[[Hardware], Measured]:
    if (args.genotype is None) == (args.layer is None):
        raise UsageError("nasrec pim corrections: name either a GENOTYPE or a --layer KxN")
    if args.layer is not None:
        size = LAYER.fullmatch(args.layer)
        if size is None:
            raise UsageError(f"nasrec pim corrections: --layer {args.layer!r:.40} must have the form 512x1024")
        return measure_linear(int(size[1]), int(size[2]))
    graph = columns.opened(args).graph

    def measure(hardware: Hardware) -> Measured:
        report = estimate(map_graph(graph, hardware))
        return Measured(report.latency_ns, report.energy_nJ, report.area_mm2 * 1e6)

    return measure
