"""Compiling the published genotypes: how long it takes, what is left of each, and what that saves in a forward pass.

`plain` runs the graph as it was lowered: all blocks, one step a node, every concatenation copied. `compiled` is the
module that `nasrec.compile` gives. Both compute the same logits, which is checked. The paper's figures are the MACs
of its Table 5.
"""

from __future__ import annotations

import torch

import nasrec
from benchmarks.common import arguments, interleaved, report
from nasrec import presets
from nasrec.compiler import compile_graph
from nasrec.compiler.executor import execute, slices_of
from nasrec.interop import release

PAPER_MEGA_MACS = {
    "criteo-small": 2.20,
    "criteo-full": 1.45,
    "avazu-small": 3.08,
    "avazu-full": 1.87,
    "kdd-small": 3.48,
    "kdd-full": 1.09,
}


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(__doc__ or "", batch=512)
    rows = [measure(name, options.batch, options.rounds, options.device) for name in presets.names()]
    report("compile", rows, options.json)


def measure(name: str, batch: int, rounds: int, device: str) -> dict[str, object]:
    """One row: a published genotype."""
    genotype, features = presets.load(name), presets.PRESETS[name].features()
    lowered, graph = nasrec.lower(genotype, features), nasrec.graph_of(genotype, features)
    published, executed = nasrec.cost(genotype, features), nasrec.cost(genotype, features, optimized=True)

    weights = {
        ref.name: torch.randn(ref.shape, device=device) / ref.shape[-1] ** 0.5 for ref in lowered.parameters().values()
    }
    model = compile_graph(graph).to(device)
    release.load_state_dict(model, weights)
    dense = torch.randn(batch, features.num_dense, device=device)
    sparse = torch.randint(min(features.cardinalities), (batch, features.num_sparse), device=device)

    def plain() -> torch.Tensor:
        with torch.no_grad():
            return execute(lowered, slices_of(weights.__getitem__), (dense, sparse))

    def compiled() -> torch.Tensor:
        with torch.no_grad():
            return model(dense, sparse)

    torch.testing.assert_close(plain(), compiled(), rtol=1e-3, atol=1e-3)
    forward = interleaved({"plain": plain, "compiled": compiled}, rounds=rounds, device=device)
    build = interleaved(
        {"graph": lambda: nasrec.graph_of(genotype, features), "compile": lambda: nasrec.compile(genotype, features)},
        rounds=max(3, rounds // 5),
    )
    return {
        "genotype": name,
        "live_blocks": f"{len(published.live_blocks)} of {len(genotype.blocks)}",
        "nodes": f"{len(lowered)} -> {len(graph)}",
        "paper_M": f"{PAPER_MEGA_MACS[name]:.2f}",
        "macs_M": f"{published.macs / 1e6:.3f}",
        "executed_M": f"{executed.macs / 1e6:.3f}",
        "graph_ms": build["graph"].median_us / 1e3,
        "compile_ms": build["compile"].median_us / 1e3,
        "plain_ms": forward["plain"].median_us / 1e3,
        "compiled_ms": forward["compiled"].median_us / 1e3,
        "x": f"{forward['plain'].median_us / forward['compiled'].median_us:.2f}",
    }


if __name__ == "__main__":
    main()
