"""Compile a genotype: print its live blocks and cost, write PyTorch source, weights, the graph after each pass."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec.cli.options import columns
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import number
from nasrec.errors import CompileError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.runs import describe, weights
from nasrec_ir import Graph

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
    from nasrec.lowering.graphs import ir_dumper
    from nasrec_ir.codegen import generate

    architecture = architectures.from_args(args)
    state_dict = weights.read(args.weights) if args.weights else None
    features = columns.resolve(args, architecture, weights.tables_of(state_dict) if state_dict else ())
    graph = architecture.graph(features, ir_dumper(args.dump_ir) if args.dump_ir else None)
    source = generate(graph).text
    if args.weights or args.save_weights:
        _handle_weights(args, graph, state_dict)
    if args.output:
        write_text(args.output, source, CompileError)
    if args.json:
        print(json_text(describe.summary(architecture, features, graph) | _written(args)))
    else:
        print(describe.text(architecture, features, graph))
        for what, path in _written(args).items():
            print(f"  {what.replace('_', ' '):<14}{path}" if path else "", end="\n" if path else "")
    return 0


def _handle_weights(args: argparse.Namespace, graph: Graph, state_dict: Any) -> None:
    from nasrec.compiler import compile_graph

    model = compile_graph(graph, seed=args.seed)
    if state_dict is not None:
        weights.copy_into(model, state_dict, args.weights)
    if args.save_weights:
        weights.save(model, args.save_weights)


def _written(args: argparse.Namespace) -> dict[str, str | None]:
    return {"source": args.output, "saved_weights": args.save_weights, "ir": args.dump_ir}
