"""Map a model onto in-memory hardware and estimate it: a table per node, pictures, headroom, or JSON."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from nasrec.cli.options import columns
from nasrec.cli.options import hardware as chips
from nasrec.cli.options import model as architectures
from nasrec.errors import CompileError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec_ir import Graph
from nasrec_pim import Hardware, Report, Tail, estimate, floorplan, gantt, headroom, map_graph, tail_latency

HELP = "latency, energy and area of a model on in-memory hardware, node by node"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    architectures.add_argument(parser)
    columns.add_options(parser)
    parser.add_argument("--hardware", default=chips.DEFAULT, metavar="HW", help=f"{chips.named()}; default default")
    chips.add_override(parser)
    parser.add_argument("--arrivals", type=float, metavar="PER_S", help="latency under so many arrivals a second")
    parser.add_argument("--headroom", action="store_true", help="what an ideal ADC, buffer, network ... would give")
    parser.add_argument("--floorplan", metavar="FILE.svg", help="draw the tiles, coloured by node")
    parser.add_argument("--gantt", metavar="FILE.svg", help="draw the schedule of one sample")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Maps, estimates, draws, prints."""
    architecture = architectures.from_args(args)
    graph = architecture.graph(columns.resolve(args, architecture))
    hardware = chips.load(args.hardware, args.overrides)
    report = estimate(map_graph(graph, hardware))
    tail = None if args.arrivals is None else tail_latency(report, args.arrivals)
    if args.floorplan is not None:
        write_text(args.floorplan, floorplan(report.mapping), CompileError)
    if args.gantt is not None:
        write_text(args.gantt, gantt(report), CompileError)
    if args.json:
        print(json_text(_as_json(report, graph, hardware, tail, args.headroom)))
        return 0
    print(_summary(report, tail))
    print()
    print(_nodes(report))
    if args.headroom:
        print()
        print(_headroom(graph, hardware))
    return 0


def _as_json(report: Report, graph: Graph, hardware: Hardware, tail: Tail | None, bounds: bool) -> dict[str, Any]:
    out = report.to_dict()
    if tail is not None:
        out["tail"] = asdict(tail)
    if bounds:
        out["headroom"] = [asdict(row) for row in headroom(graph, hardware)]
    return out


def _summary(report: Report, tail: Tail | None) -> str:
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


def _nodes(report: Report) -> str:
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


def _headroom(graph: Graph, hardware: Hardware) -> str:
    rows = [
        [row.part, f"{row.latency_ns / 1e3:,.2f}", *map(_times, (row.speedup, row.energy_gain, row.throughput_gain))]
        for row in headroom(graph, hardware)
    ]
    return output.table(("if ideal", "latency us", "faster", "less energy", "throughput"), rows)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"
