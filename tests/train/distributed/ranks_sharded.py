"""Runs with tables on two ranks; `python -m tests.train.distributed.ranks_sharded FOLDER` is one of them.

What each case gives stands in FOLDER/RANK.pt.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec.baselines import build
from nasrec.data import ClickLog, Splits, synthesize
from nasrec.errors import FeatureError
from nasrec.layers import Embedding
from nasrec.train import TrainConfig
from nasrec.train.distributed.context import DistributedContext, joined
from nasrec.train.distributed.sharded import ShardedLearner
from nasrec.train.learner import ModelLearner
from nasrec.train.loop import run
from nasrec.train.store import FolderStore
from tests.train.distributed.ranks_cases import StopAfter, outcome

CONFIG = TrainConfig(epochs=2, batch_size=64, lr=0.1, clip_norm=None, eval_every=6, log_every=4)


def rows() -> Splits[ClickLog]:
    """Columns of a few ids and of many; the last batch of an epoch is a single row, and so is a look's."""
    log = synthesize("criteo", 1160, seed=2, max_cardinality=40).log
    return Splits(log.take(slice(0, 961)), log.take(slice(961, 1090)), log.take(slice(1090, 1160)))


class Smooth(nn.Module):
    """A factorisation machine in double precision over tables in float32, so that little grows but what is wrong."""

    def __init__(self, log: ClickLog) -> None:
        super().__init__()
        schema = log.schema
        self.first = Embedding(schema.cardinalities, 1)  # of no width that can be sharded
        self.fields = Embedding(schema.cardinalities, 4)
        self.wide = Embedding(schema.cardinalities[:3], 8)
        self.dense = nn.Linear(schema.num_dense + 8, 1, dtype=torch.float64)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        fields = self.fields(sparse).double()
        wide = self.wide(sparse[:, :3]).double().sum(1)
        pairs = fields.sum(1).square() - fields.square().sum(1)
        linear = self.dense(torch.cat([dense.double(), wide], 1))[:, 0]
        return linear + self.first(sparse).double().sum((1, 2)) + 0.5 * pairs.sum(1)


def model_for(log: ClickLog, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Smooth(log)


def trained(
    context: DistributedContext, way: str | None, folder: Path | None = None, stop_after: int = -1
) -> dict[str, Any]:
    """With tables sharded that way, or not; in the folder of the first rank, if there is one."""
    splits = rows()
    inner = model_for(splits.train, seed=context.rank)
    model = StopAfter(inner, stop_after)
    learner = ShardedLearner(model, CONFIG, context, way) if way else ModelLearner(model, CONFIG, context)
    store = FolderStore(folder) if folder and context.is_main else None
    return outcome(inner, run(learner, splits.train, splits.valid, CONFIG, store=store))


def stopped(context: DistributedContext, folder: Path) -> dict[str, Any]:
    """Leaves its checkpoint in `sharded`, and a copy in `kept`."""
    found = trained(context, "table", folder / "sharded", 11)
    if context.is_main:
        shutil.copytree(folder / "sharded", folder / "kept")
    return found


def wrong_id(context: DistributedContext) -> str:
    """What is said of an id outside its table, and where the model is left."""
    splits = rows()
    learner = ShardedLearner(model_for(splits.train, 0), CONFIG, context)
    with learner.running(), pytest.raises(FeatureError) as caught:
        learner.model(torch.zeros(2, 13), torch.full((2, 26), 40))
    return str(caught.value)


def compiled(context: DistributedContext, way: str | None, precision: str = "float32") -> dict[str, Any]:
    """A few steps of a generated model, the third and the last of them uneven; ReLUs make more of every rounding."""
    splits = rows()
    config = replace(CONFIG, lr=0.01, batch_size=330, log_every=1, precision=precision)
    model = nasrec.compile_graph(build("dlrm", splits.train.features(4)), seed=context.rank)
    learner = ShardedLearner(model, config, context, way) if way else ModelLearner(model, config, context)
    return outcome(model, run(learner, splits.train, None, config))


def main(folder: Path) -> None:
    with joined() as context:
        results = {
            "table": trained(context, "table"),
            "row": trained(context, "row"),
            "stopped": stopped(context, folder),
            "to other shards": trained(context, "row", folder / "sharded"),
            "to shards": trained(context, "table", folder / "unsharded"),
            "compiled": compiled(context, "row"),
            "bfloat16": compiled(context, "table", "bfloat16"),
            "wrong id": wrong_id(context),
        }
    torch.save(results, folder / f"{context.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
