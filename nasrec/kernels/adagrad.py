"""The optimiser's updates: the face of the compiled operators. `reference_adagrad` defines them.

One call takes any number of tensors, since starting the threads costs more than updating a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from nasrec.errors import KernelError
from nasrec.kernels import id_check, reference, reference_adagrad
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["adagrad_", "row_adagrad_", "sparse_adagrad_"]


def adagrad_(
    params: Sequence[Tensor],
    states: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> None:
    """One Adagrad step of all parameters (of one type and device); see `reference_adagrad.adagrad_`.

    Parameters and states must be contiguous, vectors, or matrices whose rows are contiguous: slices of stored matrices
    are.
    """
    if params and has_kernel("adagrad_", params[0]):
        _call(torch.ops.nasrec.adagrad_, params, states, grads, lr, eps, weight_decay)
    else:
        reference_adagrad.adagrad_(params, states, grads, lr=lr, eps=eps, weight_decay=weight_decay)


def row_adagrad_(
    tables: Sequence[Tensor],
    states: Sequence[Tensor],
    ids: Tensor,
    grad: Tensor,
    *,
    lr: float,
    eps: float = 1e-10,
) -> None:
    """One Adagrad step of the rows that were looked up; see `reference_adagrad.row_adagrad_`.

    The work is that of the rows touched, each once.
    """
    if not (tables and has_kernel("row_adagrad_", tables[0])):
        reference_adagrad.row_adagrad_(tables, states, ids, grad, lr=lr, eps=eps)
        return
    if ids.is_cuda and ids.dim() == 2 and ids.shape[1] == len(tables) and ids.dtype == torch.int64:
        id_check.look(ids, [table.shape[0] for table in tables], wait=True)
    try:
        _call(torch.ops.nasrec.row_adagrad_, tables, states, ids, grad, lr, eps)
    except KernelError:
        if ids.dim() == 2 and ids.shape[1] == len(tables):
            reference.require_ids(ids, tables)
        raise


def sparse_adagrad_(
    tables: Sequence[Tensor],
    states: Sequence[Tensor],
    rows: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    lr: float,
    eps: float = 1e-10,
) -> None:
    """One Adagrad step of listed rows; see `reference_adagrad.sparse_adagrad_`."""
    if tables and has_kernel("sparse_adagrad_", tables[0]):
        _call(torch.ops.nasrec.sparse_adagrad_, tables, states, rows, grads, lr, eps)
    else:
        reference_adagrad.sparse_adagrad_(tables, states, rows, grads, lr=lr, eps=eps)


@torch.no_grad()
def _call(operator: Callable[..., None], params: Sequence[Tensor], states: Sequence[Tensor], *operands: object) -> None:
    """The operator, with what it says of its operands as a `KernelError`."""
    try:
        operator(params, states, *operands)
    except RuntimeError as error:
        message = str(error).splitlines()[0]
        if not message.startswith(f"{operator.__name__}:"):
            raise
        raise KernelError(message) from None
    # Autograd learns from it that values saved for a backward are gone; the operators themselves do not tell it.
    increment_version(params)
    increment_version(states)


def _nothing(*operands: object) -> None:
    """The fake kernel of an operator that only changes its operands."""


for _name in __all__:
    register(_name, Operator(_name, _nothing))
