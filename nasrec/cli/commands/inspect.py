"""Show a genotype's graph: as text, as a drawing, or as a table of what each node costs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import nasrec_ir
from nasrec import jsonfile
from nasrec.cli import architectures, columns, output
from nasrec.cli.architectures import Architecture
from nasrec.cli.usage import UsageError
from nasrec.errors import CompileError
from nasrec.features import FeatureSpec
from nasrec_ir import Graph, draw

HELP = "print or draw a genotype's graph, with cost per node"

FORMATS = ("text", "dot", "svg", "mermaid")
STAGES = ("lowered", "optimised")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default text, which parses back")
    parser.add_argument(
        "--stage", choices=STAGES, default="optimised", help="as lowered, all blocks present, or optimised (default)"
    )
    parser.add_argument("--cost", action="store_true", help="print a table of cost per node instead of the graph")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of standard output")
    parser.add_argument("--json", action="store_true", help="print nodes and their cost as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the graph."""
    architecture = architectures.from_args(args)
    graph = _stage(architecture, columns.resolve(args, architecture), args.stage)
    text = _rendered(graph, args)
    if args.output:
        jsonfile.write_text(args.output, text, CompileError)
    else:
        print(text, end="")
    return 0


def _stage(architecture: Architecture, features: FeatureSpec, stage: str) -> Graph:
    if architecture.genotype is None and stage != "optimised":
        raise UsageError(f"nasrec inspect: baseline {architecture.name} is built optimised; leave out --stage {stage}")
    stages: dict[str, Graph] = {}
    stages["optimised"] = architecture.graph(features, stages.__setitem__)
    return stages[stage]


def _rendered(graph: Graph, args: argparse.Namespace) -> str:
    if args.json:
        return output.json_text(_as_json(graph)) + "\n"
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
    header = ("node", "op", "type", "MACs", "parameters", "bytes read", "bytes written")
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
