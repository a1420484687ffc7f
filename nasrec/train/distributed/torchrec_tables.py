"""Embedding tables spread over the ranks by TorchRec: every row lies on one of them, with its sums of Adagrad."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasrec.errors import TrainError
from nasrec.extras import install_command
from nasrec.kernels.reference import wrong_id
from nasrec.layers import Embedding
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import DistributedContext, translate_peer_errors

__all__ = [
    "SHARDINGS",
    "ShardedEmbedding",
    "ShardedTables",
    "can_shard",
    "gradients_are_summed",
    "quiet",
    "require_torchrec",
]

SHARDINGS = ("table", "row")
"""Whole tables on one rank each, the largest first on the emptiest; or the rows of each table in equal parts."""

_WIDTH = 4
"""FBGEMM's kernels want widths that are multiples of it."""


def require_torchrec() -> None:
    """Raises `TrainError`, with what to install, where TorchRec is missing or does not fit the installed torch."""
    if importlib.util.find_spec("torchrec") is None:
        raise TrainError(f"sharded tables need the package torchrec; run: {install_command('torchrec')}")
    try:
        with quiet():
            import torchrec.distributed.model_parallel  # noqa: F401
    except Exception as error:  # whatever its compiled parts make of another torch
        reason = " ".join(str(error).split())[:120]
        raise TrainError(f"torchrec cannot be loaded ({reason}); run: {install_command('torchrec')}") from None


def can_shard(module: nn.Module) -> bool:
    """Is it a lookup whose tables TorchRec takes?"""
    if not isinstance(module, Embedding):
        return False
    table: Tensor = module.tables[0]
    return table.shape[1] % _WIDTH == 0 and table.dtype == torch.float32


class ShardedTables:
    """The tables of some lookups, on all ranks together, trained by an Adagrad that is part of the backward pass.

    Its result is that of `torch.optim.Adagrad` on whole tables, element by element: other rows stay as they are.

    Args:
        lookups: modules that `can_shard` allows, with equal float32 tables on all ranks, which are emptied.
        way: one of `SHARDINGS`.
        config: rates and eps.
        device: where the parts lie.
    """

    def __init__(
        self, lookups: list[Embedding], way: str, config: TrainConfig, context: DistributedContext, device: torch.device
    ) -> None:
        self.context = context
        self.shapes = [[tuple(table.shape) for table in lookup.tables] for lookup in lookups]
        with quiet():
            self._model = _distributed(self.shapes, way, config, context, device)
            self._parts = self._model.state_dict()
        self._optimizer = self._model.fused_optimizer
        self._device = device
        for i, lookup in enumerate(lookups):
            for j, table in enumerate(lookup.tables):
                self.load(i, j, table.detach())
                table.data = table.new_empty(0, table.shape[1])

    def module(self, lookup: int) -> ShardedEmbedding:
        """What takes the place of a lookup in its model."""
        rows = [rows for rows, _ in self.shapes[lookup]]
        return ShardedEmbedding(self._model.module[f"lookup{lookup}"], rows, self.context)

    def set_rate(self, lr: float) -> None:
        """The learning rate of the backward passes that follow."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad()  # hands it to the kernels

    def whole(self, lookup: int, table: int) -> Tensor:
        """A table [rows, e], gathered on all ranks."""
        return self._gathered(self._parts[_name(lookup, table)], self.shapes[lookup][table])

    def whole_sum(self, lookup: int, table: int) -> Tensor:
        """Its sums of squared gradients, likewise."""
        return self._gathered(self._sums().get(_name(lookup, table)), self.shapes[lookup][table])

    def load(self, lookup: int, table: int, values: Tensor) -> None:
        """Copies this rank's part of a whole table in."""
        _copy_part(values, self._parts[_name(lookup, table)])

    def load_sum(self, lookup: int, table: int, values: Tensor) -> None:
        """Likewise of its sums of squared gradients."""
        if (part := self._sums().get(_name(lookup, table))) is not None:
            _copy_part(values, part)

    def _sums(self) -> dict[str, Any]:
        """This rank's parts of the state, by the names of tables."""
        with quiet():
            state = self._optimizer.state_dict()["state"]
        return {name: value for name, entry in state.items() for key, value in entry.items() if "momentum" in key}

    def _gathered(self, part: Any, shape: tuple[int, ...]) -> Tensor:
        full = torch.zeros(shape, device=self._device)
        for shard in _shards(part):
            _place(full, shard).copy_(shard.tensor.view(shard.metadata.shard_sizes))
        self.context.all_reduce_([full])  # of each row, all ranks but one have zeros
        return full


class ShardedEmbedding(Embedding):
    """The lookup [B, n] -> [B, n, e] in tables that lie on all ranks, which must call it together."""

    def __init__(self, tables: nn.Module, rows: list[int], context: DistributedContext) -> None:
        nn.Module.__init__(self)
        self.sparse = False
        self.tables = nn.ParameterList()
        # Not as a submodule: neither optimiser nor state dict of the model are to meet parts of tables.
        self._spread = [tables]
        self._rows, self._context = rows, context

    def forward(self, ids: Tensor) -> Tensor:
        """Looks the rows up; an id outside its table raises `FeatureError`, on a GPU where this costs no wait."""
        from torchrec import KeyedJaggedTensor  # type: ignore[import-not-found,unused-ignore]

        if ids.device.type == "cpu":
            self._require_ids(ids)
        own, fields = ids.shape
        # TorchRec wants equal batches. Row 0 of each table fills up: what it gives is dropped, and its gradient is 0.
        batch = max(each for (each,) in self._context.all_gather([own]))
        ids = functional.pad(ids, (0, 0, 0, batch - own))
        keys = [f"field{j}" for j in range(fields)]
        lengths = torch.ones(fields * batch, dtype=torch.int32, device=ids.device)
        values = ids.t().reshape(-1)
        with translate_peer_errors():
            found = self._spread[0](KeyedJaggedTensor(keys=keys, values=values, lengths=lengths))
            by_field = (found.wait() if hasattr(found, "wait") else found).to_dict()
        return torch.stack([by_field[key][:own] for key in keys], dim=1)  # they come in the order of the ranks

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{len(self._rows)} tables, {sum(self._rows)} rows on all ranks"

    def _require_ids(self, ids: Tensor) -> None:
        wrong = (ids < 0) | (ids >= torch.tensor(self._rows))
        if bool(wrong.any()):
            sample, field = wrong.nonzero()[0].tolist()
            raise wrong_id(field, int(ids[sample, field]), sample, self._rows[field])


def _distributed(
    shapes: list[list[tuple[int, ...]]],
    way: str,
    config: TrainConfig,
    context: DistributedContext,
    device: torch.device,
) -> Any:
    """TorchRec's model of the tables: each lookup one collection, each column one feature."""
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, PoolingType
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.distributed.model_parallel import DistributedModelParallel
    from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise, table_wise
    from torchrec.distributed.types import ShardingPlan
    from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

    owners = _owners(shapes, context.size)
    # A sum over the one row of a bag is the row.
    collections = {
        f"lookup{i}": EmbeddingBagCollection(
            tables=[
                EmbeddingBagConfig(
                    name=f"table{j}",
                    num_embeddings=rows,
                    embedding_dim=width,
                    feature_names=[f"field{j}"],
                    pooling=PoolingType.SUM,
                )
                for j, (rows, width) in enumerate(tables)
            ],
            device=torch.device("meta"),
        )
        for i, tables in enumerate(shapes)
    }
    model = nn.ModuleDict(collections)
    options = {"lr": config.peak_lr, "eps": config.denominator_eps}
    apply_optimizer_in_backward(torch.optim.Adagrad, model.parameters(), options)
    sharder: Any = EmbeddingBagCollectionSharder()
    plan = {
        name: construct_module_sharding_plan(
            collection,
            {
                f"table{j}": table_wise(rank=owners[i][j], compute_kernel="fused")
                if way == "table"
                else row_wise(compute_kernel="fused")
                for j in range(len(shapes[i]))
            },
            sharder,
            local_size=int(os.environ.get("LOCAL_WORLD_SIZE", context.size)),
            world_size=context.size,
            device_type=device.type,
        )
        for i, (name, collection) in enumerate(collections.items())
    }
    return DistributedModelParallel(
        model, plan=ShardingPlan(plan), sharders=[sharder], device=device, init_data_parallel=False
    )


def _owners(shapes: list[list[tuple[int, ...]]], size: int) -> list[list[int]]:
    """For each lookup the rank of each of its tables."""
    owners = [[0] * len(tables) for tables in shapes]
    held = [0] * size
    places = [(i, j) for i, tables in enumerate(shapes) for j in range(len(tables))]
    for i, j in sorted(places, key=lambda place: -shapes[place[0]][place[1]][0] * shapes[place[0]][place[1]][1]):
        owners[i][j] = held.index(min(held))
        held[owners[i][j]] += shapes[i][j][0] * shapes[i][j][1]
    return owners


def _name(lookup: int, table: int) -> str:
    return f"lookup{lookup}.embedding_bags.table{table}.weight"


def _shards(part: Any) -> list[Any]:
    """This rank's pieces of a tensor, those of no rows left out."""
    return [shard for shard in part.local_shards() if shard.tensor.numel()] if part is not None else []


def _place(full: Tensor, shard: Any) -> Tensor:
    (row, column), (rows, columns) = shard.metadata.shard_offsets, shard.metadata.shard_sizes
    return full[row : row + rows, column : column + columns]


@torch.no_grad()
def _copy_part(values: Tensor, part: Any) -> None:
    for shard in _shards(part):
        shard.tensor.view(shard.metadata.shard_sizes).copy_(_place(values, shard))


@contextmanager
def gradients_are_summed() -> Iterator[None]:
    """TorchRec divides gradients of tables by the number of ranks unless told not to; ours are shares of one mean."""
    from torchrec.distributed import comm_ops

    before = comm_ops.get_gradient_division()
    comm_ops.set_gradient_division(False)
    try:
        yield
    finally:
        comm_ops.set_gradient_division(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Remarks of TorchRec and torch on each other's interfaces are not for those who train."""
    logger = logging.getLogger("torch.fx._symbolic_trace")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
