"""Gradients of several ranks, added up: dense ones whole, sparse ones by the rows that were touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nasrec.train.distributed.context import DistributedContext

__all__ = ["is_sparse", "share_gradients"]

_NONE, _DENSE = -2, -1


def share_gradients(weights: Sequence[nn.Parameter], context: DistributedContext) -> None:
    """Replaces every gradient by its sum over all ranks.

    A weight that no rank's rows have reached keeps none. Of a gradient that is sparse on all ranks that have one, only
    the rows travel; it holds each at most once for each rank then.
    """
    if context.size == 1:
        return
    for weight in filter(is_sparse, weights):
        assert weight.grad is not None
        weight.grad = weight.grad.coalesce()
    counts = context.all_gather([_count(weight.grad) for weight in weights])  # by rank and weight
    sparse: list[tuple[nn.Parameter, list[int]]] = []
    dense: list[Tensor] = []
    for weight, of_ranks in zip(weights, zip(*counts, strict=True), strict=True):
        if _DENSE in of_ranks:
            dense.append(_as_dense(weight))
        elif max(of_ranks) > _NONE:
            sparse.append((weight, [max(0, count) for count in of_ranks]))
    context.all_reduce_(dense)
    for alike in _by_kind(sparse):
        _share_rows(alike, context)


def is_sparse(weight: nn.Parameter) -> bool:
    """Has it a sparse gradient?"""
    return weight.grad is not None and weight.grad.is_sparse


def _count(grad: Tensor | None) -> int:
    if grad is None:
        return _NONE
    return len(grad._values()) if grad.is_sparse else _DENSE


def _as_dense(weight: nn.Parameter) -> Tensor:
    """The gradient, made dense and part of the weight if it is not."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    elif weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()
    return weight.grad


def _by_kind(sparse: list[tuple[nn.Parameter, list[int]]]) -> Iterator[list[tuple[nn.Parameter, list[int]]]]:
    """Groups whose rows fit into one tensor."""
    groups: dict[tuple[object, ...], list[tuple[nn.Parameter, list[int]]]] = {}
    for weight, counts in sparse:
        groups.setdefault((weight.dtype, weight.shape[1:]), []).append((weight, counts))
    yield from groups.values()


def _share_rows(tables: list[tuple[nn.Parameter, list[int]]], context: DistributedContext) -> None:
    """Rows of several tables of one width in two exchanges: their numbers, and their gradients."""
    like = tables[0][0]
    own = [weight.grad for weight, _ in tables if weight.grad is not None]
    numbers = [grad._indices()[0] for grad in own] or [torch.empty(0, dtype=torch.int64, device=like.device)]
    values = [grad._values() for grad in own] or [like.new_empty(0, *like.shape[1:])]
    lengths = [sum(counts[rank] for _, counts in tables) for rank in range(context.size)]
    # Rank after rank, and within a rank table after table.
    parts = [counts[rank] for rank in range(context.size) for _, counts in tables]
    all_numbers = context.all_gather_rows(torch.cat(numbers), lengths).split(parts)
    all_values = context.all_gather_rows(torch.cat(values), lengths).split(parts)
    for i, (weight, _) in enumerate(tables):
        weight.grad = torch.sparse_coo_tensor(
            torch.cat(all_numbers[i :: len(tables)])[None],
            torch.cat(all_values[i :: len(tables)]),
            weight.shape,
            check_invariants=False,
        )
