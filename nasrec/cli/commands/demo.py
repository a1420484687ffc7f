"""The main job from end to end: compile a published genotype, print its live blocks and cost, save source and picture,
train it for a short while on click logs, and compare it with logistic regression and DLRM trained in the same way.

Rows are the synthetic Criteo twin's; NASREC_DATA (a file or a folder) or --data gives real ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.options import data as rows
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import INTERRUPTED, number
from nasrec.errors import CompileError, TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text
from nasrec.reports import figures as curves
from nasrec.reports import text as output
from nasrec.runs import demo as contest
from nasrec.runs import describe
from nasrec.runs import folder as runs

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.runs.demo import Entry
    from nasrec.train import TrainConfig

HELP = "compile a published genotype, train it, compare it with baselines"

EMBEDDING_DIM = 16
MOST_ROWS = 250_000
"""Read of a real log at the most, so that the demonstration ends while one waits."""

ROWS_SEEN, MOST_EPOCHS = 160_000, 5
"""By default as many passes as show a model about so many rows: one over the twin, more over a small sample."""
LOOKS = 4
"""How often the validation rows are looked at in all, at the least; always at the end of a pass."""

Say = Callable[[str], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    rows.add_options(parser, required=False)
    parser.add_argument(
        "--genotype", default="criteo-full", metavar="GENOTYPE", help="what to compile (default criteo-full)"
    )
    parser.add_argument("--epochs", type=number(1), metavar="N", help=f"passes (default: about {ROWS_SEEN:,} rows)")
    parser.add_argument("--batch-size", type=number(1), default=128, metavar="N", help="rows of a step (default 128)")
    parser.add_argument("--seed", type=number(0), default=0, help="of weights, order and the twin's rows (default 0)")
    parser.add_argument("-o", "--output", metavar="DIR", default="runs/demo", help="folder (default runs/demo)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the demonstration. The report is written anew after each model, so Ctrl-C loses only the one at work."""

    started = time.perf_counter()
    say = _say_nothing if args.json else _say
    architecture = architectures.load(args.genotype)
    target = ensure_directory(args.output, TrainError)
    runs.require_command(target, "demo")
    args.data = args.data or rows.from_environment()
    data = rows.load(args, seed=args.seed, most_rows=MOST_ROWS)
    say(f"{data.describe()}\n")
    report = _compiled(architecture, data, target, say)
    config = _config(args, len(data.splits.train))
    passes = "one pass" if config.epochs == 1 else f"{config.epochs} passes"
    say(f"Training: {passes}, {config.batch_size} rows a step; the weights that validate best are kept")
    report |= {"config": asdict(config), "seed": args.seed, "data": data.summary()}

    entries: list[Entry] = []
    for contestant in contest.compared_models(architecture):
        entries.append(contest.train_and_score(contestant, data, config, target, EMBEDDING_DIM))
        report |= _results(entries, data) | {"total_s": time.perf_counter() - started}
        runs.write_report(target, report)
        if entries[-1].result.interrupted:
            break
    floor = report["click_rate_entropy"]
    curves.compare(report["models"], floor, report["teacher"], data.source, target / "curves.png")
    if args.json:
        print(json_text(report))
    say(f"\n{_table(entries, data, floor)}\n")
    say(f"curves.png, report.json and weights are in {target}; {report['total_s']:.0f} s in all")
    return INTERRUPTED if report["interrupted"] else 0


def _compiled(architecture: architectures.Architecture, data: Rows, target: Path, say: Say) -> dict[str, Any]:
    """The genotype's source and picture, described; the beginning of the report."""
    from nasrec.environment import environment
    from nasrec_ir import draw
    from nasrec_ir.codegen import generate

    features = data.splits.train.features(EMBEDDING_DIM)
    graph = architecture.graph(features)
    files = {"source": target / f"{graph.name}.py", "picture": target / f"{graph.name}.svg"}
    write_text(files["source"], generate(graph).text, CompileError)
    write_text(files["picture"], draw.svg(graph), CompileError)
    say(describe.text(architecture, features, graph))
    for what, path in files.items():
        say(f"  {what:<14}{path}")
    say("")
    return {
        "command": "demo",
        "model": describe.summary(architecture, features, graph),
        "files": {what: str(path) for what, path in files.items()},
        "environment": environment(),
    }


def _config(args: argparse.Namespace, train_rows: int) -> TrainConfig:
    from nasrec.train import TrainConfig

    epochs = args.epochs or max(1, min(MOST_EPOCHS, ROWS_SEEN // train_rows))
    steps = -(-train_rows // args.batch_size)
    return TrainConfig(
        epochs=epochs,
        batch_size=args.batch_size,
        eval_every=-(-steps // -(-LOOKS // epochs)),
        log_every=max(1, steps * epochs // 40),
        warmup=0.1,
        seed=args.seed,
    )


def _results(entries: list[Entry], data: Rows) -> dict[str, Any]:
    scored = entries[0].test  # where rows have weights, so has the click rate
    return {
        "click_rate_entropy": contest.entropy(scored.click_rate if scored else data.splits.test.click_rate),
        "teacher": data.teacher_score.to_dict() if data.teacher_score else None,
        "models": [entry.summary() for entry in entries],
        "interrupted": entries[-1].result.interrupted,
    }


def _table(entries: list[Entry], data: Rows, floor: float) -> str:
    lines = [["always the click rate", f"{floor:.4f}", "0.5000", "", "", "", ""]]
    for entry in sorted(entries, key=lambda e: -e.test.log_loss if e.test else 0.0):
        if entry.test is None:
            scores = ["interrupted", ""]
        else:
            scores = [f"{entry.test.log_loss:.4f}", f"{entry.test.auc:.4f}"]
        own = entry.summary()
        rate = f"{entry.contestant.optimizer} {entry.contestant.lr:g}"
        lines.append(
            [entry.name, *scores, rate, f"{own['macs']:,}", f"{own['parameters']:,}", f"{entry.result.train_s:.1f}"]
        )
    if data.teacher_score:
        lines.append(
            [
                "teacher: best possible",
                f"{data.teacher_score.log_loss:.4f}",
                f"{data.teacher_score.auc:.4f}",
                "",
                "",
                "",
                "",
            ]
        )
    header = ("model", "test log loss", "test AUC", "learning rate", "MACs", "parameters", "training s")
    return output.table(header, lines)


def _say(text: str) -> None:
    print(text, flush=True)


def _say_nothing(text: str) -> None: ...
