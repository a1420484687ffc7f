"""Export a genotype's model to ONNX or a torch.export program, and check the file against the model."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from nasrec.cli.options import columns, model
from nasrec.cli.usage import number
from nasrec.io.json import json_text
from nasrec.reports import text

HELP = "export a model to ONNX or .pt2, checked against the model"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--format", choices=("onnx", "pt2"), required=True, help="ONNX, or a torch.export program")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the file to write")
    columns.add_weights(parser)
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, help="of initial weights (default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Compiles, exports, compares."""
    from nasrec.export import export_onnx, export_pt2

    opened = columns.opened(args)
    export = {"onnx": export_onnx, "pt2": export_pt2}[args.format]
    exported = export(opened.model(args.seed), args.output)
    if args.json:
        print(json_text(asdict(exported)))
        return 0
    sizes = text.listed(exported.batch_sizes)
    print(
        f"{exported.path}: {exported.size_bytes / 2**20:.1f} MiB; logits within {exported.max_difference:.1e} of the "
        f"model's (largest {exported.max_logit:.2f}) at batch sizes {sizes}"
    )
    if opened.weights is None:
        print(f"  weights are initial ones (seed {args.seed}); --weights exports trained ones")
    return 0
