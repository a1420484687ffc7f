"""The training loop for any model of the form `model(dense, sparse) -> logits`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.data.dataset import BatchSource
from nasrec.errors import TrainError
from nasrec.layers import Embedding
from nasrec.optim import Adagrad
from nasrec.train.config import TrainConfig, learning_rate
from nasrec.train.interrupt import InterruptGuard
from nasrec.train.metrics import Metrics
from nasrec.train.predict import check_logits, device_of, evaluate, forward
from nasrec.train.progress import Progress, Silent
from nasrec.train.result import Evaluation, HistoryPoint, TrainResult

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(
    model: nn.Module,
    train_log: BatchSource,
    valid_log: BatchSource | None = None,
    config: TrainConfig | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Minimise binary cross-entropy in place, on the device where the model is.

    The weights with the best validation score are restored at the end. Global random state is left as it was found;
    on a CPU two runs with equal weights, rows and settings give equal results. Ctrl-C ends the run between two steps
    and returns what was done. Raises `TrainError` when the loss is not finite.
    """
    run = _Run(model, train_log, valid_log, config or TrainConfig(), progress or Silent())
    interrupted = False
    was_training = model.training
    devices = [run.device] if run.device.type == "cuda" else []
    sparse_tables = _sparse_tables(model, run.config.sparse_embeddings)
    with torch.random.fork_rng(devices=devices), sparse_tables, InterruptGuard() as guard:
        torch.manual_seed(run.config.seed)
        run.progress.begin(run.config.epochs * train_log.num_rows)
        try:
            run.epochs(guard)
        except KeyboardInterrupt:
            interrupted = True
            logger.info("interrupted after step %d", run.state.step)
        finally:
            run.progress.end()
            model.train(was_training)
    run.restore_best()
    return run.result(interrupted)


@dataclass
class _State:
    """All that changes during a run besides weights and optimiser: with these two, what a checkpoint has to hold."""

    epoch: int = 0
    step: int = 0
    rows: int = 0
    train_s: float = 0.0
    history: list[HistoryPoint] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    best_weights: dict[str, Tensor] | None = None
    looks_since_best: int = 0
    stopped_early: bool = False


class _Window:
    """Running loss since the last history point; on an accelerator it is fetched only when asked for."""

    def __init__(self, device: torch.device) -> None:
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self.steps = self.rows = 0
        self.seconds = 0.0

    def add(self, loss: Tensor, rows: int, seconds: float) -> None:
        self._sum += loss
        self.steps += 1
        self.rows += rows
        self.seconds += seconds

    def mean(self) -> float:
        return float(self._sum) / max(1, self.steps)


class _Run:
    def __init__(
        self,
        model: nn.Module,
        train_log: BatchSource,
        valid_log: BatchSource | None,
        config: TrainConfig,
        progress: Progress,
    ) -> None:
        self.model, self.train_log, self.valid_log = model, train_log, valid_log
        self.config, self.progress = config, progress
        self.device = device_of(model)
        self.parameters = [weight for weight in model.parameters() if weight.requires_grad]
        if not self.parameters:
            raise TrainError("the model has no trainable weights; nothing to train")
        self.optimizer = _optimizer(config, self.parameters)
        self.total_steps = config.epochs * math.ceil(train_log.num_rows / config.batch_size)
        self.state = _State()

    def epochs(self, guard: InterruptGuard) -> None:
        state, config = self.state, self.config
        while state.epoch < config.epochs and not state.stopped_early:
            self._epoch(guard)
            state.epoch += 1
            looked = state.evaluations and state.evaluations[-1].step == state.step
            if not looked and not state.stopped_early:
                self._look(state.epoch)

    def _epoch(self, guard: InterruptGuard) -> None:
        state, config = self.state, self.config
        window = _Window(self.device)
        shown_loss = math.nan
        self.model.train()
        for dense, sparse, label in self.train_log.batches(
            config.batch_size, shuffle=True, seed=config.seed, epoch=state.epoch
        ):
            started = time.perf_counter()
            with guard.step():
                lr = learning_rate(config, state.step, self.total_steps)
                loss = self._step(dense.to(self.device), sparse.to(self.device), label.to(self.device), lr)
                seconds = time.perf_counter() - started
                state.step += 1
                state.rows += len(label)
                state.train_s += seconds
                window.add(loss, len(label), seconds)
            # Reading the loss waits for an accelerator: there it is read at an epoch's start and history points only.
            is_point = state.step % config.log_every == 0
            if is_point or self.device.type == "cpu" or math.isnan(shown_loss):
                shown_loss = window.mean()
                self._require_finite(shown_loss)
            self.progress.advance(len(label), shown_loss)
            if is_point:
                self._record(window, shown_loss, lr)
                window = _Window(self.device)
            if config.eval_every and state.step % config.eval_every == 0:
                self._look(state.epoch + 1)
                if state.stopped_early:
                    break
        if window.steps:
            self._require_finite(window.mean())
            self._record(window, window.mean(), lr)

    def _step(self, dense: Tensor, sparse: Tensor, label: Tensor, lr: float) -> Tensor:
        logits = forward(self.model, dense, sparse)
        if self.state.step == 0:
            check_logits(logits, label)
        loss = binary_cross_entropy_with_logits(logits, label)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        if self.state.step == 0 and not self.config.sparse_embeddings and any(map(_is_sparse, self.parameters)):
            raise TrainError(
                "the model has sparse gradients; build embeddings with sparse=False, or set sparse_embeddings"
            )
        if self.config.clip_norm is not None:
            _clip(self.parameters, self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return loss.detach()

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainError(
                f"the training loss is {loss} at step {self.state.step} (epoch {self.state.epoch + 1}, "
                f"{self.config.optimizer}, peak learning rate {self.config.peak_lr:g}); lower the learning rate, "
                "lengthen the warm-up or clip gradients (clip_norm)"
            )

    def _record(self, window: _Window, loss: float, lr: float) -> None:
        state = self.state
        rate = window.rows / max(1e-9, window.seconds)
        state.history.append(HistoryPoint(state.step, state.epoch + 1, state.rows, loss, lr, rate))

    def _look(self, epoch: int) -> None:
        """Score the validation log, keep the weights if they are the best so far, count towards `patience`."""
        if self.valid_log is None:
            return
        state, config = self.state, self.config
        metrics = evaluate(self.model, self.valid_log, config.eval_batch_size)
        if config.monitor == "auc" and math.isnan(metrics.auc):
            raise TrainError("monitor 'auc' needs both classes in the validation log; use monitor 'log_loss'")
        evaluation = Evaluation(state.step, epoch, metrics)
        is_best = state.best is None or _better(config.monitor, metrics, state.best.metrics)
        state.evaluations.append(evaluation)
        if is_best:
            state.best, state.looks_since_best = evaluation, 0
            state.best_weights = _copy(self.model.state_dict(), state.best_weights)
        else:
            state.looks_since_best += 1
        state.stopped_early = config.patience is not None and state.looks_since_best >= config.patience
        self.progress.evaluated(epoch, metrics, is_best)

    def restore_best(self) -> None:
        state = self.state
        if state.best_weights is not None and state.best is not None and state.best.step != state.step:
            self.model.load_state_dict(state.best_weights)

    def result(self, interrupted: bool) -> TrainResult:
        state = self.state
        return TrainResult(
            config=self.config,
            steps=state.step,
            rows=state.rows,
            train_s=state.train_s,
            rows_per_s=state.rows / max(1e-9, state.train_s),
            history=tuple(state.history),
            evaluations=tuple(state.evaluations),
            best=state.best,
            interrupted=interrupted,
            stopped_early=state.stopped_early,
        )


def _optimizer(config: TrainConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    options: dict[str, Any] = {
        "lr": config.peak_lr,
        "eps": config.denominator_eps,
        "weight_decay": config.weight_decay,
    }
    if config.optimizer == "adagrad":
        return Adagrad(parameters, **options)
    # One pass over weights, gradients and state instead of one for each arithmetic operation: 8 times as fast on a CPU.
    fused = all(weight.device.type in ("cpu", "cuda") for weight in parameters)
    return torch.optim.Adam(parameters, fused=fused or None, **options)


def _is_sparse(weight: nn.Parameter) -> bool:
    return weight.grad is not None and weight.grad.is_sparse


@contextmanager
def _sparse_tables(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Within the block the tables of generated models get sparse gradients, if that is wanted."""
    tables = [module for module in model.modules() if isinstance(module, Embedding)] if wanted else []
    before = [table.sparse for table in tables]
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table, sparse in zip(tables, before, strict=True):
            table.sparse = sparse


def _clip(parameters: list[nn.Parameter], largest: float) -> None:
    """Scales all gradients so that their common norm is at most `largest`; sparse ones are coalesced before."""
    for weight in filter(_is_sparse, parameters):
        assert weight.grad is not None
        weight.grad = weight.grad.coalesce()
    grads = [weight.grad for weight in parameters if weight.grad is not None]
    values = [grad._values() if grad.is_sparse else grad for grad in grads]
    factor = largest / (nn.utils.get_total_norm(values) + 1e-6)
    torch._foreach_mul_(values, factor.clamp(max=1.0))


def _better(monitor: str, new: Metrics, old: Metrics) -> bool:
    return new.auc > old.auc if monitor == "auc" else new.log_loss < old.log_loss


def _copy(weights: dict[str, Tensor], into: dict[str, Tensor] | None) -> dict[str, Tensor]:
    """The weights as tensors of their own, in the memory of an earlier copy if there is one."""
    if into is None:
        return {name: tensor.detach().clone() for name, tensor in weights.items()}
    for name, tensor in weights.items():
        into[name].copy_(tensor.detach())
    return into
