"""The training loop: reads rows, steps a learner, evaluates on the validation log, and keeps checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from nasrec._version import __version__
from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.metrics import Metrics
from nasrec.train.config import TrainConfig, learning_rate
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext
from nasrec.train.distributed.sharded import learner_for
from nasrec.train.identity import require_same
from nasrec.train.interrupt import InterruptGuard
from nasrec.train.learner import Learner, StepBatch
from nasrec.train.progress import Progress, Silent
from nasrec.train.result import Evaluation, HistoryPoint, TrainResult
from nasrec.train.state import State, Window
from nasrec.train.store import MemoryStore, Store

__all__ = ["run", "train"]

logger = logging.getLogger(__name__)

_FORMAT = 1


def train(
    model: nn.Module,
    train_log: Log,
    valid_log: Log | None = None,
    config: TrainConfig | None = None,
    progress: Progress | None = None,
    *,
    store: Store | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    shard_tables: str | None = None,
) -> TrainResult:
    """Minimizes binary cross-entropy in place, on the device where the model is.

    The weights with the best validation score are restored at the end. Global random state is left as it was found;
    on a CPU two runs with equal weights, rows and settings give equal results. Ctrl-C ends the run between two steps
    and returns what was done.

    Args:
        model: what to train; `model(dense, sparse)` gives logits [B].
        train_log: rows to train on.
        valid_log: rows to evaluate on; default: none, and the last weights stay.
        config: settings; default: those of `TrainConfig()`.
        progress: is called back during the run.
        store: where checkpoints are kept; if it holds one of this run, the run goes on from there, and ends as it
            would have ended without a break. Default: none are kept.
        context: the processes that train together, see `nasrec.train.distributed.context.joined`. All call this with
            equal arguments, and end with equal weights; only the first one's `progress` and `store` are used.
        shard_tables: "table" or "row": during the run embedding tables, or the rows of each, are spread over the ranks
            instead of being on all of them; see `nasrec.train.distributed.sharded.ShardedLearner`.

    Raises:
        TrainError: the loss is not finite, the store holds another run, ranks were started differently, or tables
            cannot be sharded with this configuration.
    """
    config = config or TrainConfig()
    learner = learner_for(model, config, context, shard_tables)
    return run(learner, train_log, valid_log, config, progress, store=store)


def run(
    learner: Learner,
    train_log: Log,
    valid_log: Log | None,
    config: TrainConfig,
    progress: Progress | None = None,
    *,
    store: Store | None = None,
    identity: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Trains any learner; arguments and errors as for `train`.

    Args:
        identity: further plain values that identify the run: a checkpoint with others is refused.
    """
    loop = _Loop(learner, train_log, valid_log, config, progress or Silent(), store or MemoryStore(), identity or {})
    interrupted = False
    devices = [learner.device] if learner.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), learner.running():
        with InterruptGuard(deferred=learner.context.size > 1) as guard:
            loop.agree_on_the_start()
            loop.resume()
            loop.progress.begin(loop.total_rows, loop.state)
            try:
                loop.go(guard)
            except KeyboardInterrupt as interrupt:
                if learner.context.size > 1 and not isinstance(interrupt, _AgreedStop):
                    raise  # anywhere, and on this rank alone: nothing can be written together any more
                interrupted = True
                logger.info("interrupted after step %d", loop.state.steps)
            finally:
                loop.progress.end()
        if interrupted:
            loop.save()
        loop.restore_best()
    return loop.result(interrupted)


class _AgreedStop(KeyboardInterrupt):
    """All ranks stop at this step, because one of them was interrupted."""


class _Loop:
    def __init__(
        self,
        learner: Learner,
        train_log: Log,
        valid_log: Log | None,
        config: TrainConfig,
        progress: Progress,
        store: Store,
        identity: Mapping[str, Any],
    ) -> None:
        self.learner, self.train_log, self.valid_log, self.config = learner, train_log, valid_log, config
        self.context, self.store = learner.context, store
        self.progress = progress if self.context.is_main else Silent()
        self.identity = {"config": asdict(config), **identity}
        if config.batch_size % self.context.size:
            raise TrainError(
                f"batch_size {config.batch_size} cannot be shared out evenly among {self.context.size} ranks; use a "
                "multiple of their number"
            )
        share = config.batch_size // self.context.size
        self.reader = train_log.reader(share, seed=config.seed, rank=self.context.rank, world_size=self.context.size)
        self.total_steps = config.total_steps(len(self.reader))
        self.total_rows = min(config.epochs * train_log.num_rows, self.total_steps * config.batch_size)
        self.state = State()
        self.shown_loss = math.nan
        self.unread: Tensor | None = None
        """Sum of the losses of the steps that no one has waited for yet."""

    def agree_on_the_start(self) -> None:
        """Refuses to train ranks together that were started differently; all begin with the weights of the first."""
        if self.context.size == 1:
            return
        logs = {"training rows": self.train_log, "validation rows": self.valid_log}
        checksums = {name: log and log.sha256 for name, log in logs.items()}
        self.context.require_same({"nasrec": __version__, **self.identity, **checksums})
        self.learner.begin_alike()

    def resume(self) -> None:
        """Goes on from the first rank's checkpoint, if it has one."""
        checkpoint = self.context.broadcast_object(self.store.load() if self.context.is_main else None)
        if checkpoint is None:
            return
        self._require_same(checkpoint)
        state = State.from_dict(checkpoint["state"])
        self.reader.load_state_dict(state.reader)
        # Each part is let go once it is copied: of large tables there may not be room for three.
        self.learner.load_weights(checkpoint.pop("weights"))
        self.learner.load_optimizer_state(checkpoint.pop("optimizer"))
        self.state = state
        logger.info("going on after step %d", state.steps)

    def go(self, guard: InterruptGuard) -> None:
        """Steps until the end; between any two of them the state is whole."""
        state = self.state
        if state.finished:
            return
        self._evaluate_if_due(guard)
        while not self._is_over():
            for batch in self.reader.epoch():
                rows, total, save = self._agree(batch, guard)
                with guard.step():
                    self._step(batch, rows, total)
                self._evaluate_if_due(guard)
                if self._is_over():
                    break
                if save:
                    self.save()
        state.finished = True
        self.save()

    def save(self) -> None:
        """Writes a checkpoint, by the first rank; the others wait for it."""
        self._read_loss()
        if not self.state.steps:
            return
        # By all ranks: weights that are spread over them are gathered.
        weights, optimizer = self.learner.weights(), self.learner.optimizer_state()
        if self.context.is_main:
            self.store.save(
                {
                    "format": _FORMAT,
                    "nasrec": __version__,
                    "identity": self.identity,
                    "state": self.state.to_dict(),
                    "weights": weights,
                    "optimizer": optimizer,
                }
            )
        self.context.barrier()

    def restore_best(self) -> None:
        """The best weights, where they are not the last ones."""
        state = self.state
        if self.learner.keeps_best and state.best is not None and state.best.step != state.steps:
            best = self.context.broadcast_object(self.store.load_best() if self.context.is_main else None)
            if best is not None:
                self.learner.load_weights(best)

    def result(self, interrupted: bool) -> TrainResult:
        state = self.state
        return TrainResult(
            config=self.config,
            steps=state.steps,
            rows=state.rows,
            train_s=state.train_s,
            rows_per_s=state.rows / max(1e-9, state.train_s),
            history=tuple(state.history),
            evaluations=tuple(state.evaluations),
            best=state.best,
            interrupted=interrupted,
            stopped_early=state.stopped_early,
        )

    @property
    def _epoch(self) -> int:
        """The epoch of the last step, from 1."""
        return self.reader.epoch_number + (self.reader.position > 0)

    def _is_over(self) -> bool:
        return self.state.stopped_early or self.state.steps >= self.total_steps

    def _agree(self, batch: tuple[Tensor, ...], guard: InterruptGuard) -> tuple[int, float, bool]:
        """Rows of all ranks, their weight, and whether a checkpoint follows; a wish of any rank to stop stops all."""
        weight = float(batch[3].sum(dtype=torch.float64)) if len(batch) == 4 else len(batch[2])
        due = self.context.is_main and self.store.due(self.state.steps + 1)
        rows, total, stop, save = self.context.sum((len(batch[2]), weight, guard.asked_to_stop, due))
        if stop:
            raise _AgreedStop
        return int(rows), total, save > 0

    def _step(self, batch: tuple[Tensor, ...], rows: int, total: float) -> None:
        state, config, device = self.state, self.config, self.learner.device
        started = time.perf_counter()
        # What a step draws follows from the run's seed, its number and the rank, so no generator need be saved.
        torch.manual_seed(_mixed(config.seed, state.steps, self.context.rank))
        lr = learning_rate(config, state.steps, self.total_steps, state.rate_cuts)
        dense, sparse, label, *weight = (column.to(device) for column in batch)
        loss = self.learner.step(StepBatch(dense, sparse, label, weight[0] if weight else None, total), state.steps, lr)
        self._count(loss, rows, time.perf_counter() - started, lr)

    def _count(self, loss: Tensor, rows: int, seconds: float, lr: float) -> None:
        state = self.state
        state.steps += 1
        state.rows += rows
        state.train_s += seconds
        state.reader = self.reader.state_dict()
        window = state.window
        window.steps += 1
        window.rows += rows
        window.seconds += seconds
        # Reading the loss waits for an accelerator, or for other ranks; there it is read when it is needed only.
        self.unread = loss.double() if self.unread is None else self.unread + loss
        is_point = state.steps % self.config.log_every == 0 or self.reader.position == 0 or self._is_over()
        alone_on_cpu = self.learner.device.type == "cpu" and self.context.size == 1
        if is_point or alone_on_cpu or state.steps == 1:
            self._read_loss()
        self.progress.advance(rows, self.shown_loss)
        if is_point:
            rate = window.rows / max(1e-9, window.seconds)
            point = HistoryPoint(state.steps, self._epoch, state.rows, window.mean, lr, rate)
            state.history.append(point)
            state.window = Window()
            self.progress.recorded(point)

    def _read_loss(self) -> None:
        """Adds the losses of the steps since the last reading, of all ranks, to the window."""
        if self.unread is not None:
            (loss,) = self.context.sum((float(self.unread),))
            self.unread = None
            self.state.window.loss += loss
            self.shown_loss = self.state.window.mean
            self._require_finite(self.shown_loss)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainError(
                f"the training loss is {loss} at step {self.state.steps} (epoch {self._epoch}, "
                f"{self.config.optimizer}, peak learning rate {self.config.peak_lr:g}); lower the learning rate, "
                "lengthen the warm-up or clip gradients (clip_norm)"
            )

    def _evaluate_if_due(self, guard: InterruptGuard) -> None:
        """After an epoch, after `eval_every` steps and at the end: score the validation log."""
        state, every = self.state, self.config.eval_every
        last = state.evaluations[-1].step if state.evaluations else 0
        if self.valid_log is None or last == state.steps:
            return
        if self.reader.position == 0 or self._is_over() or (every and state.steps % every == 0):
            metrics = self.learner.evaluate(self.valid_log, self.config.eval_batch_size)
            # What follows from them must be the same everywhere, to the last bit, whatever the processors.
            metrics = Metrics(**self.context.broadcast_object(asdict(metrics)))
            with guard.step():
                self._note(metrics)

    def _note(self, metrics: Metrics) -> None:
        """Keep the weights if they are the best so far, count towards `patience` and a lower rate."""
        state, config = self.state, self.config
        if config.monitor == "auc" and math.isnan(metrics.auc):
            raise TrainError("monitor 'auc' needs both classes in the validation log; use monitor 'log_loss'")
        evaluation = Evaluation(state.steps, self._epoch, metrics)
        is_best = state.best is None or _better(config.monitor, metrics, state.best.metrics)
        if is_best and self.learner.keeps_best:
            weights = self.learner.weights()  # by all ranks, as in `save`
            if self.context.is_main:
                self.store.save_best(weights)
        state.evaluations.append(evaluation)
        if is_best:
            state.best, state.evaluations_since_best = evaluation, 0
        else:
            state.evaluations_since_best += 1
            state.rate_cuts += config.schedule == "plateau"
        state.stopped_early = config.patience is not None and state.evaluations_since_best >= config.patience
        self.progress.evaluated(evaluation, is_best)

    def _require_same(self, checkpoint: Mapping[str, Any]) -> None:
        """Raise `TrainError` unless the checkpoint is of this run."""
        if checkpoint.get("format") != _FORMAT or not isinstance(checkpoint.get("identity"), dict):
            raise TrainError("the checkpoint is of another version of nasrec; start the run anew in another folder")
        require_same(checkpoint["identity"], self.identity)


def _mixed(seed: int, step: int, rank: int) -> int:
    """A seed for each step and rank of a run; the odd constants, splitmix64's, keep neighbours apart."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank) % 2**63


def _better(monitor: str, new: Metrics, old: Metrics) -> bool:
    return new.auc > old.auc if monitor == "auc" else new.log_loss < old.log_loss
