"""What a profile holds. Seconds are medians over the rounds unless a name says otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from nasrec.lowering.masking import Masking, written_word
from nasrec.profiling.node_timing import Part
from nasrec.profiling.peaks import Peaks
from nasrec.profiling.work import NO_WORK, NodeWork, Work
from nasrec_ir import Graph, TensorType

__all__ = ["Event", "NodeProfile", "Profile", "Total", "What"]

What = Literal["forward", "train", "supernet"]
"""A pass without gradients, a training step, or a training step along a path of a supernet."""


@dataclass(frozen=True)
class NodeProfile:
    """One node.

    Attributes:
        id, op, type: the node's.
        forward_s: time of its forward.
        backward_s: time of its backward; None where there is none.
        work: what it has to do, for the whole batch; its backward is empty where only a forward ran.
    """

    id: str
    op: str
    type: TensorType
    forward_s: float
    backward_s: float | None
    work: NodeWork

    @property
    def seconds(self) -> float:
        """Forward and backward."""
        return self.forward_s + (self.backward_s or 0.0)

    @property
    def total_work(self) -> Work:
        """Forward and backward."""
        return self.work.forward + self.work.backward

    @property
    def gflops(self) -> float | None:
        """10^9 operations a second, a multiply-accumulate counted as two; None where there are no products."""
        macs = self.total_work.macs
        return 2e-9 * macs / self.seconds if macs and self.seconds > 0 else None

    @property
    def gb_s(self) -> float | None:
        """10^9 bytes a second; None where nothing need move."""
        moved = self.total_work.moved_bytes
        return 1e-9 * moved / self.seconds if moved and self.seconds > 0 else None

    @property
    def intensity(self) -> float | None:
        """Operations per byte; None where there are no products or nothing need move."""
        work = self.total_work
        return 2 * work.macs / work.moved_bytes if work.macs and work.moved_bytes else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "id": self.id,
            "op": self.op,
            "type": str(self.type),
            "forward_us": 1e6 * self.forward_s,
            "backward_us": _us(self.backward_s),
            "macs": self.total_work.macs,
            "bytes": self.total_work.moved_bytes,
            "work": asdict(self.work),
            "gflops": self.gflops,
            "gb_s": self.gb_s,
            "flop_per_byte": self.intensity,
        }


@dataclass(frozen=True)
class Total:
    """One way to run the whole, timed in turns with the others.

    Attributes:
        name: `"ours"`, `"eager"` or `"compile"`.
        seconds: median; 0 where it failed.
        quartiles_s: lower and upper.
        parts: median of each part (forward, loss, backward, optimiser).
        prepare_s: time of the first call, where it is worth knowing: torch.compile works then.
        failure: why it could not run, in one line; None where it did.
    """

    name: str
    seconds: float
    quartiles_s: tuple[float, float]
    parts: dict[Part, float]
    prepare_s: float | None = None
    failure: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no time where it failed."""
        failed = self.failure is not None
        return {
            "us": None if failed else 1e6 * self.seconds,
            "quartiles_us": None if failed else [1e6 * s for s in self.quartiles_s],
            "parts_us": {part: 1e6 * s for part, s in self.parts.items()},
            "prepare_s": self.prepare_s,
            "failure": self.failure,
        }


@dataclass(frozen=True)
class Event:
    """A lap of the node timing of median duration; `start_s` counts from its begin."""

    part: Part
    name: str
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class Profile:
    """Where the time of one graph goes.

    Attributes:
        graph: the optimised graph.
        what: what was run.
        batch: rows.
        masking: of the supernet; None without one.
        peaks: of the machine, with device and threads.
        nodes: in the graph's order.
        other_s: time of what is no node's: loss, gradient sums, optimiser, lowering.
        ours: the untouched model, kernels as they are.
        backends: other ways to run the same graph, some of `BACKENDS`.
        rounds: how often each was timed.
        events: the node timing of median duration, lap by lap.
    """

    graph: Graph
    what: What
    batch: int
    masking: Masking | None
    peaks: Peaks
    nodes: tuple[NodeProfile, ...]
    other_s: dict[Part, float]
    ours: Total
    backends: tuple[Total, ...]
    rounds: int
    events: tuple[Event, ...]

    @cached_property
    def nodes_s(self) -> float:
        """Sum over the nodes."""
        return sum(node.seconds for node in self.nodes)

    @property
    def unaccounted_s(self) -> float:
        """The untouched total less everything timed apart.

        What calls cost between nodes, and memory given back, make it positive; what timing itself costs, above all
        autograd starting anew for each node, makes it negative.
        """
        return self.ours.seconds - self.nodes_s - sum(self.other_s.values())

    @cached_property
    def work(self) -> Work:
        """Sum over the nodes."""
        return sum((node.total_work for node in self.nodes), NO_WORK)

    @property
    def floor_s(self) -> float:
        """The nodes' products at the peak, then their bytes at the memory's peak, nothing overlapped."""
        return self.peaks.least_seconds(self.work.macs, self.work.moved_bytes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        peaks = self.peaks
        return {
            "graph": self.graph.name,
            "what": self.what,
            "masking": None if self.masking is None else written_word(self.masking),
            "batch": self.batch,
            "rounds": self.rounds,
            "peaks": asdict(peaks),
            "nodes": [self._node(node) for node in self.nodes],
            "totals": {
                "us": 1e6 * self.ours.seconds,
                "nodes_us": 1e6 * self.nodes_s,
                "other_us": {part: 1e6 * s for part, s in self.other_s.items()},
                "unaccounted_us": 1e6 * self.unaccounted_s,
                "floor_us": 1e6 * self.floor_s,
                "macs": self.work.macs,
                "bytes": self.work.moved_bytes,
            },
            "rivals": {total.name: total.to_dict() for total in (self.ours, *self.backends)},
        }

    def _node(self, node: NodeProfile) -> dict[str, Any]:
        return node.to_dict() | {
            "share": node.seconds / self.ours.seconds,
            "of_gemm_peak": None if node.gflops is None else node.gflops / self.peaks.gemm_gflops,
            "of_copy_peak": None if node.gb_s is None else node.gb_s / self.peaks.copy_gb_s,
        }


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else 1e6 * seconds
