"""The schedule of one sample: what works when, and what decides the latency."""

from __future__ import annotations

from nasrec_pim.draw.svg import color, document, format_ns, rectangle, text, ticks
from nasrec_pim.estimate.report import Report

__all__ = ["gantt"]

LEFT, WIDTH, LANE, HEAD, FOOT = 96.0, 980.0, 17.0, 44.0, 30.0
LABEL_WIDTH = 5.6
"""Of a letter, about."""


def gantt(report: Report) -> str:
    """All tasks over time, as SVG: memory, digital units, and crossbars in as few lanes as hold them.

    Tasks of the critical path have a dark frame.
    """
    lanes = _lanes(report)
    names = list(dict.fromkeys(lanes.values()))
    scale = WIDTH / report.latency_ns if report.latency_ns else 0.0
    bottom = HEAD + LANE * len(names)
    hardware = report.mapping.hardware.name
    title = f"{report.mapping.name or 'model'} on {hardware}: one sample in {format_ns(report.latency_ns)}"
    elements = [text(16, 20, title, size=13)]
    for time in ticks(report.latency_ns):
        x = LEFT + time * scale
        elements.append(f'<path d="M{x:.2f} {HEAD} V{bottom:.2f}" stroke="#dde2e6"/>')
        elements.append(text(x, bottom + 14, format_ns(time) if time else "0", anchor="middle", size=10))
    for number, name in enumerate(names):
        elements.append(text(LEFT - 8, HEAD + LANE * number + 12, name, anchor="end", size=10))
    critical = {(step.id, step.stage) for step in report.critical_path}
    for index, task in enumerate(report.tasks):
        node_id = report.mapping.nodes[task.node].id
        start, end = report.times.start_ns[index], report.times.end_ns[index]
        x, y, width = LEFT + start * scale, HEAD + LANE * names.index(lanes[index]), (end - start) * scale
        dark = (node_id, task.stage) in critical
        tip = f"{node_id} ({task.stage}): {format_ns(start)} to {format_ns(end)}" + (", critical" if dark else "")
        frame = {"stroke": "#1c2329", "weight": 1.4} if dark else {"stroke": "white", "weight": 0.5}
        elements.append(rectangle(x, y + 1, width, LANE - 2, color(task.node), tip=tip, **frame))  # type: ignore[arg-type]
        if width > LABEL_WIDTH * len(node_id):
            elements.append(text(x + 3, y + 12, node_id, size=9))
    return document(LEFT + WIDTH + 40, bottom + FOOT, title, elements)


def _lanes(report: Report) -> dict[int, str]:
    """The lane of each task."""
    out: dict[int, str] = {}
    free: list[float] = []
    order = sorted(range(len(report.tasks)), key=lambda i: (report.times.start_ns[i], i))
    crossbars: dict[int, int] = {}
    for index in order:
        if report.tasks[index].stage != "matrix":
            continue
        start = report.times.start_ns[index]
        lane = next((number for number, until in enumerate(free) if until <= start), len(free))
        if lane == len(free):
            free.append(0.0)
        free[lane] = report.times.end_ns[index]
        crossbars[index] = lane
    units = report.mapping.hardware.digital.units
    for index in sorted(order, key=lambda i: (_rank(report, i), crossbars.get(i, report.times.units[i]))):
        stage = report.tasks[index].stage
        number = crossbars[index] if stage == "matrix" else report.times.units[index]
        name = "crossbars" if stage == "matrix" else stage
        out[index] = name if stage == "memory" or (stage == "digital" and units == 1) else f"{name} {number + 1}"
    return out


def _rank(report: Report, index: int) -> int:
    return ("memory", "digital", "matrix").index(report.tasks[index].stage)
