"""Train a supernet on click logs: each step along a path of its own, drawn by the step's number. The same command on
the same folder goes on with a run that was interrupted or killed, and ends as it would have without a break."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import reports
from nasrec.checks import format_path
from nasrec.cli.options import data as rows
from nasrec.cli.options import devices
from nasrec.cli.options import space as spaces
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import folder as runs

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.space import SearchSpace
    from nasrec.supernet import PathSampling, Supernet
    from nasrec.train import TrainConfig, TrainResult
    from nasrec.train.distributed.context import DistributedContext
    from nasrec.train.progress import Progress
    from nasrec.train.state import State

HELP = "train a supernet on click logs"

COMMAND = "nasrec supernet train"
CHECKPOINTS, RESULT = "checkpoints", "supernet.pt"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    rows.add_options(parser, required=True)
    spaces.add_options(parser)
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--strategy",
        default="single-operator-any-connection",
        metavar="NAME",
        help="single-operator-single-connection, any-operator-any-connection or single-operator-any-connection "
        "(default)",
    )
    paths.add_argument(
        "--counts", default="binomial", metavar="NAME", help="how many connections: binomial, with 1/2 (default), or "
        "uniform")  # fmt: skip
    paths.add_argument(
        "--warmup-share",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="of the steps over which the full supernet is taken ever less often (default 0.2, 0 for never)",
    )
    paths.add_argument(
        "--masking",
        default="full_width",
        metavar="NAME",
        help="full_width: norms over all units, as the release (default); sliced: a path is its own compiled model",
    )
    group = parser.add_argument_group("training")
    for name, kind, default, text in (
        ("epochs", number(1), 1, "passes over the rows (default 1)"),
        ("max-steps", number(1), None, "no more steps than these"),
        ("batch-size", number(1), 512, "rows of a step, of all processes together (default 512)"),
        ("lr", float, 0.12, "peak learning rate of Adagrad (default 0.12), which falls along a cosine"),
        ("clip-norm", float, 1.0, "largest norm of all gradients together (default 1)"),
        ("precision", str, "float32", "of forward and backward: float32 (default) or bfloat16; weights stay float32"),
        ("eval-every", number(1), None, "steps between looks at validation rows (default: after each pass)"),
        ("patience", number(1), None, "stop after so many looks without a new best, and keep the best weights"),
        ("log-every", number(1), 50, "steps between points of the curves (default 50)"),
        ("embedding-dim", number(1), 16, "channels of an embedding (default 16)"),
        ("checkpoint-every", number(1), None, "steps between checkpoints (default: about once a minute)"),
        ("seed", number(0), 0, "of weights, paths, order and a twin's rows (default 0)"),
    ):
        group.add_argument(f"--{name}", type=kind, default=default, metavar="X", help=text)
    devices.add_option(group)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/supernet-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files too")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains and saves. What is done when Ctrl-C comes is kept."""
    from nasrec.supernet import PathSampling
    from nasrec.train import TrainConfig
    from nasrec.train.distributed.context import joined

    space = spaces.load(args)
    sampling = PathSampling(args.strategy, args.counts, args.warmup_share)
    own = {field.name for field in fields(TrainConfig)}
    config = TrainConfig(**{name: value for name, value in vars(args).items() if name in own})
    with joined(devices.choose(args.device, COMMAND)) as context:
        target = _target(args, context)
        data = rows.load(args, seed=args.seed)
        net = _build(args, space, data).to(context.device)
        with runs.held(target) if context.is_main else nullcontext():
            if context.is_main and args.fresh:
                runs.clear(target)
            if context.is_main:
                runs.require_command(target, "supernet train")
            context.barrier()
            result = _train(args, net, data, config, sampling, target, context)
            if context.is_main:
                _finish(args, net, _report(net, data, sampling, result, context), target)
            context.barrier()
    return INTERRUPTED if result.interrupted else 0


def _finish(args: argparse.Namespace, net: Supernet, found: dict[str, Any], target: Path) -> None:
    from nasrec.supernet import save

    if not found["interrupted"]:
        save(net, target / RESULT)
    runs.write_report(target, found)
    reports.write(target)
    print(json_text(found) if args.json else _closing(found, target))


def _build(args: argparse.Namespace, space: SearchSpace, data: Rows) -> Supernet:
    from nasrec.supernet import Supernet

    features = data.splits.train.features(args.embedding_dim)
    return Supernet(space, features, masking=args.masking, layer_norm=space.layer_norm[0], seed=args.seed)


def _target(args: argparse.Namespace, context: DistributedContext) -> Path:
    if args.output is None and context.size > 1:
        raise UsageError(f"{COMMAND}: several processes need a folder that all of them know; give -o DIR")
    return runs.place(args.output or f"runs/supernet-{time.strftime('%Y%m%d-%H%M%S')}", context)


def _train(
    args: argparse.Namespace,
    net: Supernet,
    data: Rows,
    config: TrainConfig,
    sampling: PathSampling,
    target: Path,
    context: DistributedContext,
) -> TrainResult:
    from nasrec.supernet import train
    from nasrec.train.progress import Silent
    from nasrec.train.store import FolderStore

    store = FolderStore(target / CHECKPOINTS, args.checkpoint_every) if context.is_main else None
    progress = _progress(args, net, data, target) if context.is_main else Silent()
    log, valid, _ = data.splits
    return train(net, log, valid, config, sampling, progress, store=store, context=context)


def _progress(args: argparse.Namespace, net: Supernet, data: Rows, target: Path) -> Progress:
    from nasrec.train import console_progress
    from nasrec.train.journal import Journal, TensorBoard
    from nasrec.train.progress import Several, Silent

    class Begun(Silent):
        """What is trained is shown when it is known that the folder holds no other run."""

        def begin(self, total_rows: int, state: State) -> None:
            if not args.json:
                print(f"{data.describe()}\n{_described(net)}", flush=True)

    board = [TensorBoard(target / "tensorboard")] if args.tensorboard else []
    return Several(Begun(), Journal(target), *board, console_progress("training the supernet"))


def _report(
    net: Supernet, data: Rows, sampling: PathSampling, result: TrainResult, context: DistributedContext
) -> dict[str, Any]:
    from nasrec.environment import environment
    from nasrec.supernet import describe
    from nasrec.train.predict import device_of

    return {
        "command": "supernet train",
        "supernet": {**describe(net), "parameters": sum(p.numel() for p in net.parameters())},
        "sampling": asdict(sampling),
        "config": asdict(result.config),
        "device": str(device_of(net)),
        "processes": context.size,
        "data": data.summary(),
        "environment": environment(),
        **runs.outcome(result),
    }


def _described(net: Supernet) -> str:
    tables = sum(p.numel() for name, p in net.named_parameters() if name.startswith("_embedding."))
    blocks = sum(p.numel() for p in net.parameters()) - tables
    space = net.space
    return (
        f"supernet of {output.plural(space.num_blocks, 'block')}, {net.masking}: {', '.join(space.operators)}\n"
        f"  widths        dense {', '.join(map(str, space.dense_widths))}; sparse "
        f"{', '.join(map(str, space.sparse_widths))}\n"
        f"  genotypes     {space.cardinality():.3g}\n"
        f"  parameters    {blocks:,} shared and {tables:,} in embedding tables "
        f"({4 * (blocks + tables) / 2**20:,.1f} MiB, as much again for the optimiser)"
    )


def _closing(report: dict[str, Any], target: Path) -> str:
    if report["interrupted"]:
        return runs.resume_hint(target)
    where = format_path(str(target))
    lines = []
    if report["evaluations"]:
        look = report["evaluations"][-1]["metrics"]
        scores = f"log loss {look['log_loss']:.5f}, AUC {look['auc']:.5f} ({look['rows']:,} rows)"
        lines = [f"validation, mean of five paths: {scores}"]
    speed = f"{report['rows']:,} rows in {report['train_s']:.1f} s ({report['rows_per_s']:,.0f} rows/s)"
    return "\n".join([*lines, f"{speed}; {RESULT}, curves and report.html are in {where}"])
