"""Export a genotype's model to ONNX or a torch.export program, and check the file against the model."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from nasrec.cli.options import columns
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import number
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import weights

HELP = "export a model to ONNX or .pt2, checked against the model"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--format", choices=("onnx", "pt2"), required=True, help="ONNX, or a torch.export program")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the file to write")
    weights.add_option(parser)
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, help="of initial weights (default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Compiles, exports, compares."""
    architecture = architectures.from_args(args)
    state_dict = weights.read(args.weights) if args.weights else None
    features = columns.resolve(args, architecture, weights.tables_of(state_dict) if state_dict else ())
    graph = architecture.graph(features)

    from nasrec.compiler import compile_graph
    from nasrec.export import export_onnx, export_pt2

    weights.require_scales(graph, state_dict)
    model = compile_graph(graph, seed=args.seed)
    if state_dict is not None:
        weights.copy_into(model, state_dict, args.weights)
    exported = {"onnx": export_onnx, "pt2": export_pt2}[args.format](model, args.output)
    if args.json:
        print(json_text(asdict(exported)))
        return 0
    sizes = output.listed(exported.batch_sizes)
    print(
        f"{exported.path}: {exported.size_bytes / 2**20:.1f} MiB; logits within {exported.max_difference:.1e} of the "
        f"model's (largest {exported.max_logit:.2f}) at batch sizes {sizes}"
    )
    if state_dict is None:
        print(f"  weights are initial ones (seed {args.seed}); --weights exports trained ones")
    return 0
