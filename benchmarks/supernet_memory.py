"""What training a full-size supernet takes: peak memory of real processes, optimiser and checkpoints included.

By default 26 tables of half a million rows with 16 channels, NASRec-Full with 7 blocks, batches of 512, in the loop
that `nasrec supernet train` runs. Each part is a process of its own, whose peak is the largest resident set that the
system noted for it:

- train: from nothing, with checkpoints on the way, and supernet.pt at the end. With the default warm-up of the first
  fifth, the first steps take the full supernet, all operators and connections at the largest widths: the most that any
  path needs.
- resume: a fresh process that reads the checkpoint and goes on with it.

Rows are random: they cost the loop what real ones cost. `limit` is what the parts are held against.

    python -m benchmarks.supernet_memory [--space small] [--batch 512] [--precision bfloat16] [--unbalanced 1]
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import arguments, report
from nasrec import FeatureSpec, SearchSpace, Supernet
from nasrec.data import ClickLog, Schema
from nasrec.lowering.masking import MASKINGS, current_word
from nasrec.supernet import save, train
from nasrec.train import TrainConfig
from nasrec.train.progress import Silent
from nasrec.train.store import FolderStore

GIB = 2**30


@dataclass(frozen=True)
class Job:
    """What a part trains."""

    space: str
    blocks: int
    fields: int
    dense: int
    rows: int
    channels: int
    batch: int
    steps: int
    precision: str
    masking: str
    balanced: bool
    threads: int
    folder: str

    def net(self) -> Supernet:
        """The supernet, with initial values."""
        make = {"full": SearchSpace.full, "small": SearchSpace.small}[self.space]
        space = make(self.blocks, balanced_dot=self.balanced)
        features = FeatureSpec(self.dense, [self.rows] * self.fields, self.channels)
        return Supernet(space, features, masking=self.masking, seed=0)  # type: ignore[arg-type]

    def log(self) -> ClickLog:
        """Random rows, as many as the steps need."""
        random, count = np.random.default_rng(0), self.steps * self.batch
        schema = Schema(
            tuple(f"I{i}" for i in range(self.dense)),
            tuple(f"C{i}" for i in range(self.fields)),
            (self.rows,) * self.fields,
        )
        dense = random.standard_normal((count, self.dense), dtype=np.float32)
        ids = random.integers(0, self.rows, (count, self.fields), dtype=np.int32)
        return ClickLog(schema, dense, ids, random.integers(0, 2, count).astype(np.float32), "random rows")


class StopAfter(Silent):
    """Leaves the rest of the steps to the process that resumes."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def main() -> None:
    """Runs the parts one after the other."""
    options = arguments(
        __doc__ or "",
        space={"choices": ("full", "small"), "default": "full"},
        blocks=7,
        fields=26,
        dense=13,
        rows=500_000,
        channels=16,
        batch=512,
        steps=20,
        precision={"choices": ("float32", "bfloat16"), "default": "float32"},
        masking={"type": current_word, "choices": MASKINGS, "default": "sliced"},
        unbalanced=0,
        limit_gib=8.0,
    )
    named = ("space", "blocks", "fields", "dense", "rows", "channels", "batch", "steps", "precision", "masking")
    with tempfile.TemporaryDirectory() as folder:
        given = {name: getattr(options, name) for name in named}
        job = Job(**given, balanced=not options.unbalanced, threads=options.threads, folder=folder)
        parts = {name: in_a_process(part, job) for name, part in (("train", begin), ("resume", go_on))}
    weights = parts["train"]["weights_bytes"]
    worst = max(part["peak_bytes"] for part in parts.values()) / GIB
    notes = {
        "supernet": f"NASRec-{options.space.capitalize()}, {options.blocks} blocks, {options.masking}, "
        f"{'un' if options.unbalanced else ''}balanced dot-product",
        "tables": f"{options.fields} of {options.rows:,} rows, {options.channels} channels",
        "batch": f"{options.batch} rows, {options.precision}",
        "weights": f"{weights / GIB:.2f} GiB, {parts['train']['table_bytes'] / GIB:.2f} GiB of it tables",
        "optimiser": f"{weights / GIB:.2f} GiB, a sum of squares for each weight",
        "checkpoint": f"{parts['train']['checkpoint_bytes'] / GIB:.2f} GiB on disk",
        "verdict": f"at most {worst:.2f} GiB, {'within' if worst <= options.limit_gib else 'OVER'} "
        f"{options.limit_gib:g} GiB",
    }
    rows = [
        {"part": name, "peak_gib": f"{part['peak_bytes'] / GIB:.2f}", "steps": part["steps"], "wall_s": part["wall_s"]}
        for name, part in parts.items()
    ]
    report("supernet_memory", rows, options.json, notes)
    sys.exit(0 if worst <= options.limit_gib else 1)


def in_a_process(part: Any, job: Job) -> dict[str, Any]:
    """What a part says of itself, from a process that did nothing else."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(part, job, theirs))
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        sys.exit(f"{part.__name__} ended with status {process.exitcode}")
    process.join()
    return found


def begin(job: Job) -> dict[str, Any]:
    """From nothing to the middle, with a checkpoint every few steps, then supernet.pt."""
    net = job.net()
    steps = _train(net, job, StopAfter(job.steps // 2))
    save(net, Path(job.folder) / "supernet.pt")
    sizes = {name: parameter.nbytes for name, parameter in net.named_parameters()}
    return {
        "steps": steps,
        "weights_bytes": sum(sizes.values()),
        "table_bytes": sum(size for name, size in sizes.items() if name.startswith("_embedding.")),
        "checkpoint_bytes": (Path(job.folder) / "last.pt").stat().st_size,
    }


def go_on(job: Job) -> dict[str, Any]:
    """From the checkpoint to the end."""
    return {"steps": _train(job.net(), job, Silent()) - job.steps // 2}


def _train(net: Supernet, job: Job, progress: Silent) -> int:
    config = TrainConfig(lr=0.12, batch_size=job.batch, precision=job.precision, max_steps=job.steps)
    store = FolderStore(job.folder, every=max(1, job.steps // 4))
    return train(net, job.log(), None, config, progress=progress, store=store).steps


def _child(part: Any, job: Job, answer: Connection) -> None:
    import time

    import torch

    torch.set_num_threads(job.threads)
    started = time.perf_counter()
    found = part(job)
    found["wall_s"] = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    answer.send(found)
    os._exit(0)  # freeing the store takes as long as a step, and proves nothing


if __name__ == "__main__":
    main()
