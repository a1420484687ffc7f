"""Train a genotype's model, or a baseline, on click logs; save source, weights, curves and a report of the run.

The same command on the same folder goes on with a run that was interrupted or killed, at the very step, and shows a
finished one. --seeds trains several times and gives mean and deviation; --tune picks the learning rate first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import reports
from nasrec.cli.options import devices
from nasrec.cli.options import model as architectures
from nasrec.cli.options import training as settings
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import describe, seeds, tune
from nasrec.runs import folder as runs
from nasrec.runs.job import Job, job_of, run_training

if TYPE_CHECKING:
    from nasrec.train import TrainConfig

HELP = "train a genotype or a baseline on click logs"

Report = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser, required=False)
    settings.add_options(parser)
    group = parser.add_argument_group("tuning")
    group.add_argument(
        "--tune",
        action="store_true",
        help="choose the peak learning rate by mean validation log loss over the seeds "
        f"(--seeds, default {tune.SEEDS}), then score the chosen one on the test rows",
    )
    low, high = tune.RANGE
    group.add_argument(
        "--tune-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=tune.RANGE,
        help=f"learning rates to choose from (default {low:g} {high:g}, the paper's)",
    )
    group.add_argument(
        "--tune-trials", type=number(1), default=tune.TRIALS, metavar="N", help=f"how many (default {tune.TRIALS})"
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/NAME-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files too")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains, saves, scores on the test rows. What is done when Ctrl-C comes is kept."""
    if args.tune and args.seeds is None:
        args.seeds = tune.SEEDS
    settings.merge(args)
    config = settings.train_config(args)
    low, high = args.tune_range
    learning_rates = tune.rates(low, high, args.tune_trials) if args.tune else []
    architecture = architectures.from_args(args)

    from nasrec.train.distributed.context import joined
    from nasrec.train.distributed.sharded import require_shardable

    with joined(devices.choose(args.device, "nasrec train")) as context:
        if args.shard_tables is not None:
            require_shardable(config, args.shard_tables)
        job = job_of(args, architecture, context)
        target = _target(args, job)
        with runs.held(target) if context.is_main else nullcontext():
            if context.is_main:
                _begin(args, job, target)
            context.barrier()
            return _train(args, job, config, learning_rates, target)


def _begin(args: argparse.Namespace, job: Job, target: Path) -> None:
    if args.fresh:
        runs.clear(target)
    runs.require_kind(target, "tuning" if args.tune else "seeds" if args.seeds > 1 else "run")
    runs.require_command(target, "train")
    if not args.json:
        print(job.data.describe())
        print(describe.text(job.architecture, job.features, job.graph), flush=True)


def _train(
    args: argparse.Namespace, job: Job, config: TrainConfig, learning_rates: Sequence[float], target: Path
) -> int:
    own = range(config.seed, config.seed + args.seeds)
    trials: list[tune.Trial] = []
    chosen: list[Report]
    if args.tune:
        trials, chosen = tune.tune(job, config, learning_rates, own, target)
    elif args.seeds > 1:
        chosen = seeds.train_seeds(job, config, own, target)
    else:
        chosen = [run_training(job, config, target, f"training {job.architecture.name}")]
    several = args.tune or args.seeds > 1
    found = _common(job, trials, chosen) if several else chosen[0]
    if job.context.is_main:
        if several:
            runs.write_report(target, found)
        tables = [tune.table(trials)] if trials else []
        if not found["interrupted"]:
            tables += [seeds.score_table(chosen)] if len(chosen) > 1 else []
            reports.write(target)
        print(json_text(found) if args.json else _closing(found, tables, chosen, target))
    return INTERRUPTED if found["interrupted"] else 0


def _target(args: argparse.Namespace, job: Job) -> Path:
    if args.output is None and job.context.size > 1:
        raise UsageError("nasrec train: several processes need a folder that all of them know; give -o DIR")
    return runs.place(Path(args.output or f"runs/{job.graph.name}-{time.strftime('%Y%m%d-%H%M%S')}"), job.context)


def _common(job: Job, trials: Sequence[tune.Trial], chosen: Sequence[Report]) -> Report:
    """The report on several runs; `chosen` are none where an interrupt came before the choice."""
    interrupted = not chosen or chosen[-1]["interrupted"]
    found: Report = {**job.summary(), "interrupted": interrupted}
    if trials:
        found["trials"] = [trial.to_dict() for trial in trials]
    if chosen:
        found |= {"config": chosen[0]["config"], "runs": seeds.summary_of(chosen)}
    if not interrupted:
        found["scores"] = seeds.statistics_of(chosen)
    return found


def _closing(found: Report, tables: Sequence[str], chosen: Sequence[Report], target: Path) -> str:
    if found["interrupted"]:
        return runs.resume_hint(target)
    blocks = [*tables] or [_scores(found)]
    if "trials" in found:
        blocks.insert(1, f"learning rate {chosen[0]['config']['lr']:g} it is; with its seeds:")
        blocks += [] if len(chosen) > 1 else [_scores(chosen[0])]
    worked, seen = (sum(each[key] for each in chosen) for key in ("train_s", "rows"))
    files = "curves, weights and a report of each run, report.json" if "runs" in found else "model.py, weights.pt"
    blocks.append(
        f"{seen:,} rows in {worked:.1f} s ({seen / max(1e-9, worked):,.0f} rows/s); {files} and report.html are in "
        f"{target}"
    )
    return "\n" + "\n\n".join(blocks)


def _scores(found: Mapping[str, Any]) -> str:
    lines = [
        [part.replace("_", " "), *(_figure(scores, name) for name in ("log_loss", "auc", "normalised_entropy",
         "calibration")), f"{scores['rows']:,}"]
        for part, scores in found["scores"].items()
    ]  # fmt: skip
    return output.table(("", "log loss", "AUC", "normalised entropy", "calibration", "rows"), lines)


def _figure(scores: Mapping[str, Any], name: str) -> str:
    return "-" if scores[name] is None else f"{scores[name]:.5f}"
