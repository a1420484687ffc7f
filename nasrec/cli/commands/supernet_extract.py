"""Take a subnet out of a trained supernet: readable source, genotype and weights of a model that stands alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.cli.options import data as rows
from nasrec.cli.options import supernet as checkpoint
from nasrec.cli.usage import UsageError
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text
from nasrec.runs import weights

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.genotype import Genotype
    from nasrec.supernet import Supernet

HELP = "a subnet as a model of its own"

COMMAND = "nasrec supernet extract"
_CHECKED_ROWS = 256


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    checkpoint.add_arguments(parser, several=False)
    checkpoint.add_tuning(parser)
    rows.add_options(parser, required=False)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for model.py, genotype.json and "
                        "weights.pt")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Extracts, checks and saves."""
    from nasrec.supernet import finetune

    if (args.finetune is None) != (args.data is None):
        raise UsageError(f"{COMMAND}: --finetune and --data go together; give both or neither")
    net = checkpoint.open_supernet(args, COMMAND)
    genotype = checkpoint.genotype_of(args.genotype, net)
    tuning = checkpoint.tuning_of(args)
    log = None if tuning is None else checkpoint.rows_for(net, args).splits.train
    target = ensure_directory(args.output, TrainError)
    difference = _difference(net, genotype)
    model = net.extract(genotype)
    if tuning is not None and log is not None:
        model = finetune(net, genotype, log, tuning.steps, tuning=tuning)
    _save(target, genotype, model)
    report = {
        "command": "supernet extract",
        "genotype": genotype.to_dict(),
        "features": net.features.to_dict(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "largest_difference": difference,
        "finetune": None if tuning is None else vars(tuning),
    }
    print(json_text(report) if args.json else _closing(report, target))
    return 0


def _difference(net: Supernet, genotype: Genotype) -> float:
    """Largest difference of logits between the path and the extracted model, on random rows."""
    import torch

    from nasrec.profiling.batch import Batch
    from nasrec.train.prediction import device_of

    batch = Batch.random(net.features, _CHECKED_ROWS, device=device_of(net), seed=0)
    with torch.no_grad():
        model = net.extract(genotype)
        return float((model(batch.dense, batch.sparse) - net(batch.dense, batch.sparse, genotype)).abs().max())


def _save(target: Path, genotype: Genotype, model: CompiledModel) -> None:
    write_text(target / "model.py", model.source, TrainError)
    genotype.save(target / "genotype.json")
    weights.save(model, target / "weights.pt")


def _closing(report: dict[str, Any], target: Path) -> str:
    agreement = (
        f"logits differ from the supernet's by at most {report['largest_difference']:.1g} on {_CHECKED_ROWS} rows"
    )
    tuned = (
        f"; then its last linear was fine-tuned for {report['finetune']['steps']} steps" if report["finetune"] else ""
    )
    where = format_path(str(target))
    files = f"model.py, genotype.json and weights.pt are in {where}"
    return f"{report['parameters']:,} parameters; {agreement}{tuned}\n{files}"
