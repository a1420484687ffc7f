"""Compare a design with another one: the ratio of speed, energy and area under each declared assumption."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from nasrec.cli.options import columns, model
from nasrec.cli.options import hardware as chips
from nasrec.cli.tables import pim as tables
from nasrec.io.json import json_text
from nasrec.runs.hardware import load_hardware
from nasrec.runs.opened import open_beside
from nasrec_pim import compare, estimate, map_graph

HELP = "the ratio of two designs for speed and energy, under each assumption"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--hardware", default=chips.DEFAULT, metavar="HW", help=f"design A: {chips.named()}")
    chips.add_override(parser)
    parser.add_argument("--against", default="isaac-like", metavar="HW", help="design B: the same; default isaac-like")
    parser.add_argument("--set-against", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="--set for B")
    parser.add_argument("--model-against", metavar="GENOTYPE", help="model on design B; default: the same")
    parser.add_argument("--json", action="store_true", help="print the ratios as JSON")


def run(args: argparse.Namespace) -> int:
    """Estimates both, prints ratios."""
    opened = columns.opened(args)
    other = open_beside(args.model_against, opened) if args.model_against else opened
    ours = estimate(map_graph(opened.graph, load_hardware(args.hardware, args.overrides)))
    theirs = estimate(map_graph(other.graph, load_hardware(args.against, args.set_against)))
    rows = compare(ours, theirs)
    names = [f"{r.mapping.name or 'model'} on {r.mapping.hardware.name}" for r in (ours, theirs)]
    if args.json:
        print(json_text({"a": names[0], "b": names[1], "ratios": [asdict(row) for row in rows]}))
        return 0
    print(f"A: {names[0]}\nB: {names[1]}\n\n{tables.ratio_table(rows)}")
    return 0
