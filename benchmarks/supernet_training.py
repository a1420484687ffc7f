"""Training a supernet in the real loop, against the published release's way, in rows a second.

What is timed is `--steps` steps of whole training on a prepared folder: reading and shuffling rows, drawing paths,
lowering them, forward, backward, clipping, Adagrad, history. Rivals take turns, and each time the same steps: equal
rows in equal order along equal paths.

- sliced, published (and _bf16): ours, `nasrec.train.loop.run` with a `SupernetLearner`, as `nasrec supernet train`.
- sliced_inline: the same without the thread that lowers ahead.
- bare: ours without a loop: one batch that lies ready, paths that are drawn before, no clipping. What the loop adds is
  the difference to `sliced_inline`.
- release: the release's way of computing (benchmarks/release) in a plain loop over the same reader, its optimiser dense
  over the whole store, without clipping.

Paths have one operator a branch, 1 + binomial connections and, as in the release, one input for each side of gating and
sum (--gate-inputs 0: any number). Warm-up is left out; its steps are the full supernet's, for both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

import nasrec.data
from benchmarks.common import arguments, interleaved, report
from benchmarks.release import ReleaseSupernet
from benchmarks.steps import ADAGRAD, LEARNING_RATE, adagrad, train_step
from benchmarks.supernet_step import SPACES, fresh_step, label
from nasrec import SearchSpace, Supernet
from nasrec.data import Log
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.profiling.batch import Batch
from nasrec.supernet import PathAdagrad, PathSampler, PathSampling, SupernetLearner
from nasrec.train import TrainConfig
from nasrec.train.loop import run

Rival = Callable[[], object]


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        rounds=5,
        spaces={"nargs": "+", "default": tuple(SPACES), "choices": tuple(SPACES)},
        steps=20,
        batch=512,
        blocks=7,
        rows=40_000,
        cardinality=1000,
        gate_inputs=1,
        seed=0,
        dtypes={"nargs": "+", "default": ("float32", "bfloat16"), "choices": ("float32", "bfloat16")},
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        prepare_synthetic("criteo", options.rows, Path(folder), max_cardinality=options.cardinality)
        log = nasrec.data.open(folder).train
        for name in options.spaces:
            rows += measure(name, log, options)
    notes = {
        "steps": f"{options.steps} a turn, {options.batch} rows each, of a prepared folder of {options.rows:,} rows",
        "supernet": f"{options.blocks} blocks, 26 fields, 13 dense, embedding 16",
        "tables": f"up to {options.cardinality} rows",
        "paths": f"single-operator, binomial-0.5, {options.gate_inputs or 'any number of'} inputs a gate's side",
        "release": "full-width masked eager PyTorch, unselected inputs as zeros, dense Adagrad over the whole store",
    }
    report("supernet_training", rows, options.json, notes)


def measure(name: str, log: Log, options: Any) -> list[dict[str, Any]]:
    """A row for every rival on one space."""
    space = SPACES[name](options.blocks, max_gate_inputs=options.gate_inputs or None)
    timed = interleaved(rivals(space, log, options), rounds=options.rounds, device=options.device)
    return [
        {
            "space": name,
            "rival": rival,
            "ms_per_step": time.median_us / 1e3 / options.steps,
            "rows_per_s": round(options.steps * options.batch * 1e6 / time.median_us),
            "x_release": timed["release"].median_us / time.median_us,
        }
        for rival, time in timed.items()
    ]


def rivals(space: SearchSpace, log: Log, options: Any) -> Mapping[str, Rival]:
    """Each does all steps of a turn."""
    sampling = PathSampling(warmup_share=0.0)
    features = log.features(16)
    nets = {masking: Supernet(space, features, masking=masking, seed=0) for masking in ("sliced", "full_width")}
    found: dict[str, Rival] = {"release": release_loop(space, log, sampling, options)}
    for dtype in options.dtypes:
        for masking, net in nets.items():
            found[label(masking, dtype)] = our_loop(net.to(options.device), log, sampling, options, dtype)
    found["sliced_inline"] = our_loop(nets["sliced"], log, sampling, options, ahead=False)
    found["bare"] = bare_steps(nets["sliced"], sampling, options)
    return found


def our_loop(
    net: Supernet, log: Log, sampling: PathSampling, options: Any, dtype: str = "float32", *, ahead: bool = True
) -> Rival:
    """Training as the command does it."""
    config = TrainConfig(
        lr=LEARNING_RATE, batch_size=options.batch, max_steps=options.steps, seed=options.seed, precision=dtype
    )
    learner = SupernetLearner(net, config, sampling, options.steps)
    if not ahead:
        learner.running = nullcontext  # type: ignore[method-assign,assignment]
    return lambda: run(learner, log, None, config)


def release_loop(space: SearchSpace, log: Log, sampling: PathSampling, options: Any) -> Rival:
    """The reference in a plain loop, its paths drawn step by step."""
    net = ReleaseSupernet(space, log.features(16)).to(options.device)
    optimizer = adagrad(net.parameters(), "release")
    sampler = PathSampler(space, space.widest(), sampling, options.steps, options.seed)

    def train() -> None:
        batches = log.reader(options.batch, seed=options.seed).epoch()
        for step, columns in zip(range(options.steps), batches, strict=False):
            dense, sparse, clicks = (column.to(options.device) for column in columns)
            path = sampler.path(step)
            train_step(lambda d=dense, s=sparse, p=path: net(d, s, p), clicks, optimizer)

    return train


def bare_steps(net: Supernet, sampling: PathSampling, options: Any) -> Rival:
    """Our steps alone: lowering, forward, backward, Adagrad."""
    batch = Batch.random(net.features, options.batch, device=torch.device(options.device), seed=options.seed)
    sampler = PathSampler(net.space, net.widest, sampling, options.steps, options.seed)
    optimizer = PathAdagrad(net, lr=LEARNING_RATE, eps=ADAGRAD["release"]["eps"])
    steps = [fresh_step(net, sampler.path(step), batch, optimizer, "float32") for step in range(options.steps)]

    def train() -> None:
        for step in steps:
            step()

    return train


if __name__ == "__main__":
    main()
