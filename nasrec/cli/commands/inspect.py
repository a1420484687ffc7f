"""Show a genotype's graph: as text, as a drawing, or as a table of what each node costs. --view architecture draws the
genotype itself: blocks, operators and connections, with what is dead faint."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import nasrec_ir
from nasrec.cli.options import columns
from nasrec.cli.options import model as architectures
from nasrec.cli.options.model import Architecture
from nasrec.cli.usage import UsageError
from nasrec.errors import CompileError
from nasrec.features import FeatureSpec
from nasrec.io.atomic import write_bytes, write_text
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec_ir import Graph, draw
from nasrec_ir.draw.caption import precision_text

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
    architecture = architectures.from_args(args)
    if args.view == "architecture":
        return _draw(architecture, args)
    graph = _stage(architecture, columns.resolve(args, architecture), args.stage or "optimised")
    _give(_rendered(graph, args), args)
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


def _stage(architecture: Architecture, features: FeatureSpec, stage: str) -> Graph:
    if architecture.genotype is None and stage != "optimised":
        raise UsageError(
            f"nasrec inspect: {architecture.kind} {architecture.name} is built optimised; leave out --stage {stage}"
        )
    stages: dict[str, Graph] = {}
    stages["optimised"] = architecture.graph(features, stages.__setitem__)
    return stages[stage]


def _rendered(graph: Graph, args: argparse.Namespace) -> str:
    if args.json:
        return json_text(_as_json(graph)) + "\n"
    if args.cost:
        return cost_table(graph) + "\n"
    if args.format == "text":
        return nasrec_ir.dump(graph)
    render = {"dot": draw.dot, "svg": draw.svg, "mermaid": draw.mermaid}[args.format]
    return render(graph).rstrip("\n") + "\n"


def cost_table(graph: Graph) -> str:
    """One line a node, totals last."""
    total = nasrec_ir.cost(graph)
    rows = []
    for n in total.nodes:
        counts = (n.macs, n.parameters, n.read_bytes, n.written_bytes)
        rows.append([n.id, n.op, str(graph[n.id].type), *(f"{count:,}" for count in counts)])
    read = sum(n.read_bytes for n in total.nodes)
    totals = (total.macs, total.parameters, read, total.activation_bytes)
    rows.append(["total", "", "", *(f"{count:,}" for count in totals)])
    header = ["node", "op", "type", "MACs", "parameters", "bytes read", "bytes written"]
    if any(n.weight_bits or n.act_bits for n in total.nodes):
        header += ["bits", "parameter bytes"]
        bits = [precision_text(n.weight_bits, n.act_bits) for n in total.nodes]
        held = [f"{n.parameter_bytes:,}" for n in total.nodes]
        more = [*zip(bits, held, strict=True), ("", f"{total.parameter_bytes:,}")]
        rows = [[*row, *cells] for row, cells in zip(rows, more, strict=True)]
    return output.table(header, rows, left=3)


def _as_json(graph: Graph) -> dict[str, Any]:
    total = nasrec_ir.cost(graph)
    costs = {n.id: asdict(n) for n in total.nodes}
    nodes = [
        {
            "id": node.id,
            "op": node.op,
            "inputs": list(node.inputs),
            "attributes": {key: list(v) if isinstance(v, tuple) else v for key, v in node.attrs},
            "parameters": {role: {"name": ref.name, "shape": list(ref.view_shape)} for role, ref in node.params},
            "type": str(node.type),
            "cost": costs.get(node.id),
        }
        for node in graph
    ]
    totals = {key: v for key, v in total.to_dict().items() if key != "nodes"}
    return {"name": graph.name, "output": graph.output, "totals": totals, "nodes": nodes}
