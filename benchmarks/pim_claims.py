"""The NASRec paper's claims for its co-designed accelerator, under declared assumptions.

Section 5.2 claims 1.5x speed and 1.8x energy efficiency over an empirically handcrafted ReRAM design, 1.1x and 5.2x
over RecNMP. Neither is described, and the simulator was never released, so that no single number can be reproduced.
Here every ratio stands beside what it assumes: which model runs on the other design, what speed means, what counts as
energy, and where RecNMP computes its layers.

`python -m benchmarks.pim_claims [--markdown]`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nasrec
from nasrec import baselines, presets
from nasrec_ir import Graph
from nasrec_pim import Hardware, Report, compare, estimate, map_graph

CLAIMS = {"handcrafted ReRAM": {"speed": 1.5, "energy": 1.8}, "RecNMP": {"speed": 1.1, "energy": 5.2}}
"""By how much the co-designed accelerator is said to be better."""

MODEL = "criteo-small"
"""The claims are made in the NASRec-Small space, on Criteo."""


@dataclass(frozen=True)
class Rival:
    """A design to compare with, and what it assumes."""

    claim: str
    assumption: str
    hardware: Hardware


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the ratios to this file as well")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    options = parser.parse_args()
    rows = list(ratios())
    print(table(rows, "| " if options.markdown else ""))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def ratios() -> Iterator[dict[str, Any]]:
    """One row for each rival, model on it, and figure."""
    features = presets.PRESETS[MODEL].features()
    searched = nasrec.graph_of(presets.load(MODEL), features)
    models = {"the same": searched, "DLRM": baselines.build("dlrm", features)}
    for ours_name, ours in designs().items():
        report = _report(searched, ours)
        for rival in rivals(ours):
            if rival.hardware == ours:
                continue
            for model_name, model in models.items():
                other = _report(model, rival.hardware)
                for row in compare(report, other):
                    if row.what != "area":
                        claim = CLAIMS[rival.claim][row.what]
                        yield {
                            "ours": ours_name,
                            "against": rival.claim,
                            "which": rival.assumption,
                            "model there": model_name,
                            "figure": row.what,
                            "meaning": row.assumption,
                            "ratio": row.ratio,
                            "claim": claim,
                            "holds": row.ratio >= claim,
                        }


def designs() -> dict[str, Hardware]:
    """What stands for the co-designed accelerator: our own design, and the handcrafted one with the searched model."""
    return {"default": Hardware.preset("default"), "isaac-like": Hardware.preset("isaac-like")}


def rivals(ours: Hardware) -> list[Rival]:
    """The designs that the claims may mean."""
    isaac, recnmp = Hardware.preset("isaac-like"), Hardware.preset("recnmp")
    unit = [f"digital.{name}={value}" for name, value, _ in ours.digital.values()]
    memory = [f"memory.{name}={value}" for name, value, _ in recnmp.memory.values()]
    return [
        Rival("handcrafted ReRAM", "ISAAC-like", isaac),
        Rival("handcrafted ReRAM", "MNSIM as shipped", Hardware.mnsim()),
        Rival("handcrafted ReRAM", "MNSIM, mended", Hardware.mnsim().with_corrections("physical")),
        Rival("RecNMP", "layers on a server CPU", recnmp),
        Rival("RecNMP", "layers on our digital units", recnmp.override(*unit)),
        Rival("RecNMP", "layers on our crossbars", ours.override(*memory)),
    ]


def table(rows: list[dict[str, Any]], margin: str) -> str:
    """The rows, in plain text or Markdown."""
    shown = [{**row, "ratio": f"{row['ratio']:.2f}", "holds": "yes" if row["holds"] else "no"} for row in rows]
    names = list(shown[0])
    lines = [names, *([str(row[name]) for name in names] for row in shown)]
    if margin:
        lines.insert(1, ["---"] * len(names))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _report(graph: Graph, hardware: Hardware) -> Report:
    return estimate(map_graph(graph, hardware))


if __name__ == "__main__":
    main()
