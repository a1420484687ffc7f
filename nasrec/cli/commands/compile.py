"""Compile a genotype: print its live blocks and cost, write PyTorch source, weights, the graph after each pass."""

from __future__ import annotations

import argparse

from nasrec.cli.options import columns, model
from nasrec.cli.tables.model import described
from nasrec.cli.usage import number
from nasrec.errors import CompileError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.lowering.graphs import ir_dumper
from nasrec.runs import describe, weights
from nasrec_ir.codegen import generate

HELP = "compile a genotype to PyTorch source; print live blocks and cost"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the generated module, such as model.py")
    columns.add_weights(parser)
    parser.add_argument("--save-weights", metavar="FILE", help="write the model's state dict (.pt), tensors only")
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, help="of initial weights (default 0)")
    parser.add_argument("--dump-ir", metavar="DIR", help="write the graph after each pass (00-lowered.ir, ...)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Compiles; torch is imported only where weights are asked for."""
    opened = columns.opened(args)
    architecture, features = opened.architecture, opened.features
    graph = architecture.graph(features, ir_dumper(args.dump_ir) if args.dump_ir else None)
    source = generate(graph).text
    if args.weights or args.save_weights:
        compiled = opened.model(args.seed)
        if args.save_weights:
            weights.save(compiled, args.save_weights)
    if args.output:
        write_text(args.output, source, CompileError)
    written = {"source": args.output, "saved_weights": args.save_weights, "ir": args.dump_ir}
    if args.json:
        print(json_text(describe.summary(architecture, features, graph) | written))
        return 0
    print(described(architecture, features, graph))
    for what, path in written.items():
        if path:
            print(f"  {what.replace('_', ' '):<14}{path}")
    return 0
