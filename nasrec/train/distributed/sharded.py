"""A model whose embedding tables are spread over the ranks while it trains; everything else is data parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.errors import TrainError
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import DistributedContext, translate_peer_errors
from nasrec.train.distributed.torchrec_tables import (
    SHARDINGS,
    ShardedTables,
    can_shard,
    gradients_are_summed,
    quiet,
    require_torchrec,
)
from nasrec.train.learner import ModelLearner, StepBatch, agree_on_weights
from nasrec.train.optimizers import ordered_names
from nasrec.train.prediction import device_of
from nasrec.train.weights import copy_tensors

__all__ = ["ShardedLearner", "learner_for", "require_shardable"]


def learner_for(model: nn.Module, config: TrainConfig, context: DistributedContext, way: str | None) -> ModelLearner:
    """With tables sharded that way, or not at all; one rank has them all in any case.

    Raises:
        TrainError: the run cannot be made with sharded tables.
    """
    if way is None:
        return ModelLearner(model, config, context)
    require_shardable(config, way)
    return ShardedLearner(model, config, context, way) if context.size > 1 else ModelLearner(model, config, context)


def require_shardable(config: TrainConfig, way: str) -> None:
    """Raises `TrainError` where a run cannot be made with sharded tables: they are updated within the backward pass,
    row by row, before the norm of all gradients is known."""
    if way not in SHARDINGS:
        raise TrainError(f"tables are sharded by {' or '.join(SHARDINGS)}, not {way!r}")
    if config.optimizer != "adagrad" or config.table_decay:
        raise TrainError("sharded tables need optimizer 'adagrad' and no decay of the tables (embedding_decay 0)")
    if config.clip_norm is not None:
        raise TrainError(
            "sharded tables need clip_norm none: they are updated before the norm of all gradients is known"
        )
    require_torchrec()


class ShardedLearner(ModelLearner):
    """As `ModelLearner`, with the tables of `nasrec.layers.Embedding` on all ranks together while it runs.

    The results are the same, and so are checkpoints: the first rank gathers whole tables, so that they load on any
    number of ranks, sharded or not. The model is whole again, on every rank, when the run has ended; after an exception
    it is not. Tables whose width is no multiple of 4 stay as they are.

    Args:
        way: "table" or "row", see `nasrec.train.distributed.torchrec_tables.SHARDINGS`.
        context: two or more processes.

    Raises:
        TrainError: see `require_shardable`; no table that can be sharded.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, context: DistributedContext, way: str = "table") -> None:
        require_shardable(config, way)
        self.model, self.config, self.context, self.way = model, config, context, way
        self.device = device_of(model)
        self._lookups = {name: module for name, module in model.named_modules() if can_shard(module)}
        if not self._lookups:
            raise TrainError(
                "the model has no embedding tables that can be sharded: float32, of a width of 4, 8, 12 ..."
            )
        self._tables = {
            f"{name}.tables.{j}": (i, j)
            for i, (name, lookup) in enumerate(self._lookups.items())
            for j in range(len(lookup.tables))
        }
        self._others, self._all_tables = ordered_names(model)
        self._names = list(model.state_dict())
        self._steps = 0
        self._checked = False
        self._forward: Callable[[Tensor, Tensor], Tensor] = model

    def begin_alike(self) -> None:
        """Done before tables are spread."""

    @contextmanager
    def running(self) -> Iterator[None]:
        agree_on_weights(self.model.state_dict(), self.context)
        lookups = list(self._lookups.values())
        self._spread = ShardedTables(lookups, self.way, self.config, self.context, self.device)
        for i, name in enumerate(self._lookups):
            self.model.set_submodule(name, self._spread.module(i))
        self._take_weights()
        with gradients_are_summed(), quiet(), super().running():
            yield
        for i, (name, lookup) in enumerate(self._lookups.items()):
            for j, table in enumerate(lookup.tables):
                table.data = self._spread.whole(i, j)
            self.model.set_submodule(name, lookup)
        del self._spread

    def step(self, batch: StepBatch, step: int, lr: float) -> Tensor:
        self._spread.set_rate(lr)
        self._steps += 1
        with translate_peer_errors():
            return super().step(batch if len(batch.label) else _weightless(batch), step, lr)

    def weights(self) -> dict[str, Tensor]:
        own = super().weights()
        gathered = {name: self._kept(self._spread.whole(*place)) for name, place in self._tables.items()}
        found = {name: own[name] if name in own else gathered[name] for name in self._names}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        target = super().weights()
        for name, (i, j) in self._tables.items():
            target[name] = torch.empty(self._spread.shapes[i][j], device="meta")
        copy_tensors(weights, target, "weights")
        for name, place in self._tables.items():
            self._spread.load(*place, weights[name])

    def optimizer_state(self) -> dict[str, Any]:
        """In the form of an optimiser of the whole model."""
        own = super().optimizer_state()
        at = {name: i for i, name in enumerate(_chained(self.model))}
        state: dict[int, Any] = {}
        for i, name in enumerate((*self._others, *self._all_tables)):
            if name in at:
                state[i] = own["state"][at[name]]
            else:
                summed = self._kept(self._spread.whole_sum(*self._tables[name]))
                state[i] = {"step": torch.tensor(float(self._steps)), "sum": summed}
        count = len(self._others)
        others = own["param_groups"][0] | {"params": list(range(count))}
        tables = others | {"weight_decay": self.config.table_decay, "params": list(range(count, len(state)))}
        return {"state": state, "param_groups": [others, tables]}

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        names = [*self._others, *self._all_tables]
        saved = state.get("state")
        if not isinstance(saved, Mapping) or sorted(saved) != list(range(len(names))):
            raise TrainError("the optimiser's state does not fit the model: it is another model's")
        by_name = dict(zip(names, (saved[i] for i in range(len(names))), strict=True))
        own = {i: by_name[name] for i, name in enumerate(_chained(self.model))}
        super().load_optimizer_state({"state": own, "param_groups": super().optimizer_state()["param_groups"]})
        for name, place in self._tables.items():
            self._spread.load_sum(*place, by_name[name]["sum"])
            self._steps = int(by_name[name]["step"])

    def _kept(self, whole: Tensor) -> Tensor | None:
        """On the first rank, for a checkpoint; the others need not hold it."""
        return whole.cpu() if self.context.is_main else None


def _weightless(batch: StepBatch) -> StepBatch:
    """One row that counts nothing, where a rank has none: it takes part in the exchanges, and changes no weight."""
    dense, sparse, label = (x.new_zeros(1, *x.shape[1:]) for x in (batch.dense, batch.sparse, batch.label))
    return StepBatch(dense, sparse, label, torch.zeros_like(label), batch.total)


def _chained(model: nn.Module) -> list[str]:
    others, tables = ordered_names(model)
    return others + tables
