"""The weight-sharing supernet: the store of parameters, paths through it, and their optimiser."""

from __future__ import annotations

from nasrec.supernet.net import Supernet
from nasrec.supernet.optim import PathAdagrad
from nasrec.supernet.path import Lookup, Path, Touched

__all__ = ["Lookup", "Path", "PathAdagrad", "Supernet", "Touched"]
