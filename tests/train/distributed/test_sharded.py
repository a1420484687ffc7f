"""Tables on two ranks train as they do on one."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrec.errors import TrainError
from nasrec.extras import install_command
from nasrec.train import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS
from nasrec.train.distributed.sharded import require_shardable
from tests.train.distributed import rank_processes, ranks_sharded
from tests.train.distributed.test_ranks import require_close

HAS_TORCHREC = importlib.util.find_spec("torchrec") is not None
needs_torchrec = pytest.mark.skipif(not HAS_TORCHREC, reason="torchrec is not installed: make torchrec")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two processes that have made all cases; `unsharded` began with a checkpoint of this process."""
    path = tmp_path_factory.mktemp("sharded")
    ranks_sharded.trained(SINGLE_PROCESS, None, path / "unsharded", 11)
    shutil.copytree(path / "unsharded", path / "copy")
    for rank, end in enumerate(
        rank_processes.ended(rank_processes.start(["-m", "tests.train.distributed.ranks_sharded", path]))
    ):
        assert end == (0, "", ""), f"rank {rank}: {end.err}"
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """One process, whole tables, no break."""
    return ranks_sharded.trained(SINGLE_PROCESS, None)


@pytest.mark.slow
@needs_torchrec
@pytest.mark.parametrize("case", ["table", "row", "to other shards", "to shards"])
def test_same_results_as_whole_tables(found: list[dict[str, Any]], alone: dict[str, Any], case: str) -> None:
    """By tables or by rows, in one go or after a break in another layout; all ranks end with the whole model."""
    for each in found:
        require_close(each[case], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@needs_torchrec
def test_checkpoints_hold_whole_tables(found: list[dict[str, Any]], alone: dict[str, Any], folder: Path) -> None:
    """One that two ranks with sharded tables have left goes on in one process, and is like one of that process."""
    assert found[0]["stopped"]["counts"] == [11, 11 * 64, False, True]
    sharded, whole = (torch.load(folder / name / "last.pt", weights_only=True) for name in ("kept", "copy"))
    for part in ("weights", "optimizer"):
        require_close(sharded[part], whole[part], rtol=1e-5, atol=1e-6)
    require_close(ranks_sharded.trained(SINGLE_PROCESS, None, folder / "kept"), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@needs_torchrec
@pytest.mark.parametrize(("case", "precision", "rtol"), [("compiled", "float32", 1e-4), ("bfloat16", "bfloat16", 1e-2)])
def test_generated_models(found: list[dict[str, Any]], case: str, precision: str, rtol: float) -> None:
    whole = ranks_sharded.compiled(SINGLE_PROCESS, None, precision)
    for each in found:
        require_close(each[case]["losses"], whole["losses"], rtol=rtol)


@pytest.mark.slow
@needs_torchrec
def test_ids_outside_their_tables(found: list[dict[str, Any]]) -> None:
    assert found[0]["wrong id"].startswith("sparse field 0 holds id 40 in row 0 of the batch, but its table has")


@pytest.mark.parametrize(
    ("changes", "way", "message"),
    [
        ({}, "column", "sharded by table or row, not 'column'"),
        ({"optimizer": "adam"}, "table", "need optimizer 'adagrad' and no decay"),
        ({"embedding_decay": 0.1}, "table", "need optimizer 'adagrad' and no decay"),
        ({"clip_norm": 1.0}, "row", "need clip_norm none"),
    ],
)
def test_what_sharded_tables_cannot_do(changes: dict[str, Any], way: str, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        require_shardable(TrainConfig(**{"clip_norm": None, **changes}), way)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainError, match=re.escape(f"package torchrec; run: {install_command('torchrec')}")):
        require_shardable(TrainConfig(clip_norm=None), "table")
