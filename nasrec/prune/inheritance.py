"""Weights of a pruned model from those of the model it was made of."""

from __future__ import annotations

import torch

from nasrec.compiler import CompiledModel, tensor_of
from nasrec.compiler.slices import take
from nasrec_ir.pruning import Pruned

__all__ = ["inherit"]


def inherit(child: CompiledModel, pruned: Pruned, parent: CompiledModel) -> None:
    """Copies the entries that are left, running statistics included, into a model compiled of `pruned.graph`.

    Args:
        child: compiled of `pruned.graph`.
        pruned: what `nasrec_ir.pruning.remove` made of the parent's graph.
        parent: compiled of the graph before.
    """
    with torch.no_grad():
        for node in child.graph:
            for role, ref in node.params:
                kept = pruned.kept[ref.name]
                old = tensor_of(parent, parent.graph[kept.node], kept.role)
                tensor_of(child, node, role).copy_(take(kept.take(old), ref))
