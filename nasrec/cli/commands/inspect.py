"""Show a genotype's graph: as text, as a drawing, or as a table of what each node costs."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec.cli import architectures, columns, output
from nasrec.errors import CompileError
from nasrec_ir import Graph

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
    from nasrec import jsonfile

    architecture = architectures.load(args.genotype)
    graph = _stage(architecture, columns.resolve(args, architecture), args.stage)
    text = _rendered(graph, args)
    if args.output:
        jsonfile.write_text(args.output, text, CompileError)
    else:
        print(text, end="")
    return 0


def _stage(architecture: architectures.Architecture, features: Any, stage: str) -> Graph:
    stages: dict[str, Graph] = {}
    stages["optimised"] = architecture.graph(features, stages.__setitem__)
    return stages[stage]


def _rendered(graph: Graph, args: argparse.Namespace) -> str:
    import nasrec_ir

    if args.json:
        return output.json_text(_as_json(graph)) + "\n"
    if args.cost:
        return cost_table(graph) + "\n"
    if args.format == "text":
        return nasrec_ir.dump(graph)
    from nasrec_ir import draw

    render = {"dot": draw.dot, "svg": draw.svg, "mermaid": draw.mermaid}[args.format]
    return render(graph).rstrip("\n") + "\n"


def cost_table(graph: Graph) -> str:
    """One line a node, totals last."""
    import nasrec_ir

    total = nasrec_ir.cost(graph)
    rows = [
        [
            n.id,
            n.op,
            str(graph[n.id].type),
            f"{n.macs:,}",
            f"{n.parameters:,}",
            f"{n.read_bytes:,}",
            f"{n.written_bytes:,}",
        ]
        for n in total.nodes
    ]
    read = sum(n.read_bytes for n in total.nodes)
    rows.append(
        ["total", "", "", f"{total.macs:,}", f"{total.parameters:,}", f"{read:,}", f"{total.activation_bytes:,}"]
    )
    header = ("node", "op", "type", "MACs", "parameters", "bytes read", "bytes written")
    return output.table(header, rows, left=3)


def _as_json(graph: Graph) -> dict[str, Any]:
    import nasrec_ir

    total = nasrec_ir.cost(graph)
    costs = {n["id"]: n for n in total.to_dict()["nodes"]}  # type: ignore[attr-defined]
    nodes = [
        {
            "id": node.id,
            "op": node.op,
            "inputs": list(node.inputs),
            "attributes": {key: list(v) if isinstance(v, tuple) else v for key, v in node.attrs},
            "parameters": {role: {"name": ref.name, "shape": list(ref.view_shape)} for role, ref in node.params},
            "type": str(node.type),
            "cost": {key: v for key, v in costs.get(node.id, {}).items() if key not in ("id", "op")} or None,
        }
        for node in graph
    ]
    totals = {key: v for key, v in total.to_dict().items() if key != "nodes"}
    return {"name": graph.name, "output": graph.output, "totals": totals, "nodes": nodes}
