"""The graph as tasks on shared resources: when each starts, and which chain of tasks decides the latency."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from nasrec_pim.mapping.layout import matrix_ns
from nasrec_pim.mapping.mapping import Mapping
from nasrec_pim.mapping.work import NO_WORK, work_ns
from nasrec_pim.memory import LookupCost

__all__ = ["DIGITAL", "MATRIX", "MEMORY", "Schedule", "Task", "schedule", "tasks_of"]

MATRIX, DIGITAL, MEMORY = "matrix", "digital", "memory"
PORT = -1
"""The memory's port, among the numbers of shared arrays."""
NEVER = (0.0, -1)


class Task(NamedTuple):
    """A piece of a node that holds one kind of resource.

    Attributes:
        node: place of the node in the mapping.
        stage: `"matrix"` (its arrays), `"digital"` (a digital unit) or `"memory"` (the memory's port).
        duration_ns: from start to end for one sample.
        busy_ns: for how long the resource cannot serve the next sample.
        arrays: shared arrays that it holds.
        after: tasks that must have ended.
    """

    node: int
    stage: str
    duration_ns: float
    busy_ns: float
    arrays: tuple[int, ...]
    after: tuple[int, ...]


class Schedule(NamedTuple):
    """When tasks run, one sample alone on the chip; lists over tasks.

    Attributes:
        start_ns, end_ns: times since the sample arrived.
        because: the task whose end each start waited for: one that it needs, or one that held its resource; -1: none.
        units: digital unit that ran it; -1 elsewhere.
    """

    start_ns: list[float]
    end_ns: list[float]
    because: list[int]
    units: list[int]


def tasks_of(mapping: Mapping, lookups: dict[str, LookupCost]) -> list[Task]:
    """Tasks of all nodes, in the mapping's order; wires have none."""
    hardware = mapping.hardware
    tasks: list[Task] = []
    last: dict[str, int] = {}
    for place, node in enumerate(mapping.nodes):
        demand = node.demand
        if node.home == "wire":
            continue
        after = tuple(last[source] for source in demand.sources if source in last)
        if node.stored is not None:
            s = node.stored
            duration, busy = matrix_ns(s.key, s.footprint, s.entry, s.rounds, s.hops, hardware)
            tasks.append(Task(place, MATRIX, duration, busy, s.arrays, after))
            after = (len(tasks) - 1,)
        if node.home == "memory":
            cost = lookups[node.id]
            tasks.append(Task(place, MEMORY, cost.latency_ns, cost.busy_ns, (), after))
        if demand.work != NO_WORK:
            duration = work_ns(demand.work, hardware)
            tasks.append(Task(place, DIGITAL, duration, duration, (), after))
        if tasks and tasks[-1].node == place:
            last[node.id] = len(tasks) - 1
    return tasks


def schedule(tasks: Sequence[Task], units: int) -> Schedule:
    """Starts every task as soon as its inputs are there and its resource is free, first come, first served.

    Of tasks that are ready at the same time the one that stands first goes first, so that the result depends on nothing
    but the mapping.

    Args:
        tasks: a task stands behind all that it waits for.
        units: digital units.
    """
    count = len(tasks)
    waiting = [len(task.after) for task in tasks]
    users: list[list[int]] = [[] for _ in tasks]
    for index, task in enumerate(tasks):
        for before in task.after:
            users[before].append(index)
    out = Schedule([0.0] * count, [0.0] * count, [-1] * count, [-1] * count)
    # Until when each shared array and the memory's port are taken, and by which task.
    taken: dict[int, tuple[float, int]] = {}
    # Free time, number of the unit, and its last task; numbers decide between units that are equally free.
    free = [(0.0, unit, -1) for unit in range(units)]
    ready = [(0.0, index, -1) for index in range(count) if not waiting[index]]
    while ready:
        start, index, because = heapq.heappop(ready)
        task = tasks[index]
        if task.stage == DIGITAL:
            until, unit, holder = heapq.heappop(free)
            start, because = (until, holder) if until > start else (start, because)
            heapq.heappush(free, (start + task.duration_ns, unit, index))
            out.units[index] = unit
        else:
            held = (PORT,) if task.stage == MEMORY else task.arrays
            for place in held:
                until, holder = taken.get(place, NEVER)
                start, because = (until, holder) if until > start else (start, because)
            for place in held:
                taken[place] = (start + task.duration_ns, index)
        end = start + task.duration_ns
        out.start_ns[index], out.end_ns[index], out.because[index] = start, end, because
        for user in users[index]:
            waiting[user] -= 1
            if not waiting[user]:
                latest = max(tasks[user].after, key=lambda before: (out.end_ns[before], -before))
                heapq.heappush(ready, (out.end_ns[latest], user, latest))
    return out
