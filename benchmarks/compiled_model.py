"""The published genotypes' models: ours against the release's way of computing, forward pass and training step.

Rivals: `release`, the stand-alone reference in eager PyTorch (see benchmarks/release); `inductor`, torch.compile of
it, for the genotypes that --compile names (a minute and more each); `ours`, what `nasrec.compile` gives. All have the
same weights, and agree in their logits and in one step of the optimiser before they are timed. A forward pass is of
an evaluated model without gradients; a step is forward, binary cross-entropy, backward, Adagrad and zero_grad.

The floor is that of the optimised graph: its matrix products at the measured peak of a large one, then its bytes (see
`nasrec.profiling.work`; a step's also those of the optimiser) at the measured rate of a copy through memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import nasrec
from benchmarks.agreement import check_logits, check_step, copy_weights, model_links
from benchmarks.common import Timing, arguments, interleaved, report
from benchmarks.release import ReleaseSubnet
from benchmarks.steps import ADAGRAD, adagrad, our_adagrad, train_step
from nasrec import presets
from nasrec.compiler import CompiledModel
from nasrec.profiling import Peaks, measure_peaks
from nasrec.profiling.batch import Batch
from nasrec.profiling.node_timing import still
from nasrec.profiling.work import NO_WORK, Work, node_work
from nasrec.profiling.workload import compiled_model

NAMES = presets.names()


@dataclass(frozen=True)
class Measured:
    """One pass of one genotype at one batch size: the rivals' times, and the work of ours."""

    genotype: str
    batch: int
    kind: str
    timed: dict[str, Timing]
    work: Work


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        rounds=30,
        genotypes={"nargs": "*", "default": NAMES, "choices": NAMES, "metavar": "NAME"},
        batch=(512, 4096),
        rows=1000,
        compile={"nargs": "*", "default": ("criteo-full",), "choices": NAMES, "metavar": "NAME"},
        adagrad={"default": "release", "choices": list(ADAGRAD)},
        budget=5,
    )
    measure_peaks(options.device)
    found = [line for name in options.genotypes for batch in options.batch for line in measure(name, batch, options)]
    peaks = measure_peaks(options.device, again=True)  # a busy moment at the start would lower the roof
    report("compiled_model", [row(line, peaks) for line in found], options.json, notes(options, peaks))


def notes(options: Any, peaks: Peaks) -> dict[str, Any]:
    """What the figures mean."""
    return {
        "reference": "the published release's way: eager PyTorch, all blocks run, inputs concatenated",
        "layer_norm": "over the genotype's own widths, on both sides",
        "tables": f"{options.rows} rows each",
        "adagrad_of_the_reference": options.adagrad,
        "floor": f"{peaks.gemm_gflops:.0f} GFLOP/s by {peaks.gemm_by}, {peaks.copy_gb_s:.1f} GB/s",
        "torch_mm": f"{peaks.mm_gflops:.0f} GFLOP/s: what the reference's products reach at most",
        "peaks": asdict(peaks),
    }


def measure(name: str, rows: int, options: Any) -> list[Measured]:
    """The forward pass and the step of a published genotype."""
    genotype, features = presets.load(name), presets.PRESETS[name].features(options.rows)
    torch.manual_seed(0)
    reference = ReleaseSubnet(genotype, features).to(options.device)
    model = nasrec.compile(genotype, features).to(options.device)
    batch = Batch.random(features, rows, device=torch.device(options.device))
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
    length = {"rounds": options.rounds, "device": options.device, "budget_s": options.budget}
    timed = {"forward": interleaved(forwards, **length)}

    for rival in rivals.values():
        rival.train()
    first = (
        step(reference, batch, adagrad(reference.parameters())),
        step(model, batch, our_adagrad(model.parameters())),
    )
    check_step(name, reference, links, first)
    steps = {
        key: step(rival, batch, our_adagrad(rival.parameters()) if key == "ours" else theirs(rival, options))
        for key, rival in rivals.items()
    }
    timed["step"] = interleaved(steps, **length)
    work = least_work(model, batch)
    return [Measured(name, rows, kind, timed[kind], work[kind]) for kind in timed]


def theirs(rival: nn.Module, options: Any) -> torch.optim.Optimizer:
    """The optimiser of the reference, eager or compiled."""
    return adagrad(rival.parameters(), options.adagrad)


def forward(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """One inference call."""
    model.eval()

    def run() -> Tensor:
        with torch.no_grad():
            return model(batch.dense, batch.sparse)  # type: ignore[no-any-return]

    return run


def step(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """One training step."""
    return lambda: train_step(lambda: model(batch.dense, batch.sparse), batch.label, optimizer)


def least_work(model: CompiledModel, batch: Batch) -> dict[str, Work]:
    """Products and bytes that a forward pass and a step cannot do without.

    The optimiser reads gradient, weight and sum of squares and writes the latter two, of tables for the rows that the
    batch looks up.
    """
    workload = compiled_model(model, batch, trained=True)
    nodes = node_work(model.graph, len(batch), still(workload, workload.ours.training)).values()
    forwards = sum((node.forward for node in nodes), NO_WORK)
    backwards = sum((node.backward for node in nodes), NO_WORK)
    updated = 0
    for node in model.graph:
        for _, ref in node.params:
            rows = min(len(batch), ref.shape[0]) if node.op == "embedding" else ref.shape[0]
            updated += ref.elements * rows // ref.shape[0]
    return {"forward": forwards, "step": forwards + backwards + Work(0, 5 * 4 * updated)}


def row(line: Measured, peaks: Peaks) -> dict[str, Any]:
    """A line of the table, milliseconds."""
    ms = {key: timing.median_us / 1e3 for key, timing in line.timed.items()}
    inductor, floor = ms.get("inductor"), 1e3 * peaks.least_seconds(line.work.macs, line.work.moved_bytes)
    return {
        "genotype": line.genotype,
        "batch": line.batch,
        "pass": line.kind,
        "rounds": line.timed["ours"].rounds,
        "release_ms": ms["release"],
        "inductor_ms": inductor,
        "ours_ms": ms["ours"],
        "x_release": ms["release"] / ms["ours"],
        "x_inductor": inductor and inductor / ms["ours"],
        "floor_ms": floor,
        "of_floor": ms["ours"] / floor,
    }


if __name__ == "__main__":
    main()
