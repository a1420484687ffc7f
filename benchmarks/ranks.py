"""Training steps on one process and on two of this machine, and what the two send each other.

A step is forward, backward, exchange and Adagrad of a baseline over 26 tables, of one batch for all processes together.
`dense` gradients cover whole tables; of `touched rows` numbers and gradients travel (`sparse_embeddings`); in `spread`
tables (TorchRec, where it is installed) rows travel both ways and tables stay where they are. The process that is
started makes the second one; one thread each unless --threads says more. Bytes are those that one process hands to the
exchanges of a step.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.common import arguments, report
from benchmarks.embedding import FIELDS, draw_ids
from nasrec.baselines import build
from nasrec.compiler import compile_graph
from nasrec.features import FeatureSpec
from nasrec.train import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext, joined
from nasrec.train.distributed.sharded import ShardedLearner
from nasrec.train.learner import ModelLearner, StepBatch

DENSE = 13
DRAWS = 8
EXCHANGES = (
    "all_reduce", "all_gather", "all_gather_into_tensor", "all_to_all", "all_to_all_single", "broadcast",
    "reduce_scatter", "reduce_scatter_tensor",
)  # fmt: skip

Step = Callable[[], object]


def main() -> None:
    """Command line of the benchmark."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    options = arguments(__doc__ or "", rounds=20, model="deepfm", rows=50_000, batch=(512, 4096), steps=5)
    other = None if "RANK" in os.environ else _start_second()
    lines = []
    with joined() as context:
        for batch in options.batch:
            lines += _measure(options, batch, context)
    if other is not None:
        other.wait()
        notes = {"tables": f"{FIELDS} of {options.rows:,} rows, 16 channels", "model": options.model}
        report("ranks", lines, options.json, notes)


def _start_second() -> subprocess.Popen[bytes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0"}
    command = [sys.executable, "-m", "benchmarks.ranks", *sys.argv[1:]]
    return subprocess.Popen(command, env={**os.environ, "RANK": "1", "LOCAL_RANK": "1"})


def _measure(options: Any, batch: int, context: DistributedContext) -> list[dict[str, Any]]:
    rivals: dict[str, Step] = {}
    with contextlib.ExitStack() as stack:
        if context.is_main:
            rivals["1 process, dense"] = stack.enter_context(_steps(options, batch, SINGLE_PROCESS))
            rivals["1 process, touched rows"] = stack.enter_context(_steps(options, batch, SINGLE_PROCESS, sparse=True))
        else:  # waits
            rivals |= {"1 process, dense": int, "1 process, touched rows": int}
        rivals["2 processes, dense"] = stack.enter_context(_steps(options, batch, context))
        rivals["2 processes, touched rows"] = stack.enter_context(_steps(options, batch, context, sparse=True))
        if importlib.util.find_spec("torchrec"):
            rivals["2 processes, spread"] = stack.enter_context(_steps(options, batch, context, way="table"))
        sent = {name: _bytes_of(run) for name, run in rivals.items()}  # and warm-up
        seconds: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(options.rounds):
            for name, run in rivals.items():
                context.barrier()
                start = time.perf_counter()
                for _ in range(options.steps):
                    run()
                context.barrier()
                seconds[name].append((time.perf_counter() - start) / options.steps)
    alone = statistics.median(seconds["1 process, touched rows"])
    return [
        {
            "batch": batch,
            "what": name,
            "step_ms": 1e3 * statistics.median(times),
            "rows_per_s": round(batch / statistics.median(times)),
            "x_touched_rows_alone": alone / statistics.median(times),
            "sent_MB_per_step": sent[name] / 1e6,
        }
        for name, times in seconds.items()
    ]


@contextlib.contextmanager
def _steps(
    options: Any, batch: int, context: DistributedContext, *, sparse: bool = False, way: str | None = None
) -> Iterator[Step]:
    """One step of a model of its own, on this process's share of the batch."""
    features = FeatureSpec(DENSE, [options.rows] * FIELDS, 16)
    config = TrainConfig(batch_size=batch, clip_norm=None, sparse_embeddings=sparse)
    model = compile_graph(build(options.model, features), seed=0)
    learner = ShardedLearner(model, config, context, way) if way else ModelLearner(model, config, context)
    share = slice(context.rank * batch // context.size, (context.rank + 1) * batch // context.size)
    draws = [_draw(options.rows, batch, seed, share) for seed in range(DRAWS)]
    turn = iter(range(10**9))
    with learner.running():
        yield lambda: learner.step(draws[next(turn) % DRAWS], 0, 1e-3)


def _draw(rows: int, batch: int, seed: int, share: slice) -> StepBatch:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(batch, DENSE, generator=generator)
    label = (torch.rand(batch, generator=generator) < 0.25).float()
    return StepBatch(dense[share], draw_ids(rows, batch, "cpu", seed)[share], label[share], None, float(batch))


def _bytes_of(step: Step) -> int:
    """What this process hands to the exchanges of a step."""
    count = 0

    def counted(exchange: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **options: Any) -> Any:
            nonlocal count
            count += sum(each.numel() * each.element_size() for each in _sent(values, options))
            return exchange(*values, **options)

        return call

    before = {name: getattr(dist, name) for name in EXCHANGES}
    for name, exchange in before.items():
        setattr(dist, name, counted(exchange))
    try:
        step()
    finally:
        for name, exchange in before.items():
            setattr(dist, name, exchange)
    return count


def _sent(values: tuple[Any, ...], options: dict[str, Any]) -> list[Tensor]:
    """Of an exchange's arguments, what goes out: what comes back stands before it, or bears another name."""
    named = [value for name, value in options.items() if name.startswith("input") and "split" not in name]
    found = [value for value in (*values, *named) if _is_tensors(value)]
    return [] if not found else found[-1] if isinstance(found[-1], list) else [found[-1]]


def _is_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, list) and bool(value) and isinstance(value[0], Tensor))


if __name__ == "__main__":
    main()
