"""Prune a model in rounds: learn what matters, drop the rest for good, train what is left from the same beginning.

Rows, columns and fields really leave: each round gives a smaller graph (graph.ir), its source, weights and scores, in a
folder of its own; a graph can be used wherever a genotype can. GENOTYPE may also be the folder of a run, whose model,
rows and settings are taken over. The same command on the same folder goes on with what was interrupted or killed, and
with more --rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec import reports
from nasrec.checks import format_path
from nasrec.cli.options import devices
from nasrec.cli.options import model as architectures
from nasrec.cli.options import prune as options
from nasrec.cli.options import training as settings
from nasrec.cli.options.from_folder import inherit_settings
from nasrec.cli.usage import INTERRUPTED, UsageError
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text, read_json
from nasrec.runs import describe
from nasrec.runs import folder as runs
from nasrec.runs import prune_summary as summary

if TYPE_CHECKING:
    from nasrec.prune import PruneSettings
    from nasrec.runs.job import Job
    from nasrec.train import TrainConfig

HELP = "prune a model in rounds to a smaller graph"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser, required=False)
    options.add_options(parser)
    settings.add_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/prune-NAME-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains and prunes, seed by seed; what is done when Ctrl-C comes is kept."""
    inherit_settings(args, "prune", trained=False)
    settings.merge(args, "prune", options.add_options)
    args.tensorboard = False
    pruning, config = options.settings_of(args), settings.train_config(args)
    architecture = architectures.from_args(args)

    from nasrec.prune import require_room
    from nasrec.runs.job import job_of
    from nasrec.train.distributed.context import joined

    with joined(devices.choose(args.device, "nasrec prune")) as context:
        if context.size > 1:
            raise UsageError("nasrec prune: prunes in one process; start it without torchrun")
        job = job_of(args, architecture, context)
        target = runs.place(args.output or f"runs/prune-{job.graph.name}-{time.strftime('%Y%m%d-%H%M%S')}", context)
        with runs.held(target):
            if args.fresh:
                runs.clear(target)
            runs.require_kind(target, "pruning")
            runs.require_command(target, "prune")
            require_room(job.graph, pruning)  # before anything is written
            _claim(target, pruning)
            own = {settings.COMMAND: "prune", **job.settings, "seeds": args.seeds, **asdict(pruning)}
            write_text(target / "config.toml", settings.to_toml(own, config), TrainError)
            if not args.json:
                print(job.data.describe())
                print(describe.text(job.architecture, job.features, job.graph), flush=True)
            return _prune(args, job, pruning, config, target)


def _claim(target: Path, pruning: PruneSettings) -> None:
    """Refuses to go on with other settings; the number of rounds may grow."""
    from nasrec.train.identity import require_same

    own = {name: value for name, value in asdict(pruning).items() if name != "rounds"}
    path = target / "prune.json"
    if path.exists():
        found = read_json(path, TrainError)
        if not isinstance(found, dict) or not found:
            raise TrainError(
                f"{format_path(str(path))}: holds no settings of a pruning; give --fresh, or another folder"
            )
        require_same(found, own)
    write_text(path, json_text(own) + "\n", TrainError)


def _prune(args: argparse.Namespace, job: Job, pruning: PruneSettings, config: TrainConfig, target: Path) -> int:
    from nasrec.prune import run_rounds
    from nasrec.runs.prune_trainer import FolderTrainer, Stopped

    rounds: list[dict[str, Any]] = []
    interrupted, dense_macs = False, nasrec_ir.cost(job.graph).macs
    try:
        for seed in range(config.seed, config.seed + args.seeds):
            trainer = FolderTrainer(job, replace(config, seed=seed), pruning, target / f"seed-{seed}")
            for found in run_rounds(job.model(seed), pruning, seed, trainer):
                folder = f"seed-{seed}/round-{found.number}"
                rounds.append(summary.record(found, seed, folder, dense_macs, job.data.splits.train.schema))
    except (KeyboardInterrupt, Stopped):
        interrupted = True
    written = {
        **job.summary(),
        "command": "prune",
        "pruning": asdict(pruning),
        "config": asdict(config),
        "interrupted": interrupted,
        "rounds": rounds,
        "over_seeds": summary.over_seeds(rounds),
    }
    runs.write_report(target, written)
    if not interrupted:
        reports.write(target)
    print(json_text(written) if args.json else _closing(written, target))
    return INTERRUPTED if interrupted else 0


def _closing(found: Mapping[str, Any], target: Path) -> str:
    lines = f"\n{summary.table(found['over_seeds'])}\n\n" if found["over_seeds"] else ""
    if found["interrupted"]:
        return f"{lines}{runs.resume_hint(target)}"
    where = format_path(str(target))
    last = found["rounds"][-1]
    left_out = f"; the last model does not read {', '.join(last['left_out'])}" if last["left_out"] else ""
    return (
        f"{lines}each round's graph.ir, model.py and weights.pt are in {where}/seed-*/round-*, report.html beside"
        f"{left_out}"
    )
