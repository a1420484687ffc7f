"""A supernet as the training loop's learner: each step along a path of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec.data.dataset import Log
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.metrics import Metrics
from nasrec.supernet.ahead import PathPrefetcher
from nasrec.supernet.net import Supernet
from nasrec.supernet.optim import PathAdagrad
from nasrec.supernet.path import Path
from nasrec.supernet.sampling import PathSampler, PathSampling
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext
from nasrec.train.learner import Learner, StepBatch, click_loss
from nasrec.train.prediction import check_logits, device_of, forward, predict_with
from nasrec.train.weights import copy_tensors

__all__ = ["SupernetLearner"]

PANEL_PATHS = 5
PANEL_ROWS = 20_000
_PANEL_SEED = 2018


class SupernetLearner(Learner):
    """Trains the shared weights along sampled paths with Adagrad (section 4.1).

    A step's work, its gradients and its update are those of the path's slices and the batch's embeddings. With several
    processes all take the same path, and only its gradients are exchanged.

    Args:
        net: the supernet.
        config: of the run. The optimiser is Adagrad, decay leaves embedding tables alone.
        sampling: how paths are drawn.
        total_steps: of the run, see `TrainConfig.total_steps`.
        context: the processes that train together.

    Raises:
        TrainError: the configuration names another optimiser, or decay of the tables.
    """

    def __init__(
        self,
        net: Supernet,
        config: TrainConfig,
        sampling: PathSampling,
        total_steps: int,
        context: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        if config.optimizer != "adagrad":
            raise TrainError(f"a supernet trains with optimizer 'adagrad', not {config.optimizer!r}")
        if config.table_decay:
            raise TrainError("a supernet's tables have no decay, which would touch all rows; set embedding_decay to 0")
        self.net, self.config, self.context = net, config, context
        self.device = device_of(net)
        self.keeps_best = config.patience is not None
        self.sampler = PathSampler(net.space, net.widest, sampling, total_steps, config.seed)
        self._ahead = PathPrefetcher(self.sampler, net.lower)
        self._optimizer = PathAdagrad(net, config.peak_lr, eps=config.denominator_eps, weight_decay=config.weight_decay)
        self._dtype = torch.bfloat16 if config.precision == "bfloat16" else None
        self._panel: tuple[Log, Log] | None = None

    def running(self) -> AbstractContextManager[None]:
        return self._ahead.running()

    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        path = self.net.along(self._ahead.graph(step), dtype=self._dtype)
        logits = forward(path, batch.dense, batch.sparse)
        check_logits(logits, batch.label)
        loss = click_loss(logits, batch)
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        path.share(self.context)
        if self.config.clip_norm is not None:
            _clip(path, self.config.clip_norm)
        self._optimizer.lr = lr
        self._optimizer.step(path)
        return loss.detach()

    def evaluate(self, log: Log, batch_size: int) -> Metrics:
        """Means over a few fixed paths of the space, on rows spread evenly over the log (20,000 at most)."""
        rows = self._rows(log)
        found = [self._score(path, rows, batch_size) for path in self.panel()]
        means = {f.name: float(np.mean([getattr(one, f.name) for one in found])) for f in fields(Metrics)}
        return Metrics(**{**means, "rows": found[0].rows})  # type: ignore[arg-type]

    def panel(self) -> list[Genotype]:
        """The paths that `evaluate` scores: drawn as in training, by a seed of their own."""
        sampler = PathSampler(self.net.space, self.net.widest, self.sampler.sampling, 0, _PANEL_SEED)
        return [sampler.path(index) for index in range(PANEL_PATHS)]

    def weights(self) -> dict[str, Tensor]:
        return dict(self.net.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        copy_tensors(weights, self.net.state_dict(), "weights")

    def optimizer_state(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        try:
            self._optimizer.load_state_dict(state)
        except (KeyError, TypeError, AttributeError) as error:
            raise TrainError(f"the optimiser's state does not fit the supernet: {error!r:.120}") from None

    def _score(self, path: Genotype, rows: Log, batch_size: int) -> Metrics:
        run = self.net.path(path)
        return predict_with(run, self.device, rows, batch_size, self.context).score()

    def _rows(self, log: Log) -> Log:
        if log.num_rows <= PANEL_ROWS:
            return log
        if self._panel is None or self._panel[0] is not log:
            places = np.linspace(0, log.num_rows - 1, PANEL_ROWS).astype(np.int64)
            self._panel = (log, log.take(places))
        return self._panel[1]


def _clip(path: Path, largest: float) -> None:
    """Scales a path's gradients in place so that their common norm is at most `largest`."""
    factor = (largest / (path.gradient_norm() + 1e-6)).clamp(max=1.0)
    if factor.device.type == "cpu" and factor == 1:  # elsewhere looking would wait for the device
        return
    grads = path.gradients()
    torch._foreach_mul_(grads, factor.to(grads[0].dtype))
