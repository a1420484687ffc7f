"""Compile a genotype: print its live blocks and cost, write PyTorch source, weights, the graph after each pass."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec.cli import architectures, columns, output, weights
from nasrec.cli.architectures import Architecture
from nasrec.cli.usage import number
from nasrec.errors import CompileError
from nasrec.features import FeatureSpec
from nasrec_ir import Cost, Graph

HELP = "compile a genotype to PyTorch source; print live blocks and cost"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the generated module, such as model.py")
    weights.add_option(parser)
    parser.add_argument("--save-weights", metavar="FILE", help="write the model's state dict (.pt), tensors only")
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, help="of initial weights (default 0)")
    parser.add_argument("--dump-ir", metavar="DIR", help="write the graph after each pass (00-lowered.ir, ...)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Compiles; torch is imported only where weights are asked for."""
    from nasrec import jsonfile
    from nasrec.graphs import ir_dumper
    from nasrec_ir.codegen import generate

    architecture = architectures.load(args.genotype)
    state_dict = weights.read(args.weights) if args.weights else None
    features = columns.resolve(args, architecture, weights.tables_of(state_dict) if state_dict else ())
    graph = architecture.graph(features, ir_dumper(args.dump_ir) if args.dump_ir else None)
    source = generate(graph).text
    if args.weights or args.save_weights:
        _handle_weights(args, graph, state_dict)
    if args.output:
        jsonfile.write_text(args.output, source, CompileError)
    if args.json:
        print(output.json_text(summary(architecture, features, graph) | _written(args)))
    else:
        print(describe(architecture, features, graph))
        for what, path in _written(args).items():
            print(f"  {what.replace('_', ' '):<14}{path}" if path else "", end="\n" if path else "")
    return 0


def describe(architecture: Architecture, features: FeatureSpec, graph: Graph) -> str:
    """Live blocks and cost in a few lines, also used by other commands."""
    cost = compiled_cost(graph)
    rows = output.plural(sum(features.cardinalities), "table row")
    lines = [
        f"{architecture.name}{_blocks(architecture)}",
        f"  columns       {features.num_dense} dense, {features.num_sparse} categorical ({rows}), "
        f"embedding {features.embedding_dim}",
        f"  MACs          {cost.macs:,} per sample{_paper_macs(architecture, features, cost)}",
        f"  parameters    {cost.parameters - cost.embedding_parameters:,} and {cost.embedding_parameters:,} in "
        f"embedding tables ({cost.parameter_bytes / 2**20:.1f} MiB)",
        f"  graph         {output.plural(len(graph), 'node')} after optimisation",
    ]
    return "\n".join(lines)


def summary(architecture: Architecture, features: FeatureSpec, graph: Graph) -> dict[str, Any]:
    """The same for programs."""
    cost, genotype = compiled_cost(graph), architecture.genotype
    return {
        "name": architecture.name,
        "blocks": len(genotype.blocks) if genotype else None,
        "live_blocks": list(genotype.live_blocks()) if genotype else None,
        "features": features.to_dict(),
        "macs": cost.macs,
        "macs_as_published": _published_macs(architecture, features),
        "parameters": cost.parameters,
        "embedding_parameters": cost.embedding_parameters,
        "parameter_bytes": cost.parameter_bytes,
        "nodes": len(graph),
    }


def compiled_cost(graph: Graph) -> Cost:
    """Cost of what the compiled model runs."""
    import nasrec_ir

    return nasrec_ir.cost(graph)


def _published_macs(architecture: Architecture, features: FeatureSpec) -> int | None:
    """MACs as the paper counts them, where zeros that the compiler leaves out are still multiplied."""
    from nasrec.graphs import cost

    return cost(architecture.genotype, features).macs if architecture.genotype else None


def _paper_macs(architecture: Architecture, features: FeatureSpec, cost: Cost) -> str:
    published = _published_macs(architecture, features)
    return "" if published in (None, cost.macs) else f" ({published:,} with multiplications by known zeros)"


def _blocks(architecture: Architecture) -> str:
    if architecture.genotype is None:
        return ": a baseline"
    live, count = architecture.genotype.live_blocks(), len(architecture.genotype.blocks)
    verb = "is" if len(live) == 1 else "are"
    return f": {len(live)} of {output.plural(count, 'block')} {verb} live ({output.listed(live)})"


def _handle_weights(args: argparse.Namespace, graph: Graph, state_dict: Any) -> None:
    from nasrec.compiler import compile_graph

    model = compile_graph(graph, seed=args.seed)
    if state_dict is not None:
        weights.copy_into(model, state_dict, args.weights)
    if args.save_weights:
        weights.save(model, args.save_weights)


def _written(args: argparse.Namespace) -> dict[str, str | None]:
    return {"source": args.output, "saved_weights": args.save_weights, "ir": args.dump_ir}
