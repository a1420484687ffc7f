"""A supernet's training step: ours with both maskings against the release's way of computing, over fixed draws.

A step is everything between a drawn path and the updated store: lowering the path (ours; it is made anew each time, as
paths seldom recur in training), forward, binary cross-entropy, backward, Adagrad, gradients let go. The reference is
the published release's supernet (benchmarks/release): operators at full width, layer norm over the full width, then a
mask; connections that are not selected take part as zeros. `published` masking computes the same numbers. `sliced`
runs on active slices alone, its layer norm over the active width, which are the numbers of the genotype's own model.

Paths have one operator a branch, any number of connections (1 + binomial with 1/2), and, as in the release, one input
for each side of gating and sum (--gate-inputs 0: any number there too). Draw i of a space is
`space.sample(numpy.random.default_rng([seed, i]), operators="single", counts="binomial")`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.agreement import check_logits, check_step, copy_weights, path_links
from benchmarks.common import arguments, interleaved, report
from benchmarks.release import ReleaseSubnet, ReleaseSupernet
from benchmarks.steps import ADAGRAD, LEARNING_RATE, adagrad, train_step
from nasrec import FeatureSpec, Genotype, SearchSpace, Supernet
from nasrec.lowering.layout import Masking
from nasrec.profiling import Peaks, measure_peaks
from nasrec.profiling.subject import Batch
from nasrec.supernet import PathAdagrad

SPACES = {"full": SearchSpace.full, "small": SearchSpace.small}
MASKINGS: tuple[Masking, ...] = ("published", "sliced")


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        rounds=5,
        spaces={"nargs": "+", "default": tuple(SPACES), "choices": tuple(SPACES)},
        draws=10,
        seed=0,
        batch=512,
        blocks=7,
        rows=1000,
        gate_inputs=1,
        adagrad={"default": "release", "choices": list(ADAGRAD)},
    )
    features = FeatureSpec(num_dense=13, cardinalities=[options.rows] * 26, embedding_dim=16)
    rows, paths = [], {}
    for name in options.spaces:
        space = SPACES[name](options.blocks, max_gate_inputs=options.gate_inputs or None)
        paths[name] = draws(space, options.draws, options.seed)
        rows += measure(name, space, features, paths[name], options)
    report("supernet_step", rows, options.json, notes(options, paths, measure_peaks(options.device)))


def draws(space: SearchSpace, count: int, seed: int) -> list[Genotype]:
    """The fixed list of paths."""
    rngs = (np.random.default_rng([seed, index]) for index in range(count))
    return [space.sample(rng, operators="single", counts="binomial") for rng in rngs]


def measure(
    name: str, space: SearchSpace, features: FeatureSpec, paths: list[Genotype], options: Any
) -> list[dict[str, Any]]:
    """A row for every draw, then their mean and median."""
    torch.manual_seed(options.seed)
    batch = Batch.random(features, options.batch, device=torch.device(options.device), seed=options.seed)
    reference = ReleaseSupernet(space, features).to(options.device)
    nets = {masking: Supernet(space, features, masking=masking).to(options.device) for masking in MASKINGS}
    for masking, net in nets.items():
        check_agreement(f"{name}, {masking}", net, reference, paths, batch)
    updates = {masking: our_adagrad(net) for masking, net in nets.items()}
    theirs = adagrad(reference.parameters(), options.adagrad)

    rows = []
    for index, path in enumerate(paths):
        rivals: dict[str, Callable[[], object]] = {"release": release_step(reference, path, batch, theirs)}
        for masking, net in nets.items():
            rivals[masking] = fresh_step(net, path, batch, updates[masking])
        timed = interleaved(rivals, rounds=options.rounds, device=options.device)
        rows.append(row(name, str(index), {key: timing.median_us / 1e3 for key, timing in timed.items()}))
    for label, middle in (("mean", statistics.fmean), ("median", statistics.median)):
        times = {key: middle([line[f"{key}_ms"] for line in rows[: len(paths)]]) for key in ("release", *MASKINGS)}
        rows.append(row(name, label, times))
    return rows


def our_step(
    net: Supernet, genotype: Genotype, dense: Tensor, sparse: Tensor, label: Tensor, optimizer: PathAdagrad
) -> None:
    """Our step along a path. Its gradients are the path's and go with it."""
    path = net.path(genotype)
    binary_cross_entropy_with_logits(path(dense, sparse), label).backward()
    optimizer.step(path)


def our_adagrad(net: Supernet) -> PathAdagrad:
    """Our optimiser, with the reference's settings."""
    return PathAdagrad(net, lr=LEARNING_RATE, eps=ADAGRAD["release"]["eps"])


def fresh_step(net: Supernet, path: Genotype, batch: Batch, optimizer: PathAdagrad) -> Callable[[], object]:
    """Our step along a path that the supernet has not met before."""

    def run() -> None:
        net._paths.clear()
        our_step(net, path, batch.dense, batch.sparse, batch.label, optimizer)

    return run


def release_step(
    net: ReleaseSupernet, path: Genotype, batch: Batch, optimizer: torch.optim.Optimizer
) -> Callable[[], object]:
    """The reference's step along a path."""
    return lambda: train_step(lambda: net(batch.dense, batch.sparse, path), batch.label, optimizer)


def check_agreement(
    what: str, net: Supernet, reference: ReleaseSupernet, paths: Sequence[Genotype], batch: Batch
) -> None:
    """Ours and what it is held against give the same logits on all paths and move the first one's parameters alike.

    Published masking is held against the reference's supernet; sliced masking, which computes something else, against
    the reference's stand-alone model of the path.
    """
    for path in reversed(paths):
        if net.masking == "sliced":
            rival: nn.Module = ReleaseSubnet(path, net.features).to(batch.dense.device)
            inputs: tuple[Any, ...] = (batch.dense, batch.sparse)
        else:
            rival, inputs = reference, (batch.dense, batch.sparse, path)
        links = path_links(net, path)
        copy_weights(rival, links)
        with torch.no_grad():
            check_logits(what, net(batch.dense, batch.sparse, path), rival(*inputs))
    theirs = adagrad(rival.parameters())
    steps = (
        lambda: train_step(lambda: rival(*inputs), batch.label, theirs),
        fresh_step(net, path, batch, our_adagrad(net)),
    )
    check_step(what, rival, links, steps)


def notes(options: Any, paths: dict[str, list[Genotype]], peaks: Peaks) -> dict[str, Any]:
    """What the figures mean."""
    gates = options.gate_inputs or "any number of"
    return {
        "reference": "the published release's way: full-width masked eager PyTorch, unselected inputs as zeros",
        "layer_norm": "release and published: over the full width; sliced: over the active width",
        "step": "lowering of a fresh path, forward, loss, backward, Adagrad",
        "batch": options.batch,
        "supernet": f"{options.blocks} blocks, 26 fields, 13 dense, embedding 16, tables of {options.rows} rows",
        "draws": f"{options.draws} of seed {options.seed}, single-operator, binomial-0.5 inputs, {gates} a gate's side",
        "adagrad_of_the_reference": options.adagrad,
        "torch_mm": f"{peaks.mm_gflops:.0f} GFLOP/s: what the reference's products reach at most",
        "peaks": asdict(peaks),
        "paths": {name: [path.to_dict() for path in drawn] for name, drawn in paths.items()},
    }


def row(space: str, draw: str, times: dict[str, float]) -> dict[str, Any]:
    """A line of the table, milliseconds."""
    return {
        "space": space,
        "draw": draw,
        **{f"{key}_ms": value for key, value in times.items()},
        **{f"x_{masking}": times["release"] / times[masking] for masking in MASKINGS},
    }


if __name__ == "__main__":
    main()
