"""Adagrad over a supernet's store that touches what a path used, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrec.compiler.slices import put, scattered, take
from nasrec.errors import StateDictError, TrainError
from nasrec.io.memory import require_memory
from nasrec.kernels import adagrad_, row_adagrad_
from nasrec.supernet.path import Path

__all__ = ["PathAdagrad"]


class PathAdagrad:
    """Adagrad (Duchi et al. 2011) for a supernet's paths, by default with the paper's rate and the release's eps.

    A step costs what the path's slices and the batch's embeddings cost. The result is that of `torch.optim.Adagrad`
    on the whole store, where untouched entries have zero gradient and stay as they are.

    Args:
        net: the supernet.
        lr: learning rate; may be set anew before any step, as schedules do.
        eps: added to the root of the sum of squares.
        weight_decay: L2 penalty on the slices, not on embeddings. Unlike a dense optimiser's, it reaches no entry
            that the path leaves out.
        initial_accumulator_value: where the sums of squares start.

    Attributes:
        sums: the sum of squared gradients of every stored parameter, by its name.
    """

    def __init__(
        self,
        net: nn.Module,
        lr: float = 0.12,
        *,
        eps: float = 1e-2,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
    ) -> None:
        settings = {
            "lr": lr,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
        }
        for name, value in settings.items():
            if not 0 <= value < float("inf"):
                raise TrainError(f"PathAdagrad: {name} must be a number from 0, got {value!r}")
        self.lr, self.eps, self.weight_decay = lr, eps, weight_decay
        self._parameters = {name: parameter.detach() for name, parameter in net.named_parameters()}
        require_memory(
            2 * sum(parameter.nbytes for parameter in self._parameters.values() if parameter.device.type == "cpu"),
            "training the supernet, its weights and their sums of squares, takes",
            "cut the space's widths or blocks, embedding_dim or the tables' rows",
            TrainError,
        )
        self.sums = {
            name: _filled_like(parameter, initial_accumulator_value) for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def step(self, path: Path) -> None:
        """One update from the gradients of a path's leaves.

        Raises:
            TrainError: the path has no gradients: `backward` comes first.
        """
        if not path.gradients():
            raise TrainError("PathAdagrad: the path has no gradients; call loss.backward() before step(path)")
        params, sums, grads, copies = [], [], [], []
        for touched in path.touched:
            if (grad := touched.leaf.grad) is None:
                continue
            parameter, total = self._parameters[touched.name], self.sums[touched.name]
            grad = grad.to(parameter.dtype)
            if scattered(touched.ref):
                copies.append((touched.ref, take(parameter, touched.ref), take(total, touched.ref)))
                params.append(copies[-1][1])
                sums.append(copies[-1][2])
                grads.append(grad)
                continue
            for cell in touched.cells:
                params.append(parameter[cell.stored])
                sums.append(total[cell.stored])
                grads.append(grad[cell.taken])
        adagrad_(params, sums, grads, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        for ref, moved, summed in copies:
            put(self._parameters[ref.name], ref, moved)
            put(self.sums[ref.name], ref, summed)
        for lookup in path.lookups:
            if lookup.leaf.grad is not None:
                tables = [self._parameters[name] for name in lookup.names]
                totals = [self.sums[name] for name in lookup.names]
                grad = lookup.leaf.grad.to(tables[0].dtype)
                row_adagrad_(tables, totals, lookup.ids, grad, lr=self.lr, eps=self.eps)

    def state_dict(self) -> dict[str, Any]:
        """Settings and sums; the tensors are the optimiser's own."""
        return {"lr": self.lr, "eps": self.eps, "weight_decay": self.weight_decay, "sums": dict(self.sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over settings and, by copying, sums.

        Raises:
            StateDictError: a sum is missing, unknown or of another shape.
        """
        sums: Mapping[str, Tensor] = state["sums"]
        if unlike := set(sums) ^ set(self.sums):
            raise StateDictError(
                f"the optimiser's state does not fit the supernet: {min(unlike)} is in one of them only"
            )
        for name, total in self.sums.items():
            if sums[name].shape != total.shape:
                raise StateDictError(f"sums of {name}: expected {list(total.shape)}, got {list(sums[name].shape)}")
        for name, total in self.sums.items():
            total.copy_(sums[name])
        self.lr, self.eps, self.weight_decay = state["lr"], state["eps"], state["weight_decay"]


def _filled_like(parameter: Tensor, value: float) -> Tensor:
    if value == 0 and parameter.device.type == "cpu" and parameter.dtype == torch.float32:
        # Pages that the system hands out as zeros take no memory before something is written: rows of tables that no
        # batch names never do.
        return torch.from_numpy(np.zeros(tuple(parameter.shape), dtype=np.float32))
    return torch.full_like(parameter, value)
