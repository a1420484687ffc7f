"""Quantise a trained model: every stored matrix, and what it multiplies, in 2 to 16 bits instead of floats.

Scales are calibrated on training rows; with --epochs or --max-steps training goes on in these bits, quantisation-aware.
Prints log loss, AUC and bytes of the float and of the quantised model. The folder then holds graph.ir with weights.pt,
which other commands take (nasrec export DIR/graph.ir --weights DIR/weights.pt ...). The same command on the same folder
goes on with a run that was interrupted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import jsonfile
from nasrec.checks import shown
from nasrec.cli import architectures, describe, devices, output, report, rows, runs, settings, weights
from nasrec.cli.quantize.job import QuantJob, calibrated, trained
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.genotype import MAX_BITS, MIN_BITS, Precision

if TYPE_CHECKING:
    from nasrec.quant import Calibration, Scheme
    from nasrec.train.ranks import Ranks

HELP = "quantise a trained model, or train it in few bits"

FLOAT = "float"
FINE_TUNING = 0.1
"""Of the usual learning rate, where training goes on from trained weights."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser, required=False)
    group = parser.add_argument_group("bits")
    group.add_argument("--weight-bits", type=_bits, default=8, metavar="N", help="of matrices, or float (default 8)")
    group.add_argument("--act-bits", type=_bits, default=8, metavar="N", help="of activations, or float (default 8)")
    group.add_argument(
        "--bits",
        type=_kinds,
        default={},
        metavar="KIND=W[/A],...",
        help="of some kinds of product, such as fc=8,efc=4/6,final=float: operators (fc, dot_product, sigmoid_gating, "
        "sum, attention, efc), fm, dense_to_sparse, final, the layers of a baseline (top, bottom, ...), or one node by "
        "its id (top.out=8). Other operators that have bits in the genotype keep those",
    )
    group.add_argument("--per-tensor", action="store_true", help="one scale for a matrix, not one for each output")
    group.add_argument(
        "--calibrate",
        choices=("max", "percentile", "mse"),
        default="mse",
        help="range of activations: the largest met, the --percentile, or of least squared error (default)",
    )
    group.add_argument("--percentile", type=float, default=99.99, metavar="P", help="of magnitudes (default 99.99)")
    group.add_argument(
        "--calibration-rows", type=number(1), default=8192, metavar="N", help="training rows to look at (default 8192)"
    )
    settings.add_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/NAME-quantised-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Calibrates, trains if asked to, saves, scores. What is done when Ctrl-C comes is kept."""
    start = _start(args.weights)
    if args.embedding_dim is None and start is not None and (tables := weights.tables_of(start[1])):
        args.embedding_dim = tables[0][1]
    if args.lr is None and start is not None and args.config is None:
        args.lr = FINE_TUNING * (0.1 if args.optimizer in (None, "adagrad") else 1e-3)
    trains = args.epochs is not None or args.max_steps is not None
    settings.merge(args, "quantize")
    if args.seeds > 1:
        raise UsageError("nasrec quantize: --seeds is for 'nasrec train'; quantise one of its runs at a time")
    if start is None and not trains:
        raise UsageError("nasrec quantize: there are no weights; give --weights FILE, or --epochs N to train some")
    config = settings.train_config(args)
    scheme, calibration = _choices(args)
    architecture = architectures.from_args(args)

    from nasrec.train.ranks import joined

    with joined(devices.choose(args.device, "nasrec quantize")) as ranks:
        job = _job(args, architecture, ranks, start, scheme, calibration)
        default = f"runs/{job.graph.name}-quantised-{time.strftime('%Y%m%d-%H%M%S')}"
        target = runs.place(Path(args.output or default), ranks)
        with runs.held(target) if ranks.first else nullcontext():
            if ranks.first:
                if args.fresh:
                    runs.clear(target)
                runs.require_kind(target, "run")
                if not args.json:
                    print(job.data.describe())
                    print(describe.text(job.architecture, job.features, job.graph), flush=True)
            ranks.wait()
            found = (trained if trains else calibrated)(job, config, target)
            if ranks.first:
                if not found["interrupted"]:
                    report.write(target)
                print(output.json_text(found) if args.json else _closing(found, target))
            return INTERRUPTED if found["interrupted"] else 0


def _choices(args: argparse.Namespace) -> tuple[Scheme, Calibration]:
    from nasrec.quant import Calibration, Scheme

    kinds = {kind: (w, args.act_bits if a == "" else a) for kind, (w, a) in args.bits.items()}
    scheme = Scheme(args.weight_bits, args.act_bits, kinds, args.per_tensor)
    return scheme, Calibration(args.calibrate, args.percentile, args.calibration_rows)


def _job(
    args: argparse.Namespace,
    architecture: architectures.Architecture,
    ranks: Ranks,
    start: tuple[str, dict[str, Any]] | None,
    scheme: Scheme,
    calibration: Calibration,
) -> QuantJob:
    data = rows.load(args, seed=args.seed or 0)
    features = data.splits.train.features(args.embedding_dim)
    return QuantJob.of(
        architecture, features, data, ranks, settings.of_run(args), start, args.checkpoint_every, args.shard_tables,
        scheme=scheme, calibration=calibration,
    )  # fmt: skip


def _start(path: str | None) -> tuple[str, dict[str, Any]] | None:
    """Weights of a file, or of a run's folder."""
    if path is None:
        return None
    file = str(Path(path) / "weights.pt") if Path(path).is_dir() else path
    return file, weights.read(file)


def _closing(found: Mapping[str, Any], target: Path) -> str:
    where = jsonfile.shown_path(str(target))
    if found["interrupted"]:
        return f"interrupted; what is done is kept: the same command with -o {where} goes on"
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


def _bits(text: str) -> int | None:
    if text == FLOAT:
        return None
    try:
        return number(MIN_BITS, MAX_BITS)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor the word {FLOAT}") from None


def _kinds(text: str) -> dict[str, Precision]:
    """`fc=8,efc=4/6`; activations that are not named have the word "" for their bits until the others are known."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        kind, given, bits = part.partition("=")
        if not kind or not given or kind in found:
            raise argparse.ArgumentTypeError(f"{shown(part)} is no KIND=W or KIND=W/A, each kind once")
        weight, both, act = bits.partition("/")
        found[kind] = (_bits(weight), _bits(act) if both else "")
    return found
