"""Adagrad in one pass over all parameters, and over nothing but the touched rows of embedding tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nasrec.errors import TrainError
from nasrec.kernels import adagrad_, reference_adagrad, row_adagrad_, sparse_adagrad_

__all__ = ["Adagrad", "adagrad_", "row_adagrad_", "sparse_adagrad_"]


class Adagrad(torch.optim.Optimizer):
    """`torch.optim.Adagrad` by the kernels of `nasrec.kernels`: the same arguments, results and state dicts.

    Dense gradients of one type and device are one call, sparse ones (COO, by rows) too; the work of the latter is that
    of the rows they hold.

    Args:
        params: real-valued parameters, or parameter groups.
        lr: learning rate.
        lr_decay: the rate of step t (from 1) is lr / (1 + (t - 1) lr_decay).
        weight_decay: L2 penalty, added to the gradient. Not with sparse gradients.
        initial_accumulator_value: where the sums of squares start.
        eps: added to their roots.
        row_wise: one sum for each row of a matrix, of the mean of its squared gradients: for tables of e channels
            1/e of the memory. An option of parameter groups as well; a state dict fits groups with the same option.

    Raises:
        TrainError: an argument or a parameter that does not fit; weight decay with sparse gradients.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        row_wise: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
        }
        for name, value in defaults.items():
            if not value >= 0:
                raise TrainError(f"Adagrad: {name} must be at least 0, got {value!r}")
        super().__init__(params, defaults | {"row_wise": row_wise})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; see `torch.optim.Optimizer.add_param_group`."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            if not p.is_floating_point():
                raise TrainError(f"Adagrad: parameters must be real-valued, got {p.dtype} {list(p.shape)}")
            if group["row_wise"] and p.dim() != 2:
                raise TrainError(f"Adagrad: row_wise is for matrices [rows, e], got a parameter {list(p.shape)}")
            start = group["initial_accumulator_value"]
            self.state[p] = {
                "step": torch.tensor(0.0),
                "sum": p.new_full(p.shape[:1], start) if group["row_wise"] else torch.full_like(p, start),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("row_wise", False)  # a state dict of torch's own optimiser

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override,unused-ignore]
        """One update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("maximize"):  # of a state dict from elsewhere
                raise TrainError("Adagrad: maximize is not supported; change the sign of the loss")
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                torch._foreach_add_([self.state[p]["step"] for p in params], 1)
            for batch in self._batches(group, params):
                batch.update(group["eps"], group["weight_decay"])
        return loss

    def _batches(self, group: dict[str, Any], params: list[Tensor]) -> Iterable[_Batch]:
        batches: dict[tuple[Any, ...], _Batch] = {}
        for p in params:
            state = self.state[p]
            rate = group["lr"]
            if group["lr_decay"]:
                rate = rate / (1 + (float(state["step"]) - 1) * group["lr_decay"])
            grad = p.grad
            assert grad is not None
            by_rows = _is_rows(grad) or group["row_wise"]
            layout = p.shape[1] if by_rows else _has_contiguous_rows(p)
            key = (p.dtype, p.device, state["sum"].dtype, float(rate), by_rows, layout)
            batches.setdefault(key, _Batch(float(rate), by_rows, bool(layout))).add(p, state["sum"], grad)
        return batches.values()


@dataclass
class _Batch:
    """What one call updates: parameters of one type, device and rate."""

    lr: float
    by_rows: bool
    for_kernel: bool
    params: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)

    def add(self, param: Tensor, state: Tensor, grad: Tensor) -> None:
        self.params.append(param)
        self.states.append(state)
        self.grads.append(grad)

    def update(self, eps: float, weight_decay: float) -> None:
        if self.by_rows:
            self._update_rows(eps, weight_decay)
            return
        grads = [grad.to_dense() if grad.is_sparse else grad for grad in self.grads]
        update = adagrad_ if self.for_kernel else reference_adagrad.adagrad_
        update(self.params, self.states, grads, lr=self.lr, eps=eps, weight_decay=weight_decay)

    def _update_rows(self, eps: float, weight_decay: float) -> None:
        if weight_decay:
            raise TrainError("Adagrad: weight decay would touch every row; use it with dense gradients, element-wise")
        rows, values = zip(*map(_rows_of, self.grads), strict=True)
        sparse_adagrad_(self.params, self.states, rows, values, lr=self.lr, eps=eps)


def _is_rows(grad: Tensor) -> bool:
    return grad.is_sparse and grad.sparse_dim() == 1 and grad.dense_dim() == 1


def _rows_of(grad: Tensor) -> tuple[Tensor, Tensor]:
    """Rows int64 [u], perhaps repeated, and their gradients [u, e]."""
    if _is_rows(grad):
        return grad._indices()[0], grad._values()
    dense = grad.to_dense() if grad.is_sparse else grad
    return torch.arange(len(dense), device=dense.device), dense


def _has_contiguous_rows(p: Tensor) -> bool:
    return p.is_contiguous() or p.dim() == 1 or (p.dim() == 2 and (p.stride(1) == 1 or p.shape[1] == 1))
