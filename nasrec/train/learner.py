"""What the training loop trains: a single model or, through the same interface, a supernet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.compiler.modes import temporarily_set
from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.layers import Embedding, Quantizable
from nasrec.metrics import Metrics
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext
from nasrec.train.gradients import is_sparse, share_gradients
from nasrec.train.optimizers import make_optimizer
from nasrec.train.precision import in_precision
from nasrec.train.prediction import check_logits, device_of, evaluate, forward
from nasrec.train.weights import copy_tensors

__all__ = ["Learner", "ModelLearner", "StepBatch", "agree_on_weights", "click_loss"]


RUNNING = ("running_mean", "running_var")
"""What buffers of batch norms are called, here and in PyTorch."""


class StepBatch(NamedTuple):
    """This rank's rows of a step, of several ranks perhaps none: dense [B, n], sparse int64 [B, m], label [B], weight
    [B] or None; `total` is the sum of the weights (the number of rows where there are none) over all ranks."""

    dense: Tensor
    sparse: Tensor
    label: Tensor
    weight: Tensor | None
    total: float


class Learner(ABC):
    """Weights, and how one step changes them.

    All ranks call the same methods at the same time. `weights` and `optimizer_state` may leave out on other ranks than
    the first what they do not hold; the first has all.
    """

    device: torch.device
    context: DistributedContext
    keeps_best: bool = True
    """Are the weights of the best evaluation on the validation log what a run gives? Else the last ones are."""

    def running(self) -> AbstractContextManager[None]:
        """Around a whole run: modes that training needs, put back afterwards."""
        return nullcontext()

    def begin_alike(self) -> None:
        """All ranks take over the first one's weights; see `agree_on_weights`."""
        agree_on_weights(self.weights(), self.context)

    @abstractmethod
    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        """One update; gives this rank's share of the mean loss over all ranks' rows, without waiting for it."""

    @abstractmethod
    def evaluate(self, log: Log, batch_size: int) -> Metrics:
        """Scores on all rows of a log, the same on every rank."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """The weights by name, not copied where they lie whole."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copies weights in. Raises `StateDictError` naming the first that is missing, unknown or misshapen."""

    @abstractmethod
    def optimizer_state(self) -> dict[str, Any]:
        """Tensors and plain values, not copied where they lie whole."""

    @abstractmethod
    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what `optimizer_state` gave."""


class ModelLearner(Learner):
    """Any model of the form `model(dense, sparse) -> logits`."""

    def __init__(self, model: nn.Module, config: TrainConfig, context: DistributedContext = SINGLE_PROCESS) -> None:
        self.model, self.config, self.context = model, config, context
        self.device = device_of(model)
        self._forward: Callable[[Tensor, Tensor], Tensor] = model
        self._checked = False
        self._take_weights()

    def _take_weights(self) -> None:
        """Looks up in the model what steps change."""
        self.parameters = [weight for weight in self.model.parameters() if weight.requires_grad]
        if not self.parameters:
            raise TrainError("the model has no trainable weights; nothing to train")
        self._statistics = [buffer for name, buffer in self.model.named_buffers() if name.endswith(RUNNING)]
        layers = [module for module in self.model.modules() if isinstance(module, Quantizable) and module.observing]
        self._statistics += [layer.act_scale for layer in layers if layer.act_scale is not None]
        self._optimizer = self._make_optimizer()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return make_optimizer(self.model, self.config)

    @contextmanager
    def running(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.train()
        try:
            with (
                _sparse_tables(self.model, self.config.sparse_embeddings),
                in_precision(self.model, self.config) as self._forward,
            ):
                yield
        finally:
            self._forward = self.model
            self.model.train(was_training)

    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        # Models need not cope with no rows, which the last batch of an epoch may leave to a rank.
        loss = self._gradients_of(batch) if len(batch.label) else torch.zeros((), device=self.device)
        share_gradients(self.parameters, self.context)
        if self.config.clip_norm is not None:
            clip(self._gradients(), self.config.clip_norm)
        self._update(lr)
        self._share_statistics()
        return loss

    def evaluate(self, log: Log, batch_size: int) -> Metrics:
        return evaluate(self.model, log, batch_size, context=self.context)

    def weights(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        copy_tensors(weights, self.model.state_dict(), "weights")

    def optimizer_state(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        try:
            self._optimizer.load_state_dict(dict(state))
        except (ValueError, KeyError) as error:
            raise TrainError(f"the optimiser's state does not fit the model: {error}") from None

    def _gradients_of(self, batch: StepBatch) -> Tensor:
        """The loss, after its backward pass."""
        logits = forward(self._forward, batch.dense, batch.sparse)
        if not self._checked:
            check_logits(logits, batch.label)
        loss = self._objective(logits, batch)
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        if not self._checked and not self.config.sparse_embeddings and any(map(is_sparse, self.parameters)):
            raise TrainError(
                "the model has sparse gradients; build embeddings with sparse=False, or set sparse_embeddings"
            )
        self._checked = True
        return loss.detach()

    def _update(self, lr: float) -> None:
        """Moves the weights by their gradients."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()

    def _objective(self, logits: Tensor, batch: StepBatch) -> Tensor:
        """What a step minimises: this rank's share, of which the sum over the ranks counts."""
        return click_loss(logits, batch)

    def _share_statistics(self) -> None:
        """Running statistics, which each rank has moved by its own rows, become their means over the ranks."""
        if self.context.size > 1 and self._statistics:
            self.context.all_reduce_(self._statistics)
            for buffer in self._statistics:
                buffer.div_(self.context.size)

    def _gradients(self) -> list[Tensor]:
        """Dense gradients, and the values of sparse ones, whose rows are made distinct."""
        for weight in filter(is_sparse, self.parameters):
            assert weight.grad is not None
            weight.grad = weight.grad.coalesce()
        grads = [weight.grad for weight in self.parameters if weight.grad is not None]
        return [grad._values() if grad.is_sparse else grad for grad in grads]


def agree_on_weights(weights: Mapping[str, Tensor], context: DistributedContext) -> None:
    """Copies the first rank's weights into those of the others. Raises `TrainError` where they are of another form."""
    form = {f"weight {name}": f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in weights.items()}
    context.require_same(form)
    context.broadcast_(list(weights.values()))


def click_loss(logits: Tensor, batch: StepBatch) -> Tensor:
    """This rank's share of the weighted mean binary cross-entropy over all ranks' rows, in float32 at least."""
    logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    label = batch.label.to(logits.dtype)
    summed: Tensor = binary_cross_entropy_with_logits(logits, label, weight=batch.weight, reduction="sum")
    return summed / batch.total


def clip(grads: Sequence[Tensor], largest: float) -> None:
    """Scales gradients in place so that their common norm is at most `largest`."""
    factor = largest / (nn.utils.get_total_norm(grads) + 1e-6)
    torch._foreach_mul_(list(grads), factor.clamp(max=1.0))


def _sparse_tables(model: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Within the block the tables of generated models get sparse gradients, if that is wanted."""
    tables = [module for module in model.modules() if isinstance(module, Embedding)] if wanted else []
    return temporarily_set(tables, "sparse")
