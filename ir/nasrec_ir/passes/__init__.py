"""Passes: pure functions from graph to graph, one file each, and the pipelines made of them."""

from __future__ import annotations

from nasrec_ir.passes.base import Pass, Pipeline
from nasrec_ir.passes.dropout import Dropout
from nasrec_ir.passes.elide_zeros import ElideZeros
from nasrec_ir.passes.expand import Expand
from nasrec_ir.passes.fuse import Fuse
from nasrec_ir.passes.fuse_attention import FuseAttention
from nasrec_ir.passes.merge_equal import MergeEqual
from nasrec_ir.passes.prune_dead import PruneDead

__all__ = [
    "OPTIMIZE",
    "Dropout",
    "ElideZeros",
    "Expand",
    "Fuse",
    "FuseAttention",
    "MergeEqual",
    "Pass",
    "Pipeline",
    "PruneDead",
]

OPTIMIZE = Pipeline(
    (PruneDead(), MergeEqual(), ElideZeros(), MergeEqual(), Fuse(), FuseAttention()), level="executable"
)
"""From a lowered graph to the one that a machine should run."""
