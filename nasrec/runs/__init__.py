"""Workflows, each in a folder of its own: begun, gone on with after a break, found finished.

    run = runs.train("dlrm", data="prepared", out="runs/dlrm", options=runs.TrainOptions(seeds=3))
    run.scores["test"]["log_loss"], run.model()
    runs.load("runs/dlrm")                                     # the same result again

Every call takes data (a prepared folder, raw logs, a DataFrame, splits, or a synthetic log such as "synth:criteo"), an
options object and a folder, and gives a typed result. Importing this needs no torch.
"""

from __future__ import annotations

import os

from nasrec.runs.codesign import CodesignOptions, CodesignRun, codesign
from nasrec.runs.data import DataSource, RunData, source_of
from nasrec.runs.inherit import ModelRun, open_run
from nasrec.runs.opened import OpenedModel, open_model
from nasrec.runs.options import TrainOptions, TuneOptions
from nasrec.runs.reporter import Event
from nasrec.runs.results import RunResult, TrainRun, load
from nasrec.runs.retrain import RetrainOptions, RetrainRun, retrain
from nasrec.runs.search import SearchOptions, SearchRun, search
from nasrec.runs.simulate import SimulateOptions, SimulateResult, simulate
from nasrec.runs.train import train

__all__ = [
    "CodesignOptions",
    "CodesignRun",
    "DataSource",
    "Event",
    "ModelRun",
    "OpenedModel",
    "RetrainOptions",
    "RetrainRun",
    "RunData",
    "RunResult",
    "SearchOptions",
    "SearchRun",
    "SimulateOptions",
    "SimulateResult",
    "TrainOptions",
    "TrainRun",
    "TuneOptions",
    "codesign",
    "is_main",
    "load",
    "open_model",
    "open_run",
    "retrain",
    "search",
    "simulate",
    "source_of",
    "train",
]


def is_main() -> bool:
    """Is this the process that writes files and shows progress? Always, where torchrun has not started several."""
    return os.environ.get("RANK", "0") == "0"
