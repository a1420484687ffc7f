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
from nasrec.runs.demo import DemoOptions, DemoRun, demo
from nasrec.runs.inherit import ModelRun, open_run
from nasrec.runs.opened import OpenedModel, open_model
from nasrec.runs.options import TrainOptions, TuneOptions
from nasrec.runs.prune import PruneOptions, prune
from nasrec.runs.prune_results import PruneRun
from nasrec.runs.quantize import quantize
from nasrec.runs.quantize_options import QuantizeOptions
from nasrec.runs.quantize_results import QuantizeRun
from nasrec.runs.rank import rank
from nasrec.runs.rank_compare import compare_algorithms
from nasrec.runs.rank_options import ComparisonOptions, RankOptions
from nasrec.runs.rank_results import AlgorithmComparisonRun, RankRun
from nasrec.runs.reporter import Event
from nasrec.runs.results import RunResult, TrainRun, load
from nasrec.runs.retrain import RetrainOptions, RetrainRun, retrain
from nasrec.runs.scoring import GenotypeScore, ScoreOptions, SupernetScores, score_genotypes
from nasrec.runs.search import SearchOptions, SearchRun, search
from nasrec.runs.simulate import SimulateOptions, SimulateResult, simulate
from nasrec.runs.subnet import ExtractOptions, SubnetRun, extract_subnet
from nasrec.runs.supernet import SupernetRun, train_supernet
from nasrec.runs.supernet_options import SupernetOptions
from nasrec.runs.train import train

__all__ = [
    "AlgorithmComparisonRun",
    "CodesignOptions",
    "CodesignRun",
    "ComparisonOptions",
    "DataSource",
    "DemoOptions",
    "DemoRun",
    "Event",
    "ExtractOptions",
    "GenotypeScore",
    "ModelRun",
    "OpenedModel",
    "PruneOptions",
    "PruneRun",
    "QuantizeOptions",
    "QuantizeRun",
    "RankOptions",
    "RankRun",
    "RetrainOptions",
    "RetrainRun",
    "RunData",
    "RunResult",
    "ScoreOptions",
    "SearchOptions",
    "SearchRun",
    "SimulateOptions",
    "SimulateResult",
    "SubnetRun",
    "SupernetOptions",
    "SupernetRun",
    "SupernetScores",
    "TrainOptions",
    "TrainRun",
    "TuneOptions",
    "codesign",
    "compare_algorithms",
    "demo",
    "extract_subnet",
    "is_main",
    "load",
    "open_model",
    "open_run",
    "prune",
    "quantize",
    "rank",
    "retrain",
    "score_genotypes",
    "search",
    "simulate",
    "source_of",
    "train",
    "train_supernet",
]


def is_main() -> bool:
    """Is this the process that writes files and shows progress? Always, where torchrun has not started several."""
    return os.environ.get("RANK", "0") == "0"
