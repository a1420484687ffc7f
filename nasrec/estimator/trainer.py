"""Trainings of one `fit`, each in a folder of its own below one folder, none longer than the time that is left."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasrec import runs

__all__ = ["NO_TIME", "PROBE_STEPS", "SLACK", "Candidate", "Clock", "Trainer", "training_options"]

PROBE_STEPS = 15
"""Steps of a trial that tells how fast a model trains."""

_STEPS = 2000
_PASSES, _MOST_PASSES, _FEW_ROWS = 4, 30, 40_000
_PATIENCE = 3
NO_TIME = "not trained: no time left"

SLACK = 0.85
"""Of the time that is left, how much is planned with."""
_EVALUATION = 0.5
"""Time of a row that is scored, in that of one that trains."""
_LEAST_SHARE = 0.2
"""Of the steps of a training, below which it says too little about a model."""


class Clock:
    """A stretch of time that has begun. `limit_s` None: without an end."""

    def __init__(self, limit_s: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._start, self.limit_s = now, now(), limit_s

    @property
    def spent_s(self) -> float:
        return self._now() - self._start

    @property
    def left_s(self) -> float:
        return float("inf") if self.limit_s is None else self.limit_s - self.spent_s

    def part(self, share: float) -> Clock:
        """A share of what is left, from now on."""
        return Clock(None if self.limit_s is None else max(0.0, self.left_s * share), self._now)


@dataclass(frozen=True)
class Candidate:
    """A model of a leaderboard.

    Attributes:
        name: for people.
        log_loss, auc: on the validation rows, mean over the seeds; None where it was not trained.
        seconds: spent on it.
        note: what is not as usual: cut short, or not trained and why.
        folder: of its run, if there is one.
    """

    name: str
    log_loss: float | None
    auc: float | None
    seconds: float
    note: str = ""
    folder: Path | None = field(default=None, compare=False)


def training_options(
    rows: int,
    *,
    epochs: int | None,
    batch_size: int | None,
    **given: Any,
) -> runs.TrainOptions:
    """Options of a training on so many rows; what is None follows from them.

    Few rows take small batches. Passes go on until a model has made about 2,000 steps, but no more than four, for
    models of click logs learn their rows by heart soon; of fewer than 10,000 rows so many that they make 40,000, but no
    more than 30, and then training ends where three passes brought nothing on the validation rows.
    """
    batch = batch_size if batch_size is not None else max(32, min(512, 1 << (max(1, rows // 32).bit_length() - 1)))
    steps = -(-rows // batch)
    most = max(_PASSES, min(_MOST_PASSES, _FEW_ROWS // rows))
    passes = max(1, min(most, -(-_STEPS // steps))) if epochs is None else epochs
    patience = _PATIENCE if epochs is None and passes > 2 * _PATIENCE else None
    return runs.TrainOptions(epochs=passes, batch_size=batch, patience=patience, **given)


@dataclass(frozen=True)
class Trainer:
    """Trains on prepared rows.

    Folders belong to these options alone: a run that ended there is taken as it is.

    Attributes:
        data: the prepared folder.
        rows, valid_rows: that train, and that every pass is scored on.
        folder: below which each run gets its own.
        options: of every training.
        progress: whether bars are shown.
    """

    data: Path
    rows: int
    valid_rows: int
    folder: Path
    options: runs.TrainOptions
    progress: bool = False

    @property
    def steps(self) -> int:
        """Of a whole training."""
        return self.options.total_steps(-(-self.rows // self.options.batch_size))

    def train(self, model: Any, name: str, folder: str, max_steps: int | None = None) -> Candidate:
        """Trains a model, or finds it trained. Raises `KeyboardInterrupt` on Ctrl-C, when what is done is kept."""
        started = time.monotonic()
        found = self._run(model, folder, max_steps, self.options.seeds)
        scores = found.scores["valid"]
        note = f"{max_steps:,} of {self.steps:,} steps" if max_steps is not None and max_steps < self.steps else ""
        return Candidate(name, scores["log_loss"], scores["auc"], time.monotonic() - started, note, found.folder)

    def train_within(self, clock: Clock, model: Any, name: str, folder: str, *, always: bool = False) -> Candidate:
        """The same in the time that is left: with fewer steps, or, unless `always`, not at all where these would be
        fewer than a fifth of a whole training."""
        if clock.limit_s is None or self.steps <= 2 * PROBE_STEPS:  # a trial would take as long
            return self.train(model, name, folder)
        started = time.monotonic()
        if clock.left_s <= 0 and not always:
            return Candidate(name, None, None, 0.0, NO_TIME)
        fixed_s, step_s = self._pace(model, f"{folder}-trial")
        affordable = int((clock.left_s * SLACK / self.options.seeds - fixed_s) / step_s)
        least = max(PROBE_STEPS, int(self.steps * _LEAST_SHARE))
        if affordable < least and not always:
            needs_s = (fixed_s + step_s * least) * self.options.seeds
            note = f"not trained: {needs_s:.1f} s for a fifth of its steps, {max(0.0, clock.left_s):.1f} s left"
            return Candidate(name, None, None, time.monotonic() - started, note)
        steps = None if affordable >= self.steps else max(PROBE_STEPS, affordable)
        return dataclasses.replace(self.train(model, name, folder, steps), seconds=time.monotonic() - started)

    def _pace(self, model: Any, folder: str) -> tuple[float, float]:
        """Seconds of a training besides its steps, and of a step with its share of the evaluations after each pass."""
        started = time.monotonic()
        found = self._run(model, folder, PROBE_STEPS, 1)
        trained_s = float(found.report["train_s"])
        step_s = trained_s / max(1, found.report["steps"])
        evaluation_s = _EVALUATION * step_s * self.valid_rows / self.options.batch_size
        steps_of_pass = -(-self.rows // self.options.batch_size)
        return max(0.0, time.monotonic() - started - trained_s), step_s + evaluation_s / steps_of_pass

    def _run(self, model: Any, folder: str, max_steps: int | None, seeds: int) -> runs.TrainRun:
        place = self.folder / folder
        if (place / "report.json").is_file():
            done = runs.load(place)
            if isinstance(done, runs.TrainRun) and not done.interrupted and "valid" in done.scores:
                return done
        # What was begun for another time limit has other steps to go.
        fresh = max_steps is not None and place.exists()
        options = dataclasses.replace(self.options, max_steps=max_steps, seeds=seeds, fresh=fresh)
        found = runs.train(model, self.data, place, options, self.progress)
        if found.interrupted:
            raise KeyboardInterrupt
        return found
