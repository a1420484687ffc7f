"""A supernet's training step: ours with both maskings against the release's way of computing, over fixed draws.

A step is everything between a drawn path and the updated store: lowering the path (ours; it is made anew each time, as
paths seldom recur in training), forward, binary cross-entropy, backward, Adagrad, gradients let go. The reference is
the published release's supernet (benchmarks/release): operators at full width, layer norm over the full width, then a
mask; connections that are not selected take part as zeros. Full-width masking computes the same numbers. `sliced`
runs on active slices alone, its layer norm over the active width, which are the numbers of the genotype's own model.
With --dtypes bfloat16 ours also computes paths in bfloat16, over the same float32 store; the reference is float32.

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
from nasrec.lowering.masking import MASKINGS, Masking, written_word
from nasrec.profiling import Peaks, measure_peaks
from nasrec.profiling.batch import Batch
from nasrec.supernet import PathAdagrad

SPACES = {"full": SearchSpace.full, "small": SearchSpace.small}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCES = {"float32": (1e-3, 1e-2), "bfloat16": (5e-2, 0.5)}
"""How far logits may be from the reference's, relative to their spread, and how far a parameter's move, relative to
itself. In bfloat16 gradients are up to a fifth off."""


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
        dtypes={"nargs": "+", "default": tuple(DTYPES), "choices": tuple(DTYPES)},
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
        check_agreement(f"{name}, {masking}", net, reference, paths, batch, options.dtypes)
    updates = {masking: our_adagrad(net) for masking, net in nets.items()}
    theirs = adagrad(reference.parameters(), options.adagrad)

    rows = []
    for index, path in enumerate(paths):
        rivals: dict[str, Callable[[], object]] = {}
        rivals["release"] = reference_step(reference, (batch.dense, batch.sparse, path), batch, theirs)
        for dtype in options.dtypes:
            for masking, net in nets.items():
                rivals[label(masking, dtype)] = fresh_step(net, path, batch, updates[masking], dtype)
        timed = interleaved(rivals, rounds=options.rounds, device=options.device)
        rows.append(row(name, str(index), {key: timing.median_us / 1e3 for key, timing in timed.items()}))
    for summary, middle in (("mean", statistics.fmean), ("median", statistics.median)):
        times = {key: middle([line[f"{key}_ms"] for line in rows[: len(paths)]]) for key in timed}
        rows.append(row(name, summary, times))
    return rows


def label(masking: Masking, dtype: str) -> str:
    """Name of one of ours in results."""
    return written_word(masking) if dtype == "float32" else f"{written_word(masking)}_bf16"


def our_step(
    net: Supernet,
    genotype: Genotype,
    dense: Tensor,
    sparse: Tensor,
    label: Tensor,
    optimizer: PathAdagrad,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Our step along a path. Its gradients are the path's and go with it."""
    path = net.path(genotype, dtype=None if dtype == torch.float32 else dtype)
    binary_cross_entropy_with_logits(path(dense, sparse).float(), label).backward()
    optimizer.step(path)


def our_adagrad(net: Supernet) -> PathAdagrad:
    """Our optimiser, with the reference's settings."""
    return PathAdagrad(net, lr=LEARNING_RATE, eps=ADAGRAD["release"]["eps"])


def fresh_step(net: Supernet, path: Genotype, batch: Batch, optimizer: PathAdagrad, dtype: str) -> Callable[[], object]:
    """Our step along a path that the supernet has not met before."""

    def run() -> None:
        net._paths.clear()
        our_step(net, path, batch.dense, batch.sparse, batch.label, optimizer, DTYPES[dtype])

    return run


def reference_step(
    net: nn.Module, inputs: tuple[Any, ...], batch: Batch, optimizer: torch.optim.Optimizer
) -> Callable[[], object]:
    """The reference's step, of a supernet (inputs end with the path) or of a stand-alone model."""
    return lambda: train_step(lambda: net(*inputs), batch.label, optimizer)


def check_agreement(
    what: str,
    net: Supernet,
    reference: ReleaseSupernet,
    paths: Sequence[Genotype],
    batch: Batch,
    dtypes: Sequence[str] = ("float32",),
) -> None:
    """Ours and what it is held against give the same logits on all paths and move the first one's parameters alike.

    Full-width masking is held against the reference's supernet; sliced masking, which computes something else, against
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
        for dtype in dtypes:
            with torch.no_grad():
                logits = net.path(path, dtype=DTYPES[dtype])(batch.dense, batch.sparse)
                check_logits(f"{what}, {dtype}", logits, rival(*inputs), TOLERANCES[dtype][0])
    for dtype in dtypes:
        copy_weights(rival, links)
        steps = (
            reference_step(rival, inputs, batch, adagrad(rival.parameters())),
            fresh_step(net, path, batch, our_adagrad(net), dtype),
        )
        check_step(f"{what}, {dtype}", rival, links, steps, TOLERANCES[dtype][1])


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
        **{f"x_{key}": times["release"] / value for key, value in times.items() if key != "release"},
    }


if __name__ == "__main__":
    main()
