"""Show a genotype's graph: as text, as a drawing, or as a table of what each node costs. --view architecture draws the
genotype itself: blocks, operators and connections, with what is dead faint."""

from __future__ import annotations

import argparse

import nasrec_ir
from nasrec.cli.options import columns
from nasrec.cli.options import model as architectures
from nasrec.cli.tables.model import cost_table
from nasrec.cli.usage import UsageError
from nasrec.errors import CompileError
from nasrec.io.atomic import write_bytes, write_text
from nasrec.io.json import json_text
from nasrec.runs.describe import nodes_of
from nasrec.runs.model import Architecture
from nasrec.runs.opened import OpenedModel, named_model
from nasrec_ir import Graph, draw

HELP = "print or draw a genotype or its graph, with cost per node"

VIEWS = {"graph": ("text", "dot", "svg", "mermaid"), "architecture": ("svg", "png")}
"""What is shown, with its formats, the default first."""

FORMATS = tuple(dict.fromkeys(name for formats in VIEWS.values() for name in formats))
STAGES = ("lowered", "optimised")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument(
        "--view", choices=tuple(VIEWS), default="graph",
        help="the graph that is compiled (default), or the architecture: the genotype's blocks, no columns needed",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS,
        help="of the graph text (default, parses back), dot, svg, mermaid; of the architecture svg (default), png",
    )  # fmt: skip
    parser.add_argument("--stage", choices=STAGES, help="as lowered, all blocks present, or optimised (default)")
    parser.add_argument("--cost", action="store_true", help="print a table of cost per node instead of the graph")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of standard output")
    parser.add_argument("--json", action="store_true", help="print nodes and their cost as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints what is asked for."""
    if args.format is None:
        args.format = VIEWS[args.view][0]
    elif args.format not in VIEWS[args.view]:
        raise UsageError(
            f"nasrec inspect: --format {args.format} is none of --view {args.view}, which has "
            f"{', '.join(VIEWS[args.view])}"
        )
    if args.view == "architecture":
        return _draw(named_model(args.genotype, architectures.given_options(args))[0], args)
    _give(_rendered(_stage(columns.opened(args), args.stage or "optimised"), args), args)
    return 0


def _draw(architecture: Architecture, args: argparse.Namespace) -> int:
    from nasrec.draw import scene_of

    for option in ("stage", "cost", "json"):
        if getattr(args, option):
            raise UsageError(f"nasrec inspect: --{option} belongs to --view graph; leave it out")
    if architecture.genotype is None:
        raise UsageError(
            f"nasrec inspect: {architecture.kind} {architecture.name} has no blocks to draw; leave out --view"
        )
    scene = scene_of(architecture.genotype)
    if args.format == "svg":
        _give(scene.svg(), args)
    elif args.output:
        write_bytes(args.output, scene.png(), CompileError)
    else:
        raise UsageError("nasrec inspect: a PNG is no text to print; give -o FILE")
    return 0


def _give(text: str, args: argparse.Namespace) -> None:
    if args.output:
        write_text(args.output, text, CompileError)
    else:
        print(text, end="")


def _stage(opened: OpenedModel, stage: str) -> Graph:
    architecture = opened.architecture
    if stage == "optimised":
        return opened.graph
    if architecture.genotype is None or architecture.fixed is not None:
        kind = "graph" if architecture.fixed is not None else architecture.kind
        raise UsageError(f"nasrec inspect: {kind} {architecture.name} is built optimised; leave out --stage {stage}")
    stages: dict[str, Graph] = {}
    architecture.graph(opened.features, stages.__setitem__)
    return stages[stage]


def _rendered(graph: Graph, args: argparse.Namespace) -> str:
    if args.json:
        return json_text(nodes_of(graph)) + "\n"
    if args.cost:
        return cost_table(graph) + "\n"
    if args.format == "text":
        return nasrec_ir.dump(graph)
    render = {"dot": draw.dot, "svg": draw.svg, "mermaid": draw.mermaid}[args.format]
    return render(graph).rstrip("\n") + "\n"
