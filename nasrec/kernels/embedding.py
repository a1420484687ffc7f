"""Table lookups of all fields in one pass: the face of the compiled operators, their fake kernels and autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nasrec.errors import KernelError
from nasrec.kernels import id_check, reference
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["embedding"]


def embedding(ids: Tensor, tables: Sequence[Tensor], *, sparse: bool = False) -> Tensor:
    """One row of each table: ids int64 [B, n], tables[j] [rows_j, e] -> [B, n, e]; see `reference.embedding`.

    Duplicates of an id are added up in the order of the batch, in float32 for bfloat16. Sparse gradients are
    coalesced, and what is written for them is of the size of the batch, whatever the tables' sizes. On a GPU the error
    about a wrong id may come later, in the backward: see `id_check`.
    """
    if not (tables and ids.dtype == torch.int64 and has_kernel("embedding", tables[0])):
        return reference.embedding(ids, tables, sparse=sparse)
    out: Tensor
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        out = torch.ops.nasrec.embedding(ids, tables, False)
        return out
    try:
        out = torch.ops.nasrec.embedding(ids, tables, sparse)
    except RuntimeError:
        reference.require_lookup(ids, tables)
        reference.require_ids(ids, tables)
        raise
    if ids.is_cuda:
        id_check.look(ids, [table.shape[0] for table in tables], wait=not out.requires_grad)
    return out


def _fake(ids: Tensor, tables: Sequence[Tensor], sparse: bool) -> Tensor:
    return tables[0].new_empty(ids.shape[0], ids.shape[1], tables[0].shape[1])


def _backward_fake(grad: Tensor, ids: Tensor, rows: Sequence[int]) -> list[Tensor]:
    return [grad.new_empty(count, grad.shape[2]) for count in rows]


def _backward_rows_fake(grad: Tensor, ids: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    batch, fields = ids.shape
    values = grad.new_empty(fields, batch, grad.shape[2])
    return ids.new_empty(fields, batch), values, ids.new_empty(fields)


def _wrong_id_fake(ids: Tensor, rows: Sequence[int]) -> Tensor:
    return ids.new_empty(1)


def _save_ids(ctx: Any, inputs: tuple[Tensor, Sequence[Tensor], bool], output: Tensor) -> None:
    ids, tables, sparse = inputs
    ctx.save_for_backward(ids)
    ctx.rows = [table.shape[0] for table in tables]
    ctx.sparse = sparse


def _autograd(ctx: Any, grad: Tensor) -> tuple[None, list[Tensor], None]:
    (ids,) = ctx.saved_tensors
    if ids.is_cuda and not torch.compiler.is_compiling():
        id_check.settle(wait=not torch.cuda.is_current_stream_capturing())
    if not ctx.sparse:
        return None, torch.ops.nasrec.embedding_backward(grad, ids, ctx.rows), None
    if torch.is_grad_enabled():
        raise KernelError("embedding: sparse gradients cannot be differentiated again; use sparse=False")
    return None, _sparse_gradients(grad, ids, ctx.rows), None


def _sparse_gradients(grad: Tensor, ids: Tensor, rows: Sequence[int]) -> list[Tensor]:
    """Coalesced COO tensors [rows_j, e]."""
    found, values, counts = torch.ops.nasrec.embedding_backward_rows(grad, ids, rows)
    return [
        torch.sparse_coo_tensor(
            found[j, :count].unsqueeze(0),
            values[j, :count],
            (rows[j], grad.shape[2]),
            is_coalesced=True,
            check_invariants=False,
        )
        for j, count in enumerate(counts.tolist())
    ]


def _save_ids_of_backward(ctx: Any, inputs: tuple[Tensor, Tensor, Sequence[int]], output: list[Tensor]) -> None:
    ctx.save_for_backward(inputs[1])


def _double_autograd(ctx: Any, grad_grads: list[Tensor]) -> tuple[Tensor, None, None]:
    """The backward is linear in the gradient: the lookup is its transpose."""
    return torch.ops.nasrec.embedding(ctx.saved_tensors[0], grad_grads, False), None, None


register(
    "embedding",
    Operator("embedding", _fake, _autograd, _save_ids),
    Operator("embedding_backward", _backward_fake, _double_autograd, _save_ids_of_backward),
    Operator("embedding_backward_rows", _backward_rows_fake),
    Operator("find_wrong_id", _wrong_id_fake, devices=("cuda",)),
)
