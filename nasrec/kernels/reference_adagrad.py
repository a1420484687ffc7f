"""The optimiser's updates in plain PyTorch: definition, fallback and oracle of the compiled ones.

Adagrad (Duchi, Hazan and Singer, https://jmlr.org/papers/v12/duchi11a.html), as `torch.optim.Adagrad` computes it:

    g = gradient + weight_decay * p;  state += g * g;  p -= lr * g / (sqrt(state) + eps)

Parameters, states and gradients may be views: only what they show is read and written. States have the parameters'
type, or float32 beside bfloat16, for which all is computed in float32. All functions work in place, outside of
autograd, and raise `KernelError` where operands do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasrec.errors import KernelError
from nasrec.kernels import reference

__all__ = ["adagrad_", "row_adagrad_", "sparse_adagrad_"]


@torch.no_grad()
def adagrad_(
    params: Sequence[Tensor],
    states: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> None:
    """One Adagrad step of parameters, states and gradients of equal shapes, one by one. No two may overlap."""
    _require_as_many("adagrad_", "states", states, params)
    _require_as_many("adagrad_", "gradients", grads, params)
    for param, state, grad in zip(params, states, grads, strict=True):
        for name, tensor in (("a state", state), ("a gradient", grad)):
            if tensor.shape != param.shape:
                raise KernelError(
                    f"adagrad_: {name} must have the shape of its parameter, got {list(tensor.shape)} and "
                    f"{list(param.shape)}"
                )
        p, g = _wide(param), _wide(grad)
        if weight_decay != 0:
            g = g + weight_decay * p
        squares = state.to(p.dtype) + g * g
        state.copy_(squares)
        param.copy_(p - lr * g / (squares.sqrt() + eps))


@torch.no_grad()
def row_adagrad_(
    tables: Sequence[Tensor],
    states: Sequence[Tensor],
    ids: Tensor,
    grad: Tensor,
    *,
    lr: float,
    eps: float = 1e-10,
) -> None:
    """One Adagrad step of the rows that were looked up: equal to that of the whole tables with dense gradients.

    Args:
        tables: [rows_j, e] each.
        states: like the tables, or [rows_j] each: one state a row, to which the mean of its squared gradients is added.
        ids: int64 [B, n], what was looked up.
        grad: [B, n, e], the gradient of the rows looked up; those of equal ids are added first.
        lr: learning rate.
        eps: added to the root of the state.

    Raises:
        FeatureError: an id lies outside its table; nothing has been changed then.
    """
    if ids.dim() != 2 or not tables or ids.shape[1] != len(tables):
        raise KernelError(
            f"row_adagrad_: ids must be [B, {len(tables)}], one column for each of at least one table, got "
            f"{list(ids.shape)}"
        )
    expected = (*ids.shape, *tables[0].shape[1:])
    if grad.shape != expected:
        raise KernelError(f"row_adagrad_: grad must be {list(expected)}, got {list(grad.shape)}")
    reference.require_ids(ids, tables)
    sparse_adagrad_(tables, states, list(ids.unbind(1)), list(grad.unbind(1)), lr=lr, eps=eps)


@torch.no_grad()
def sparse_adagrad_(
    tables: Sequence[Tensor],
    states: Sequence[Tensor],
    rows: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    lr: float,
    eps: float = 1e-10,
) -> None:
    """The same with rows int64 [u_j] and their gradients [u_j, e] for each table; repeated rows are added first."""
    for name, tensors in (("states", states), ("row lists", rows), ("gradients", grads)):
        _require_as_many("sparse_adagrad_", name, tensors, tables)
    for table, state, touched, grad in zip(tables, states, rows, grads, strict=True):
        if state.shape not in (table.shape, table.shape[:1]):
            raise KernelError(
                f"sparse_adagrad_: states must all be like their tables, or all [rows], got {list(state.shape)} "
                f"beside {list(table.shape)}"
            )
        unique, place = touched.unique(return_inverse=True)
        g = _wide(grad).new_zeros(len(unique), table.shape[1]).index_add_(0, place, _wide(grad))
        squares = g * g if state.dim() == 2 else (g * g).mean(1)
        total = state[unique].to(g.dtype) + squares
        state[unique] = total.to(state.dtype)
        root = total.sqrt() + eps
        new = _wide(table[unique]) - lr * g / (root if state.dim() == 2 else root.unsqueeze(1))
        table[unique] = new.to(table.dtype)


def _require_as_many(op: str, name: str, tensors: Sequence[Tensor], params: Sequence[Tensor]) -> None:
    if len(tensors) != len(params):
        raise KernelError(f"{op}: needs as many {name} as parameters, got {len(tensors)} and {len(params)}")


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
