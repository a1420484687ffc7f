"""The timing of every node as a file that chrome://tracing and Perfetto open."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from nasrec.profiling.result import Event, NodeProfile, Profile

__all__ = ["chrome_trace"]

_PROCESS, _THREAD = 1, 1


def chrome_trace(profile: Profile, *, title: str, machine: dict[str, Any]) -> dict[str, Any]:
    """The Trace Event Format's JSON object: parts of the step, within them blocks, within them nodes.

    Times are of one node timing, that of median duration; the medians of every node stand in its arguments.

    Args:
        profile: what was measured.
        title: what was run.
        machine: plain values that say where.
    """
    nodes = {node.id: node for node in profile.nodes}
    events = [_named("process_name", title), _named("thread_name", "one pass or step, node by node")]
    for part, laps in _runs(profile.events, lambda event: _part(event)):
        events.append(_slice(part, "part", laps, {}))
        for block, inner in _runs(laps, lambda event: event.name.split(".", 1)[0]):
            if block not in nodes and block != part:
                events.append(_slice(block, "block", inner, {}))
            for event in inner:
                if event.name in nodes:
                    label = event.name if event.part in ("forward", "backward") else f"{event.name}: {event.part}"
                    events.append(_slice(label, event.part, [event], _arguments(nodes[event.name], event)))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": machine}


def _part(event: Event) -> str:
    return "backward" if event.part == "gradient sums" else event.part


def _runs(events: Iterable[Event], key: Any) -> Iterator[tuple[str, list[Event]]]:
    return ((name, list(group)) for name, group in itertools.groupby(events, key))


def _slice(name: str, category: str, laps: list[Event], arguments: dict[str, Any]) -> dict[str, Any]:
    begin, end = laps[0].start_s, laps[-1].start_s + laps[-1].duration_s
    place = {"ph": "X", "pid": _PROCESS, "tid": _THREAD, "ts": 1e6 * begin, "dur": 1e6 * (end - begin)}
    return {"name": name, "cat": category, **place, "args": arguments}


def _arguments(node: NodeProfile, event: Event) -> dict[str, Any]:
    plain: dict[str, Any] = {"op": node.op, "type": str(node.type)}
    if event.part == "gradient sums":
        return plain
    forward = event.part == "forward"
    work, seconds = (node.work.forward, node.forward_s) if forward else (node.work.backward, node.backward_s or 0.0)
    plain |= {"macs": work.macs, "bytes": work.moved_bytes, "median_us": 1e6 * seconds}
    if seconds > 0:
        plain |= {"gflops": 2e-9 * work.macs / seconds, "gb_s": 1e-9 * work.moved_bytes / seconds}
    return plain


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": _THREAD, "args": {"name": name}}
