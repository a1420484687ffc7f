"""Train a genotype's model, or a baseline, on click logs; save source, weights and a report of the run."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli import architectures, describe, output, rows, runs, weights
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.errors import TrainError

if TYPE_CHECKING:
    import torch

    from nasrec.cli.rows import Rows
    from nasrec.compiler import CompiledModel

HELP = "train a genotype or a baseline on click logs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    rows.add_options(parser, required=True)
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=number(1), default=1, metavar="N", help="passes over the rows (default 1)")
    group.add_argument("--batch-size", type=number(1), default=512, metavar="N", help="rows of a step (default 512)")
    group.add_argument("--optimizer", choices=("adagrad", "adam"), default="adagrad", help="default adagrad")
    group.add_argument("--lr", type=float, metavar="X", help="peak learning rate (default 0.1 or, with adam, 0.001)")
    group.add_argument("--weight-decay", type=float, default=0.0, metavar="X", help="L2 on all weights (default 0)")
    group.add_argument("--schedule", choices=("cosine", "constant"), default="cosine", help="default cosine")
    group.add_argument("--eval-every", type=number(1), metavar="STEPS", help="look at the validation rows this often")
    group.add_argument("--patience", type=number(1), metavar="N", help="stop after N looks without a new best")
    group.add_argument("--embedding-dim", type=number(1), default=16, metavar="E", help="channels (default 16)")
    group.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda or auto (default)")
    group.add_argument("--seed", type=number(0), default=0, help="of weights, order and a twin's rows (default 0)")
    weights.add_option(group)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/NAME-TIME)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains, saves, scores on the test rows. What is done when Ctrl-C comes is saved all the same."""
    from nasrec.compiler import compile_graph
    from nasrec.environment import environment
    from nasrec.files import folder
    from nasrec.train import TrainConfig, console_progress, train

    architecture = architectures.load(args.genotype)
    config = TrainConfig(
        **{name: getattr(args, name) for name in ("epochs", "batch_size", "optimizer", "lr", "weight_decay")},
        **{name: getattr(args, name) for name in ("schedule", "eval_every", "patience", "seed")},
    )
    device = _device(args.device)
    state_dict = weights.read(args.weights) if args.weights else None
    data = rows.load(args, seed=args.seed)
    features = data.splits.train.features(args.embedding_dim)
    model = compile_graph(architecture.graph(features), seed=args.seed)
    if state_dict is not None:
        weights.copy_into(model, state_dict, args.weights)
    target = folder(args.output or f"runs/{model.graph.name}-{time.strftime('%Y%m%d-%H%M%S')}", TrainError)
    report: dict[str, Any] = {
        "command": "train",
        "model": describe.summary(architecture, features, model.graph),
        "config": asdict(config),
        "device": str(device),
        "data": data.summary(),
        "environment": environment(),
    }
    if not args.json:
        print(data.describe())
        print(describe.text(architecture, features, model.graph), flush=True)
    bar = console_progress(f"training {architecture.name}")
    result = train(model.to(device), data.splits.train, data.splits.valid, config, bar)

    # Weights first: a second Ctrl-C, while the model is scored, must not lose them.
    report |= runs.outcome(result)
    runs.save(target, architecture, model, report)
    if not result.interrupted:
        report["scores"] = _scores(model, data)
        runs.write_report(target, report)
    print(output.json_text(report) if args.json else _closing(report, target))
    return INTERRUPTED if result.interrupted else 0


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"nasrec train: device {name!r} is not available here; use cpu or auto") from None
    return device


def _scores(model: CompiledModel, data: Rows) -> dict[str, Any]:
    from nasrec.train import evaluate

    scores = {"valid": evaluate(model, data.splits.valid), "test": evaluate(model, data.splits.test)}
    scores |= {"teacher_on_test": data.ceiling} if data.ceiling else {}
    return {part: metrics.to_dict() for part, metrics in scores.items()}


def _closing(report: dict[str, Any], target: Path) -> str:
    rows = [
        [part.replace("_", " "), f"{found['log_loss']:.5f}", f"{found['auc']:.5f}", f"{found['rows']:,}"]
        for part, found in report.get("scores", {}).items()
    ]
    lines = ["", output.table(("", "log loss", "AUC", "rows"), rows)] if rows else ["interrupted; scored on no rows"]
    speed = f"{report['rows']:,} rows in {report['train_s']:.1f} s ({report['rows_per_s']:,.0f} rows/s)"
    return "\n".join([*lines, "", f"{speed}; model.py, weights.pt and report.json are in {target}"])
