"""Two processes that train one supernet do what one does with the double batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = """
import sys
import torch
from nasrec import SearchSpace, Supernet
from nasrec.data import synthesize
from nasrec.supernet import train
from nasrec.train import TrainConfig
from nasrec.train.distributed.context import joined

torch.set_num_threads(1)
with joined() as context:
    log = synthesize("criteo", 321, seed=2, max_cardinality=20).log  # one row for the last batch
    space = SearchSpace.full(2, dense_dims=(16, 32), sparse_dims=(16,), max_inputs=1)
    net = Supernet(space, log.features(8), masking="sliced", seed=0)
    config = TrainConfig(lr=0.12, batch_size=64, epochs=2, clip_norm=0.1, log_every=1)
    result = train(net, log, log, config, context=context)
    losses = [point.loss for point in result.history]
    torch.save([net.state_dict(), losses, result.evaluations[-1].metrics.log_loss], f"{sys.argv[1]}/{context.rank}.pt")
"""


def run(folder: Path, size: int) -> list[list[object]]:
    """What each of `size` processes ended with."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * size
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(size)]


@pytest.mark.slow
def test_two_ranks_are_one_with_the_double_batch(tmp_path: Path) -> None:
    (alone,) = run(tmp_path / "one", 1)
    first, second = run(tmp_path / "two", 2)
    for name, value in first[0].items():  # type: ignore[attr-defined]
        assert torch.equal(value, second[0][name]), f"{name}: the ranks' weights differ"  # type: ignore[index]
        torch.testing.assert_close(value, alone[0][name], rtol=1e-3, atol=1e-4, msg=name)  # type: ignore[index]
    assert first[1] == second[1] and first[1] == pytest.approx(alone[1], rel=1e-4)
    assert first[2] == second[2] == pytest.approx(alone[2], rel=1e-3)
