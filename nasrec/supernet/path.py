"""One training step along a path of a supernet, on leaf views of the shared weights.

Through slices of a stored parameter, autograd writes a gradient of the parameter's full size for every path, which
costs more than the path itself. Here each slice is a leaf that views the store, so gradients are born slice-sized; the
embeddings that a batch looks up are leaves too, so no gradient has the size of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nasrec import kernels
from nasrec.compiler.executor import PRODUCTS, Params, execute
from nasrec.compiler.slices import Cell, cells, split_columns, take
from nasrec_ir import Graph, Node, ParamRef

if TYPE_CHECKING:
    from nasrec.train.distributed.context import DistributedContext

__all__ = ["Lookup", "Path", "Touched"]


@dataclass(frozen=True)
class Touched:
    """A leaf that holds a slice of a stored parameter.

    Attributes:
        name: the stored parameter.
        leaf: the slice; after a backward pass `leaf.grad` is its gradient.
        ref: where in the store it lies.
    """

    name: str
    leaf: Tensor
    ref: ParamRef

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Which ranges of the leaf lie where in the store."""
        return cells(self.ref)


@dataclass(frozen=True)
class Lookup:
    """The embeddings of a batch.

    Attributes:
        names: the stored tables, one a field.
        ids: int64 [B, n].
        leaf: [B, n, e]; after a backward pass `leaf.grad` is its gradient.
    """

    names: tuple[str, ...]
    ids: Tensor
    leaf: Tensor


class Path:
    """A graph on leaves that view the store, for one step or several.

    Args:
        graph: an optimised graph whose parameters are slices of stored ones, each stored one read by one node.
        stored: gives a stored parameter by its name.
        dtype: what to compute in; default: the store's type. In bfloat16 the leaves are copies made by the
            constructor, so the path is good for one step; the store and its sums stay as they are.

    Attributes:
        touched: the slices, in the graph's order.
        lookups: the embeddings of the last call.
    """

    def __init__(self, graph: Graph, stored: Callable[[str], Tensor], dtype: torch.dtype | None = None) -> None:
        self.graph, self.dtype = graph, dtype
        self.touched: list[Touched] = []
        self.lookups: list[Lookup] = []
        self._stored = stored
        self._params = {node.id: self._leaves(node) for node in graph if node.params and node.op != "embedding"}

    def __call__(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Logits, in the path's type: dense [B, num_dense], sparse int64 [B, num_sparse] -> [B].

        Drops the gradients of an earlier call.
        """
        self.forget()
        if self.dtype is not None:
            dense = dense.to(self.dtype)
        return execute(self.graph, self.parameters, (dense, sparse), self.look_up)

    def forget(self) -> None:
        """Drops gradients and embeddings of an earlier call."""
        self.lookups = []
        for touched in self.touched:
            touched.leaf.grad = None

    def share(self, context: DistributedContext) -> None:
        """Sums the gradients of the slices over all ranks, in one exchange, and gathers those of the embeddings with
        their ids: every rank then has the gradients of one process with the rows of all. All take the same path."""
        if context.size == 1:
            return
        for touched in self.touched:
            if touched.leaf.grad is None:  # here no row reached it, on another rank some may have
                touched.leaf.grad = torch.zeros_like(touched.leaf)
        context.all_reduce_([touched.leaf.grad for touched in self.touched if touched.leaf.grad is not None])
        shared = []
        for lookup in self.lookups:
            own = torch.zeros_like(lookup.leaf) if lookup.leaf.grad is None else lookup.leaf.grad
            lengths = [rows for (rows,) in context.all_gather([len(lookup.ids)])]
            grad = context.all_gather_rows(own, lengths)
            leaf = torch.empty_like(grad)
            leaf.grad = grad
            shared.append(Lookup(lookup.names, context.all_gather_rows(lookup.ids, lengths), leaf))
        self.lookups = shared

    def gradient_norm(self) -> Tensor:
        """Euclidean norm of the whole store's gradient, in float32 at least.

        Of a table's row that several samples looked up, the sum counts.
        """
        grads = [touched.leaf.grad for touched in self.touched if touched.leaf.grad is not None]
        grads += [_summed_rows(lookup.ids, lookup.leaf.grad) for lookup in self.lookups if lookup.leaf.grad is not None]
        # In bfloat16 a sum of many squares stops growing.
        norms = torch._foreach_norm(grads, 2, dtype=torch.promote_types(grads[0].dtype, torch.float32))
        total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        return total

    def gradients(self) -> list[Tensor]:
        """Gradients of all leaves that the last backward pass reached."""
        leaves = [touched.leaf for touched in self.touched] + [lookup.leaf for lookup in self.lookups]
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    def parameters(self, node: Node) -> Params:
        """The leaves of a node, by role."""
        return self._params.get(node.id, {})

    def look_up(self, node: Node, ids: Tensor) -> Tensor:
        """The rows of a batch as a leaf: the tables themselves need no gradient."""
        names = tuple(ref.name for _, ref in node.params)
        with torch.no_grad():
            rows = kernels.embedding(ids, [self._stored(name) for name in names])
            rows = rows if self.dtype is None else rows.to(self.dtype)
        self.lookups.append(Lookup(names, ids, rows.requires_grad_()))
        return rows

    def _leaves(self, node: Node) -> Params:
        return {
            role: tuple(map(self._leaf, split_columns(ref)))
            if role == "weight" and node.op in PRODUCTS
            else self._leaf(ref)
            for role, ref in node.params
        }

    def _leaf(self, ref: ParamRef) -> Tensor:
        leaf = take(self._stored(ref.name).detach(), ref)
        leaf = (leaf if self.dtype is None else leaf.to(self.dtype)).requires_grad_()
        self.touched.append(Touched(ref.name, leaf, ref))
        return leaf


def _summed_rows(ids: Tensor, grad: Tensor) -> Tensor:
    """Gradients [B, n, e] of the rows that ids [B, n] name, those of the same row of the same table added up."""
    columns = ids.shape[1]
    keys = ids * columns + torch.arange(columns, device=ids.device)
    distinct, places = torch.unique(keys.flatten(), return_inverse=True)
    dtype = torch.promote_types(grad.dtype, torch.float32)
    summed = torch.zeros((len(distinct), grad.shape[2]), dtype=dtype, device=grad.device)
    return summed.index_add_(0, places, grad.flatten(0, 1).to(dtype))
