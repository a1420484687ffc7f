"""Map a model onto in-memory hardware and estimate it: a table per node, pictures, headroom, or JSON."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from nasrec.cli.options import columns, model
from nasrec.cli.options import hardware as chips
from nasrec.cli.tables import pim as tables
from nasrec.errors import CompileError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.runs.hardware import load_hardware
from nasrec_pim import estimate, floorplan, gantt, headroom, map_graph, tail_latency

HELP = "latency, energy and area of a model on in-memory hardware, node by node"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--hardware", default=chips.DEFAULT, metavar="HW", help=f"{chips.named()}; default default")
    chips.add_override(parser)
    parser.add_argument("--arrivals", type=float, metavar="PER_S", help="latency under so many arrivals a second")
    parser.add_argument("--headroom", action="store_true", help="what an ideal ADC, buffer, network ... would give")
    parser.add_argument("--floorplan", metavar="FILE.svg", help="draw the tiles, coloured by node")
    parser.add_argument("--gantt", metavar="FILE.svg", help="draw the schedule of one sample")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Maps, estimates, draws, prints."""
    graph = columns.opened(args).graph
    hardware = load_hardware(args.hardware, args.overrides)
    report = estimate(map_graph(graph, hardware))
    tail = None if args.arrivals is None else tail_latency(report, args.arrivals)
    if args.floorplan is not None:
        write_text(args.floorplan, floorplan(report.mapping), CompileError)
    if args.gantt is not None:
        write_text(args.gantt, gantt(report), CompileError)
    bounds = headroom(graph, hardware) if args.headroom else ()
    if args.json:
        more: dict[str, Any] = {"tail": asdict(tail)} if tail is not None else {}
        more |= {"headroom": [asdict(row) for row in bounds]} if args.headroom else {}
        print(json_text(report.to_dict() | more))
        return 0
    print(tables.summary(report, tail), tables.node_table(report), sep="\n\n")
    if args.headroom:
        print("", tables.headroom_table(bounds), sep="\n")
    return 0
