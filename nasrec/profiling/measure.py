"""Times the nodes, the untouched model and other backends in turns, and takes medians."""

from __future__ import annotations

import functools
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec import kernels
from nasrec.lowering.masking import Masking
from nasrec.profiling.clock import Clock, clock_of, quiet
from nasrec.profiling.node_timing import Lap, Part, still, time_forward_nodes, time_step_nodes
from nasrec.profiling.peaks import measure_peaks
from nasrec.profiling.result import Event, NodeProfile, Profile, Total, What
from nasrec.profiling.work import NO_WORK, NodeWork, node_work
from nasrec.profiling.workload import Training, Way, Workload

__all__ = ["BACKENDS", "profile"]

_log = logging.getLogger(__name__)

BACKENDS = ("eager", "compile")
"""`eager`: the same graph by plain PyTorch operations; `compile`: ours through torch.compile, as one graph."""

_FEWEST, _MOST = 7, 200
_BUDGET_S = 4.0


def profile(
    workload: Workload,
    what: What,
    *,
    backends: Sequence[str] = ("eager",),
    rounds: int | None = None,
    masking: Masking | None = None,
) -> Profile:
    """Times every node of a workload, the whole of it, and the whole by other backends.

    Each round runs the untouched model, each backend and one timing of the nodes, so that a change of the machine's
    speed meets all.

    Args:
        workload: a model or a supernet's path, with a batch.
        what: `"forward"`, or a step (`"train"` and `"supernet"` differ in the workload alone).
        backends: some of `BACKENDS`.
        rounds: how often each is timed. Default: for about 4 seconds, 7 to 200 times.
        masking: of the supernet, for the record.
    """
    device = workload.batch.dense.device
    clock = clock_of(device)
    measure_peaks(device)
    runs = _prepared(workload, backends, clock)
    by_node = _Run("nodes", functools.partial(_time_nodes, workload), [])
    ready = [by_node, *(run for run in runs if run.failure is None)]
    with quiet():
        started = time.perf_counter()
        for run in ready:
            run.once(clock)
        clock.wait()
        needed = max(time.perf_counter() - started, 1e-6)
        count = rounds or max(_FEWEST, min(_MOST, int(_BUDGET_S / needed)))
        _log.info("timing %d rounds of about %.3g s", count, needed)
        for index in range(count):
            shift = index % len(ready)
            turn = ready[shift:] + ready[:shift]
            for run in turn if index % 2 else reversed(turn):  # none always follows the same one
                run.laps.append(run.once(clock))
            clock.wait()
    return Profile(
        graph=workload.graph,
        what=what,
        batch=len(workload.batch),
        masking=masking,
        peaks=measure_peaks(device, again=True),  # a busy moment at the start would lower the roof
        nodes=_nodes(workload, by_node.laps, clock),
        other_s=_other(by_node.laps, clock),
        ours=_total(runs[0], clock),
        backends=tuple(_total(run, clock) for run in runs[1:]),
        rounds=count,
        events=_events(by_node.laps, clock),
    )


@dataclass
class _Run:
    """One way to run the whole."""

    name: str
    once: Callable[[Clock], list[Lap]]
    laps: list[list[Lap]]
    prepare_s: float | None = None
    failure: str | None = None


def _time_nodes(workload: Workload, clock: Clock) -> list[Lap]:
    training = workload.ours.training
    return (time_forward_nodes(workload, clock) if training is None else time_step_nodes(workload, training, clock))[0]


def _prepared(workload: Workload, backends: Sequence[str], clock: Clock) -> list[_Run]:
    """Ours and the other backends, warmed up."""
    ours = _Run("ours", _whole(workload, workload.ours), [])
    _warm_up(ours, clock)
    runs = [ours]
    for name in backends:
        way = workload.backends[name]()
        run = _Run(name, _whole(workload, way), [])
        runs.append(run)
        if name == "eager":
            run.once = _plain(run.once)
            _warm_up(run, clock)
            continue
        started = time.perf_counter()
        try:
            run.once(clock)
            run.prepare_s = time.perf_counter() - started
            _warm_up(run, clock)
        except Exception as error:  # whatever the compiler raises, the others' times are worth showing
            run.failure = " ".join(str(error).split())[:200] or type(error).__name__
    return runs


def _plain(once: Callable[[Clock], list[Lap]]) -> Callable[[Clock], list[Lap]]:
    def run(clock: Clock) -> list[Lap]:
        with kernels.use_reference():
            return once(clock)

    return run


def _warm_up(run: _Run, clock: Clock) -> None:
    for _ in range(2):
        run.once(clock)
    clock.wait()


def _whole(workload: Workload, way: Way) -> Callable[[Clock], list[Lap]]:
    """A pass, or a step where the way is trained."""
    run = functools.partial(_pass, workload, way.model)
    return run if way.training is None else functools.partial(_step, workload, way.model, way.training)


def _pass(workload: Workload, model: Callable[[Tensor, Tensor], Tensor], clock: Clock) -> list[Lap]:
    with torch.no_grad():
        first = clock.mark()
        model(workload.batch.dense, workload.batch.sparse)
        return [Lap("forward", "forward", first, clock.mark())]


def _step(workload: Workload, model: Callable[[Tensor, Tensor], Tensor], training: Training, clock: Clock) -> list[Lap]:
    marks = [clock.mark()]
    training.forget()
    marks.append(clock.mark())
    if training.lower is not None:
        training.lower()
    marks.append(clock.mark())
    logits = model(workload.batch.dense, workload.batch.sparse)
    marks.append(clock.mark())
    loss = binary_cross_entropy_with_logits(logits, workload.batch.label)
    marks.append(clock.mark())
    loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
    marks.append(clock.mark())
    training.update()
    marks.append(clock.mark())
    parts: list[Part] = ["optimiser", "lowering", "forward", "loss", "backward", "optimiser"]
    laps = [Lap(part, part, *ends) for part, *ends in zip(parts, marks, marks[1:], strict=False)]
    return [lap for lap in laps if lap.part != "lowering" or training.lower is not None]


def _total(run: _Run, clock: Clock) -> Total:
    if run.failure is not None:
        return Total(run.name, 0.0, (0.0, 0.0), {}, failure=run.failure)
    whole = [clock.seconds(laps[0].first, laps[-1].last) for laps in run.laps]
    low, middle, high = statistics.quantiles(whole, n=4, method="inclusive") if len(whole) > 1 else whole * 3
    return Total(run.name, middle, (low, high), _parts(run.laps, clock), run.prepare_s)


def _parts(rounds: Sequence[Sequence[Lap]], clock: Clock) -> dict[Part, float]:
    """Median over the rounds of what each part takes in one."""
    sums: list[dict[Part, float]] = []
    for laps in rounds:
        sums.append({})
        for lap in laps:
            sums[-1][lap.part] = sums[-1].get(lap.part, 0.0) + clock.seconds(lap.first, lap.last)
    return {part: statistics.median(found[part] for found in sums) for part in sums[0]}


def _other(rounds: Sequence[Sequence[Lap]], clock: Clock) -> dict[Part, float]:
    return {part: s for part, s in _parts(rounds, clock).items() if part not in ("forward", "backward")}


def _nodes(workload: Workload, rounds: Sequence[Sequence[Lap]], clock: Clock) -> tuple[NodeProfile, ...]:
    found: dict[tuple[Part, str], list[float]] = {}
    for laps in rounds:
        for lap in laps:
            found.setdefault((lap.part, lap.name), []).append(clock.seconds(lap.first, lap.last))
    times = {key: statistics.median(values) for key, values in found.items()}
    work = node_work(workload.graph, len(workload.batch), still(workload, workload.ours.training))
    rows = []
    for node in (bound.node for bound in workload.nodes):
        forward, backward = times["forward", node.id], times.get(("backward", node.id))
        # Without a backward of its own, as embeddings on a path: their gradient is the optimiser's affair.
        own = NodeWork(work[node.id].forward, NO_WORK) if backward is None else work[node.id]
        rows.append(NodeProfile(node.id, node.op, node.type, forward, backward, own))
    return tuple(rows)


def _events(rounds: Sequence[Sequence[Lap]], clock: Clock) -> tuple[Event, ...]:
    by_length = sorted(rounds, key=lambda laps: clock.seconds(laps[0].first, laps[-1].last))
    laps = by_length[len(by_length) // 2]
    begin = laps[0].first
    return tuple(
        Event(lap.part, lap.name, clock.seconds(begin, lap.first), clock.seconds(lap.first, lap.last)) for lap in laps
    )
