"""Genotypes an hour that a supernet's shared weights score, with and without fine-tuning of the last linear.

- plain: validation metrics alone.
- tuned: 500 steps of the last linear first, each on rows of its own (section 4.3 of the paper).
- kept: the same number of steps over and over on `--distinct` rows, whose inputs of the last linear are computed once.
- autograd: tuned as an ordinary training loop does it, the extracted model with everything but its last linear frozen.
  Autograd has nothing to do there either, so this says what the frozen part costs, and what `kept` saves.
- release, release tuned: the published release's way (benchmarks/release/score.py), plain and with as many steps.

Weights and rows are random, which costs what trained ones cost. Times are means over the draws of `supernet_step`.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import optim
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.common import arguments, report
from benchmarks.release import score as release
from benchmarks.supernet_step import SPACES, draws
from nasrec import Genotype, Supernet
from nasrec.data import Log, synthesize
from nasrec.lowering.masking import MASKINGS, current_word
from nasrec.supernet import FinetuneConfig, Scorer
from nasrec.train import evaluate

Rival = Callable[[Genotype], object]

RIVALS = ("plain", "tuned", "kept", "autograd", "release", "release tuned")
REFERENCE = {"plain": "release", "tuned": "release tuned", "kept": "release tuned", "autograd": "release tuned"}
"""What the ratio of each is to."""


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        spaces={"nargs": "+", "default": tuple(SPACES), "choices": tuple(SPACES)},
        draws=3,
        seed=0,
        blocks=7,
        steps=500,
        batch=512,
        distinct=32_768,
        valid=20_000,
        rows=300_000,
        gate_inputs=1,
        precision={"choices": ("float32", "bfloat16"), "default": "float32"},
        masking={"type": current_word, "choices": MASKINGS, "default": "full_width"},
        rivals={"nargs": "+", "default": RIVALS, "choices": RIVALS},
    )
    log = synthesize("criteo", options.rows).log
    train, valid = log.take(slice(options.valid, None)), log.take(slice(options.valid))
    rows = []
    for name in options.spaces:
        space = SPACES[name](options.blocks, max_gate_inputs=options.gate_inputs or None)
        net = Supernet(space, log.features(16), masking=options.masking, seed=0).to(options.device)
        paths = draws(space, options.draws, options.seed)
        with tempfile.TemporaryDirectory() as folder:
            given = rivals(net, train, valid, options, Path(folder))
            seconds = timed({rival: given[rival] for rival in options.rivals}, paths)
        rows += [
            {
                "space": name,
                "rival": rival,
                "s_per_genotype": f"{s:.2f}",
                "genotypes_per_hour": round(3600 / s),
                "x_release": seconds[REFERENCE[rival]] / s if REFERENCE.get(rival) in seconds else None,
            }
            for rival, s in seconds.items()
        ]
    notes = {
        "tuning": f"{options.steps} steps of {options.batch} rows; kept: {options.distinct:,} rows",
        "validation": f"{options.valid:,} rows",
        "supernet": f"{options.blocks} blocks, {options.masking}, {options.precision}",
    }
    report("supernet_scoring", rows, options.json, notes)


def rivals(net: Supernet, train: Log, valid: Log, options: Any, folder: Path) -> dict[str, Rival]:
    """Each scores a genotype. The folder is for the release's checkpoint and rows."""
    if any(rival.startswith("release") for rival in options.rivals):
        release.write(folder, net.space, net.features, train, valid)
    tuning = FinetuneConfig(options.steps, options.batch)
    kept = FinetuneConfig(options.steps, options.batch, options.distinct)
    given: dict[str, Any] = {"train_log": train, "precision": options.precision}
    return {
        "plain": Scorer(net, valid, precision=options.precision),
        "tuned": Scorer(net, valid, tuning=tuning, **given),
        "kept": Scorer(net, valid, tuning=kept, **given),
        "autograd": lambda genotype: ordinary(net, genotype, train, valid, tuning),
        "release": lambda genotype: in_a_process(folder, genotype, 0, options.batch),
        "release tuned": lambda genotype: in_a_process(folder, genotype, options.steps, options.batch),
    }


def in_a_process(folder: Path, genotype: Genotype, steps: int, batch: int) -> float:
    """The release's way; the log loss."""
    path = folder / "genotype.json"
    genotype.save(path)
    words = [str(folder), str(path), str(steps), str(batch), str(torch.get_num_threads())]
    program = [sys.executable, "-m", "benchmarks.release.score", *words]
    return float(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


def ordinary(net: Supernet, genotype: Genotype, train: Log, valid: Log, tuning: FinetuneConfig) -> None:
    """Fine-tuning without a path of its own."""
    model = net.extract(genotype).requires_grad_(False)
    head = [model.get_parameter(name).requires_grad_() for name in ("final.weight", "final.bias")]
    optimizer = optim.Adagrad(head, tuning.lr, eps=tuning.eps)
    for dense, sparse, label in itertools.islice(train.reader(tuning.batch_size).epoch(), tuning.steps):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(model(dense, sparse), label).backward()
        optimizer.step()
    evaluate(model, valid)


def timed(rivals: dict[str, Rival], paths: list[Genotype]) -> dict[str, float]:
    """Mean seconds a genotype, the rivals in turns."""
    seconds = dict.fromkeys(rivals, 0.0)
    next(iter(rivals.values()))(paths[0])
    for path, (name, rival) in itertools.product(paths, rivals.items()):
        started = time.perf_counter()
        rival(path)
        seconds[name] += (time.perf_counter() - started) / len(paths)
    return seconds


if __name__ == "__main__":
    main()
