"""Folders of runs in the place of GENOTYPE: the model, rows and settings of a run, taken over by another command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nasrec.checks import format_path
from nasrec.cli.options import model as architectures
from nasrec.cli.options import training as settings
from nasrec.cli.usage import UsageError

__all__ = ["inherit_settings"]

TRAINING_ON = ("epochs", "max_steps", "lr")
"""How far a model was trained says nothing of how it is to be trained on."""


def inherit_settings(args: argparse.Namespace, command: str, *, trained: bool) -> None:
    """Where GENOTYPE is the folder of a run of 'nasrec train' or 'nasrec quantize', or of a round of 'nasrec prune',
    fills in what the command line left out.

    Args:
        args: as they were parsed; GENOTYPE becomes what the run's was, or the folder's graph.
        command: for messages.
        trained: go on from the weights that the run ended with, else from those that it began with. A quantised model
            begins with what it ended with, as its scales were calibrated for that.

    Raises:
        UsageError: it is a folder, but of nothing like that; or --config is given beside it.
        TrainError: its settings cannot be read.
    """
    if args.genotype is None or not os.path.isdir(args.genotype):
        return
    folder, shown = Path(args.genotype), format_path(args.genotype)
    if args.config is not None or not (folder / "config.toml").is_file():
        wrong = "--config is given beside it" if args.config is not None else "it is no folder of a single run"
        raise UsageError(
            f"nasrec {command}: {shown}: {wrong}; a folder stands for the model and settings of one run of 'nasrec "
            "train' or 'nasrec quantize'"
        )
    of, values = settings.of_folder(folder / "config.toml")
    if of == "prune":
        raise UsageError(
            f"nasrec {command}: {shown}: holds rounds of pruning; name one of them, as {shown}/seed-0/round-1"
        )
    args.genotype = None
    graph, genotype = folder / "graph.ir", folder / "genotype.json"
    weights, initial = folder / "weights.pt", folder / "initial.pt"
    if graph.is_file():
        values = {name: value for name, value in values.items() if name not in architectures.OPTIONS}
        values["genotype"] = str(graph)
    elif genotype.is_file():
        values["genotype"] = str(genotype)
    if trained:
        if not weights.is_file():
            raise UsageError(f"nasrec {command}: {shown}: holds no weights.pt yet; let its run come to an end")
        values = {name: value for name, value in values.items() if name not in TRAINING_ON}
    if trained or of == "quantize":
        values["weights"] = str(weights)
    elif initial.is_file():
        values["weights"] = str(initial)
    for name, value in values.items():
        if name != "seeds" and getattr(args, name) is None:
            setattr(args, name, value)
