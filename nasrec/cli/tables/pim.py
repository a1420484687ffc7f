"""What is printed of models on in-memory hardware, and of the hardware itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasrec.reports import text as output
from nasrec.runs.simulate import SimulateResult
from nasrec_pim import Comparison, Delta, Hardware, Headroom, Measured, Report, Tail
from nasrec_pim.hardware.corrections import Correction

__all__ = [
    "correction_table",
    "hardware_table",
    "headroom_table",
    "node_table",
    "preset_table",
    "ratio_table",
    "simulation",
    "summary",
]


def summary(report: Report, tail: Tail | None) -> str:
    """Latency, throughput, energy, area; `tail` is latency under load, where that was asked for."""
    mapping, hardware = report.mapping, report.mapping.hardware
    programming = report.programming
    lines = [
        f"{mapping.name or 'model'} on {hardware.name} ({hardware.fidelity} fidelity)",
        f"  latency     {report.latency_ns / 1e3:,.2f} us for one sample",
        f"  throughput  {report.throughput_per_s:,.0f} samples/s in a stream; {report.bottleneck} is the bottleneck",
        f"  energy      {report.energy_nJ / 1e3:,.2f} uJ for one sample, "
        f"{report.stream_energy_nJ / 1e3:,.2f} uJ in a stream",
        f"  area        {report.area_mm2:,.2f} mm2; {mapping.tiles} tiles, "
        f"{mapping.utilization:.1%} of their cells hold weights",
        f"  programming {programming.time_ns / 1e3:,.1f} us, {programming.energy_nJ / 1e3:,.1f} uJ, "
        f"at most {programming.rewrites:,.0f} times",
    ]
    parts = sorted(report.energy_by_component.items(), key=lambda item: -item[1])
    shares = [f"{name} {value / report.energy_nJ:.1%}" for name, value in parts if value > 0.0005 * report.energy_nJ]
    lines.append(f"  energy is   {', '.join(shares)}")
    if tail is not None:
        lines.append(
            f"  under load  {tail.p50_ns / 1e3:,.2f} us median, {tail.p99_ns / 1e3:,.2f} us for 99 % "
            f"at {tail.arrivals_per_s:,.0f} arrivals/s ({tail.load:.0%} of capacity)"
        )
    return "\n".join(lines)


def node_table(report: Report) -> str:
    """One line a node, totals last; critical nodes are starred."""
    critical = {step.id for step in report.critical_path}
    rows = [
        [
            node.id + (" *" if node.id in critical else ""),
            node.op,
            node.home,
            str(len(node.tiles)) if node.tiles else "",
            f"{node.start_ns:,.0f}",
            f"{node.latency_ns:,.1f}",
            f"{node.energy_nJ:,.2f}",
            f"{node.energy_nJ / report.energy_nJ:.1%}",
            f"{node.area_mm2:.4f}",
        ]
        for node in report.nodes
    ]
    total = [f"{report.latency_ns:,.1f}", f"{report.energy_nJ:,.2f}", "100.0%", f"{report.area_mm2:.4f}"]
    rows.append(["total", "", "", str(report.mapping.tiles), "", *total])
    header = ("node (* critical)", "op", "home", "tiles", "start ns", "latency ns", "energy nJ", "share", "area mm2")
    return output.table(header, rows, left=3)


def headroom_table(bounds: Sequence[Headroom]) -> str:
    """What an ideal part would give, a line each."""
    rows = [
        [row.part, f"{row.latency_ns / 1e3:,.2f}", *map(_times, (row.speedup, row.energy_gain, row.throughput_gain))]
        for row in bounds
    ]
    return output.table(("if ideal", "latency us", "faster", "less energy", "throughput"), rows)


def ratio_table(rows: Sequence[Comparison]) -> str:
    """The ratio of two designs for each figure and assumption."""
    cells = [[r.what, r.assumption, f"{r.a:,.4g}", f"{r.b:,.4g}", r.unit, f"{r.ratio:.2f}x"] for r in rows]
    return output.table(("figure", "assumption", "A", "B", "unit", "A better by"), cells, left=2)


def correction_table(base: Measured, deltas: Sequence[Delta]) -> str:
    """MNSIM's figures, then each correction alone and after all before it."""
    rows = [["MNSIM 2.0", *_cells(base), *_cells(base)]]
    rows += [[f"+ {delta.name}", *_cells(delta.alone), *_cells(delta.step)] for delta in deltas]
    header = ("correction", "alone: ns", "nJ", "mm2", "so far: ns", "nJ", "mm2")
    return output.table(header, rows)


def hardware_table(chip: Hardware) -> str:
    """Every value with unit, confidence and source."""
    cells = [[f"{r.section}.{r.name}", _value(r.value), r.unit, r.confidence, r.source] for r in chip.parameters()]
    head = f"{chip.name}: {chip.fidelity} fidelity, corrections: {', '.join(chip.corrections) or 'none'}"
    return f"{head}\n\n" + output.table(("value", "", "unit", "confidence", "source"), cells, left=5)


def preset_table(chips: Mapping[str, Hardware], corrections: Sequence[Correction]) -> str:
    """What there is to choose from."""
    names = output.table(("preset", "fidelity"), [[name, chip.fidelity] for name, chip in chips.items()], left=2)
    rows = [[c.name, ", ".join(map(str, c.quirks)), c.doc] for c in corrections]
    return names + "\n\n" + output.table(("correction", "quirk", "what it corrects in MNSIM 2.0"), rows, left=3)


def simulation(found: SimulateResult) -> str:
    """Scores of the same rows in full precision, quantised and on each chip; what a sample costs there."""
    cells = [
        [name, *(_figure(scores[score], digits) for score, digits in (("auc", 5), ("log_loss", 5), ("calibration", 3)))]
        for name, scores in found.scores.items()
    ]
    lines = [
        f"{found.name} on {found.hardware}, {found.rows:,} rows of {found.source}, {found.seconds:.1f} s",
        "",
        output.table(("", "AUC", "log loss", "calibration"), cells),
        "",
        f"{found.energy_nJ / 1e3:,.2f} uJ and {found.latency_ns / 1e3:,.2f} us a sample, {found.area_mm2:.2f} mm2",
    ]
    if found.weights is None:
        lines.append(f"weights are initial ones (seed {found.seed}); --weights takes trained ones")
    return "\n".join(lines)


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def _cells(measured: Measured | None) -> list[str]:
    if measured is None:
        return ["-"] * 3
    return [f"{measured.latency_ns:,.1f}", f"{measured.energy_nJ:,.1f}", f"{measured.area_um2 * 1e-6:,.3f}"]


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
