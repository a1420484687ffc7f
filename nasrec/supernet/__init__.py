"""The weight-sharing supernet: the store of parameters, paths through it, their optimiser, and training."""

from __future__ import annotations

from nasrec.supernet.files import describe, load, save
from nasrec.supernet.finetune import FinetuneConfig, finetune
from nasrec.supernet.learner import SupernetLearner
from nasrec.supernet.net import Supernet
from nasrec.supernet.optim import PathAdagrad
from nasrec.supernet.path import Lookup, Path, Touched
from nasrec.supernet.sampling import STRATEGIES, PathSampler, PathSampling
from nasrec.supernet.scoring import Scorer
from nasrec.supernet.training import train

__all__ = [
    "STRATEGIES",
    "FinetuneConfig",
    "Lookup",
    "Path",
    "PathAdagrad",
    "PathSampler",
    "PathSampling",
    "Scorer",
    "Supernet",
    "SupernetLearner",
    "Touched",
    "describe",
    "finetune",
    "load",
    "save",
    "train",
]
