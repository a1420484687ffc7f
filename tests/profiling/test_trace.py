"""The Chrome trace: well-formed, properly nested, every lap in it once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nasrec.profiling import Profile, chrome_trace


@pytest.fixture(params=["forward", "train", "supernet"])
def found(request: pytest.FixtureRequest, profile_of: Callable[[str], Profile]) -> Profile:
    return profile_of(request.param)


def test_trace_is_in_the_trace_event_format(found: Profile) -> None:
    trace = json.loads(json.dumps(chrome_trace(found, title="little & co", machine={"cpu": "abacus"}), allow_nan=False))
    assert trace["otherData"] == {"cpu": "abacus"} and trace["displayTimeUnit"] in ("ms", "ns")
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "M") and {"name", "pid", "tid", "args"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0
    (process,) = (e for e in trace["traceEvents"] if e["name"] == "process_name")
    assert process["args"]["name"] == "little & co"


def test_every_node_is_a_slice(found: Profile) -> None:
    events = [e for e in chrome_trace(found, title="t", machine={})["traceEvents"] if e["ph"] == "X"]
    nodes = {node.id: node for node in found.nodes}
    forward = [e for e in events if e["cat"] == "forward"]
    assert [e["name"] for e in forward] == list(nodes)
    for event in forward:
        node = nodes[event["name"]]
        assert event["args"]["macs"] == node.work.forward.macs
        assert event["args"]["median_us"] == pytest.approx(1e6 * node.forward_s)
    backward = {e["name"]: e for e in events if e["cat"] == "backward"}
    assert set(backward) == {node.id for node in found.nodes if node.backward_s is not None}
    for name, event in backward.items():
        assert event["args"]["bytes"] == nodes[name].work.backward.moved_bytes
    assert {e["name"] for e in events if e["cat"] == "block"} == {"b0", "b2"}
    parts = [e["name"] for e in events if e["cat"] == "part"]
    step = ["forward", "loss", "backward", "optimiser"]
    assert parts == {"forward": step[:1], "train": ["optimiser", *step]}.get(
        found.what, ["optimiser", "lowering", *step]
    )


def test_slices_nest(found: Profile) -> None:
    """A viewer shows slices of one thread as a flame: any two are apart, or one holds the other."""
    slices = [
        (e["ts"], e["ts"] + e["dur"])
        for e in chrome_trace(found, title="t", machine={})["traceEvents"]
        if e["ph"] == "X"
    ]
    rounding = 1e-3
    open_ends: list[float] = []
    for begin, end in slices:  # in the order of the file, which viewers keep for equal times
        while open_ends and open_ends[-1] <= begin + rounding:
            open_ends.pop()
        if open_ends:
            assert end <= open_ends[-1] + rounding
        open_ends.append(end)
    assert [begin for begin, _ in slices] == sorted(begin for begin, _ in slices)
