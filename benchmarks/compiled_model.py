"""The published genotypes' models: ours against the release's way of computing, forward pass and training step.

Rivals: `release`, the stand-alone reference in eager PyTorch (see benchmarks/release); `inductor`, torch.compile of
it, for the genotypes that --compile names (about a minute each); `ours`, what `nasrec.compile` gives. All have the
same weights, and agree in their logits and in one step of the optimiser before they are timed. A forward pass is of
an evaluated model without gradients; a step is forward, binary cross-entropy, backward, Adagrad and zero_grad.

The floor is that of the optimised graph: products of its matrices at the measured peak of a large one, then its bytes
(every node's operands, parameters and result once) at the measured rate of a copy through memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import nasrec
from benchmarks.agreement import check_logits, check_step, copy_weights, model_links
from benchmarks.common import Timing, arguments, interleaved, report
from benchmarks.release import ReleaseSubnet
from benchmarks.steps import Batch, adagrad, train_step
from nasrec import presets
from nasrec.profiling import Peaks, measure_peaks
from nasrec_ir import Cost

Call = Callable[[], object]


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        rounds=20,
        genotypes=presets.names(),
        batch=(512, 4096),
        rows=1000,
        compile=("criteo-full",),
        adagrad="release",
        budget=5,
    )
    peaks = measure_peaks(options.device)
    rows = []
    for name in options.genotypes:
        for batch in options.batch:
            rows += measure(name, batch, options, peaks)
    report("compiled_model", rows, options.json, notes(options, peaks))


def notes(options: Any, peaks: Peaks) -> dict[str, Any]:
    """What the figures mean."""
    return {
        "reference": "the published release's way: eager PyTorch, all blocks run, inputs concatenated",
        "layer_norm": "over the genotype's own widths, on both sides",
        "tables": f"{options.rows} rows each",
        "adagrad_of_the_reference": options.adagrad,
        "gemm_gflops": peaks.gemm_gflops,
        "copy_gb_s": peaks.copy_gb_s,
    }


def measure(name: str, batch_size: int, options: Any, peaks: Peaks) -> list[dict[str, Any]]:
    """A row for the forward pass and one for the step of a published genotype."""
    genotype, features = presets.load(name), presets.PRESETS[name].features(options.rows)
    torch.manual_seed(0)
    reference = ReleaseSubnet(genotype, features).to(options.device)
    model = nasrec.compile(genotype, features).to(options.device)
    batch = Batch.random(features, batch_size, options.device)
    links = model_links(model)
    copy_weights(reference, links)

    rivals: dict[str, nn.Module] = {"release": reference, "ours": model}
    if name in options.compile:
        torch.compiler.reset()
        rivals["inductor"] = torch.compile(reference, dynamic=False)  # type: ignore[assignment]
    forwards = {key: forward(rival, batch) for key, rival in rivals.items()}
    logits = {key: run() for key, run in forwards.items()}
    for key in rivals:
        check_logits(f"{name}, {key}", logits[key], logits["release"])
    timed = {"forward": interleaved(forwards, **timing(options))}

    for rival in rivals.values():
        rival.train()
    first = [step(rival, batch, adagrad(rival.parameters())) for rival in (reference, model)]
    check_step(name, reference, links, (first[0], first[1]))
    settings = {key: "release" if key == "ours" else options.adagrad for key in rivals}
    steps = {key: step(rival, batch, adagrad(rival.parameters(), settings[key])) for key, rival in rivals.items()}
    timed["step"] = interleaved(steps, **timing(options))
    floors = {"forward": floor_s(nasrec.cost(genotype, features, optimised=True), batch_size, peaks), "step": None}
    return [row(name, batch_size, kind, timed[kind], floors[kind]) for kind in timed]


def timing(options: Any) -> dict[str, Any]:
    """How long to time."""
    return {"rounds": options.rounds, "device": options.device, "budget_s": options.budget}


def forward(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """One inference call."""
    model.eval()

    def run() -> Tensor:
        with torch.no_grad():
            return model(batch.dense, batch.sparse)  # type: ignore[no-any-return]

    return run


def step(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer) -> Call:
    """One training step."""
    return lambda: train_step(lambda: model(batch.dense, batch.sparse), batch.target, optimizer)


def floor_s(cost: Cost, batch: int, peaks: Peaks) -> float:
    """Least seconds of a forward pass; of the tables only the rows looked up are read."""
    parameters = sum(node.parameter_bytes for node in cost.nodes if node.home != "memory")
    moved = parameters + batch * sum(node.read_bytes + node.written_bytes for node in cost.nodes)
    return peaks.least_seconds(batch * cost.macs, moved)


def row(name: str, batch: int, kind: str, timed: dict[str, Timing], floor: float | None) -> dict[str, Any]:
    """A line of the table, milliseconds."""
    ours = timed["ours"].median_us
    inductor = timed["inductor"].median_us if "inductor" in timed else None
    return {
        "genotype": name,
        "batch": batch,
        "pass": kind,
        "rounds": timed["ours"].rounds,
        "release_ms": timed["release"].median_us / 1e3,
        "inductor_ms": inductor and inductor / 1e3,
        "ours_ms": ours / 1e3,
        "x_release": timed["release"].median_us / ours,
        "x_inductor": inductor and inductor / ours,
        "floor_ms": floor and 1e3 * floor,
        "of_floor": floor and 1e-6 * ours / floor,
    }


if __name__ == "__main__":
    main()
