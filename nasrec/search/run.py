"""Runs a search: asks an algorithm, evaluates, journals and tells the scores; resumes where a journal ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from nasrec.errors import SearchError
from nasrec.search.algorithm import Algorithm
from nasrec.search.candidates import C
from nasrec.search.journal import Journal, Trial
from nasrec.search.objectives import Goal

__all__ = ["Evaluate", "SearchResult", "Watch", "run_search", "serial"]

Evaluate = Callable[[Sequence[C]], Iterable[tuple[int, Mapping[str, float], float]]]
"""Evaluates candidates: for each, when it is done, its place in the sequence, its values and the seconds it took."""


class Watch(Protocol[C]):
    """Receives the events of a search."""

    def begin(self, budget: int, done: int) -> None:
        """`done` of `budget` evaluations are in the journal."""

    def evaluated(self, trial: Trial[C], best: Trial[C] | None) -> None:
        """After each evaluation; `best` is the best so far that keeps all limits."""

    def end(self) -> None: ...


@dataclass(frozen=True)
class SearchResult(Generic[C]):
    """Outcome of a search: all trials in the order of asking, the best of them, and the front of all objectives."""

    trials: tuple[Trial[C], ...]
    best: Trial[C] | None
    front: tuple[Trial[C], ...]


def run_search(
    algorithm: Algorithm[C], evaluate: Evaluate[C], goal: Goal, journal: Journal[C], watch: Watch[C] | None = None
) -> SearchResult[C]:
    """Runs an algorithm to its end.

    Trials that the journal holds are not evaluated again: the algorithm is told what it was told before, and so asks
    for the same. A candidate that was evaluated before keeps its values.

    Args:
        algorithm: as new, with the seed that the journal was begun with.
        evaluate: see `Evaluate`; its values follow from the candidate alone.
        goal: objectives and limits.
        journal: where trials are written as they are done.
        watch: receives every evaluation.
    """
    state = _State(goal, journal)
    if watch is not None:
        watch.begin(algorithm.budget, len(journal.trials))
    try:
        while candidates := algorithm.ask():
            trials = _batch(state, candidates, evaluate, watch)
            algorithm.tell([goal.score(trial.values) for trial in trials])
    finally:
        if watch is not None:
            watch.end()
    values = [trial.values for trial in state.trials]
    front = tuple(state.trials[i] for i in goal.front(values))
    return SearchResult(tuple(state.trials), state.best, front)


def serial(one: Callable[[C], Mapping[str, float]]) -> Evaluate[C]:
    """Evaluates one candidate after the other, in this process."""

    def evaluate(candidates: Sequence[C]) -> Iterator[tuple[int, Mapping[str, float], float]]:
        for place, candidate in enumerate(candidates):
            started = time.perf_counter()
            yield place, one(candidate), time.perf_counter() - started

    return evaluate


class _State(Generic[C]):
    """Trials so far, what is known of each candidate, and the best."""

    def __init__(self, goal: Goal, journal: Journal[C]) -> None:
        self.goal, self.journal = goal, journal
        self.trials: list[Trial[C]] = []
        self.known: dict[C, Mapping[str, float]] = {}
        self.best: Trial[C] | None = None

    def note(self, trial: Trial[C]) -> None:
        self.known[trial.candidate] = trial.values
        score = self.goal.score(trial.values)
        if score.allowed and (self.best is None or score.key < self.goal.score(self.best.values).key):
            self.best = trial


def _batch(state: _State[C], candidates: Sequence[C], evaluate: Evaluate[C], watch: Watch[C] | None) -> list[Trial[C]]:
    first = len(state.trials)
    done: dict[int, Trial[C]] = {}
    new: dict[C, list[int]] = {}
    for number, candidate in enumerate(candidates, first):
        trial = state.journal.trials.get(number)
        if trial is not None:
            if trial.candidate != candidate:
                raise SearchError(
                    f"{state.journal.path}: trial {number} is another candidate than this search asks for; another "
                    "version wrote the journal: search in another folder"
                )
            done[number] = trial
            state.note(trial)
        elif candidate in state.known:
            done[number] = _write(state, Trial(number, candidate, state.known[candidate], 0.0), watch)
        else:
            new.setdefault(candidate, []).append(number)
    wanted = list(new)
    for place, values, seconds in evaluate(wanted) if wanted else ():
        number, *others = new[wanted[place]]
        done[number] = _write(state, Trial(number, wanted[place], values, round(seconds, 6)), watch)
        for other in others:
            done[other] = _write(state, Trial(other, wanted[place], values, 0.0), watch)
    batch = [done[number] for number in sorted(done)]
    state.trials += batch
    return batch


def _write(state: _State[C], trial: Trial[C], watch: Watch[C] | None) -> Trial[C]:
    state.journal.add(trial)
    state.note(trial)
    if watch is not None:
        watch.evaluated(trial, state.best)
    return trial
