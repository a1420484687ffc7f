"""Quantise a trained model: every stored matrix, and what it multiplies, in 2 to 16 bits instead of floats.

GENOTYPE may be the folder of a run, whose model, weights and rows are taken over. Scales are calibrated on training
rows; with --epochs or --max-steps training goes on in these bits, quantisation-aware. Prints log loss, AUC and bytes of
the float and of the quantised model. The folder then holds graph.ir with weights.pt, which other commands take (nasrec
export DIR/graph.ir --weights DIR ...). The same command on the same folder goes on with a run that was interrupted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import reports
from nasrec.checks import format_path
from nasrec.cli.options import data as rows
from nasrec.cli.options import devices
from nasrec.cli.options import model as architectures
from nasrec.cli.options import quantize as options
from nasrec.cli.options import training as settings
from nasrec.cli.options.from_folder import inherit_settings
from nasrec.cli.usage import INTERRUPTED, UsageError
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import describe, weights
from nasrec.runs import folder as runs
from nasrec.runs.quantize_job import QuantizeJob, calibrated, trained

if TYPE_CHECKING:
    from nasrec.quant import Calibration, Scheme
    from nasrec.train.distributed.context import DistributedContext

HELP = "quantise a trained model, or train it in few bits"

FINE_TUNING = 0.1
"""Of the usual learning rate, where training goes on from trained weights."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser, required=False)
    options.add_options(parser)
    settings.add_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/NAME-quantised-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Calibrates, trains if asked to, saves, scores. What is done when Ctrl-C comes is kept."""
    asked = [f"--{name.replace('_', '-')}" for name in ("weight_bits", "act_bits") if getattr(args, name) is not None]
    inherit_settings(args, "quantize", trained=True)
    settings.read_in(args, "quantize", options.add_options)
    start = (args.weights, weights.read(args.weights)) if args.weights else None
    if args.embedding_dim is None and start is not None and (tables := weights.tables_of(start[1])):
        args.embedding_dim = tables[0][1]
    if args.lr is None and start is not None:
        args.lr = FINE_TUNING * (0.1 if args.optimizer in (None, "adagrad") else 1e-3)
    trains = args.epochs is not None or args.max_steps is not None
    settings.complete(args, "quantize")
    if args.seeds > 1:
        raise UsageError("nasrec quantize: --seeds is for 'nasrec train'; quantise one of its runs at a time")
    if start is None and not trains:
        raise UsageError("nasrec quantize: there are no weights; give --weights FILE, or --epochs N to train some")
    config = settings.train_config(args)
    scheme, calibration = options.choices_of(args)
    architecture = architectures.from_args(args)

    from nasrec.train.distributed.context import joined

    with joined(devices.choose(args.device, "nasrec quantize")) as context:
        job = _job(args, architecture, context, start, scheme, calibration)
        if asked and not scheme.kinds and job.has_all_bits:
            raise UsageError(
                f"nasrec quantize: {asked[0]} would change nothing, as every product of {job.graph.name} has bits of "
                "its own, which stay; name kinds in --bits"
            )
        default = f"runs/{job.graph.name}-quantised-{time.strftime('%Y%m%d-%H%M%S')}"
        target = runs.place(Path(args.output or default), context)
        with runs.held(target) if context.is_main else nullcontext():
            if context.is_main:
                if args.fresh:
                    runs.clear(target)
                runs.require_kind(target, "run")
                runs.require_command(target, "quantize")
                if not args.json:
                    print(job.data.describe())
                    print(describe.text(job.architecture, job.features, job.graph), flush=True)
            context.barrier()
            found = (trained if trains else calibrated)(job, config, target)
            if context.is_main:
                if not found["interrupted"]:
                    reports.write(target)
                print(json_text(found) if args.json else _closing(found, target))
            return INTERRUPTED if found["interrupted"] else 0


def _job(
    args: argparse.Namespace,
    architecture: architectures.Architecture,
    context: DistributedContext,
    start: tuple[str, dict[str, Any]] | None,
    scheme: Scheme,
    calibration: Calibration,
) -> QuantizeJob:
    data = rows.load(args, seed=args.seed or 0)
    features = data.splits.train.features(args.embedding_dim)
    own = {settings.COMMAND: "quantize", **settings.of_run(args), **options.of_run(args)}
    return QuantizeJob.of(
        architecture, features, data, context, own, start, args.checkpoint_every, args.shard_tables,
        scheme=scheme, calibration=calibration,
    )  # fmt: skip


def _closing(found: Mapping[str, Any], target: Path) -> str:
    if found["interrupted"]:
        return runs.resume_hint(target)
    where = format_path(str(target))
    made = found["quantisation"]
    lines = [
        [words, *(_figure(scores, part, name) for part in ("valid", "test") for name in ("log_loss", "auc"))]
        for words, scores in ((words, made["scores"][stage]) for words, stage in _STAGES if stage in made["scores"])
    ]
    size = made["bytes"]
    tables = f"; tables stay {size['tables'] / 2**20:,.2f} MiB of floats"
    return "\n".join(
        [
            "",
            output.table(("", "valid log loss", "AUC", "test log loss", "AUC"), lines),
            "",
            f"matrices, norms and biases: {size['float'] / 2**10:,.1f} KiB in floats, "
            f"{size['quantised'] / 2**10:,.1f} KiB quantised{tables}",
            f"graph.ir, weights.pt, model.py and report.html are in {where}",
        ]
    )


_STAGES = (("float", "float"), ("calibrated", "calibrated"), ("trained in these bits", "trained"))


def _figure(scores: Mapping[str, Any], part: str, name: str) -> str:
    value = scores[part][name]
    return "-" if value is None else f"{value:.5f}"
