"""The model chosen in a given time: baselines, the cheap ones first, then a search, then baselines again where time is
left; the validation rows decide."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from typing import Any

from nasrec import runs
from nasrec.errors import EstimatorError, NasrecError
from nasrec.estimator.trainer import NO_TIME, PROBE_STEPS, SLACK, Candidate, Clock, Trainer
from nasrec.runs.search import best_trials

__all__ = ["BASELINES", "best_of", "candidates"]

BASELINES = ("logistic_regression", "dlrm", "deepfm", "dcn_v2", "wide_and_deep", "xdeepfm", "autoint_plus")
"""In the order in which they are trained: a step of each takes about as long as one of those before, or longer."""

BASELINE_SHARE = 0.5
"""Of the time, for baselines; what they leave is the search's."""

SUPERNET_SHARE, SEARCH_SHARE = 0.4, 0.3
"""Of the time that is left, for a supernet's training and then for the search; the rest trains what was found."""

SPACE: dict[str, Any] = {"space": "small", "blocks": 3, "dense_widths": (16, 32, 64, 128), "sparse_widths": (16, 32)}
_LEAST_STEPS = 200
"""Of a supernet, below which its scores say little."""
_TRIALS, _MOST_EVALUATIONS, _EVOLUTION = 8, 512, 64
_RETRAINED = 3


def candidates(trainer: Trainer, clock: Clock) -> list[Candidate]:
    """Every model that was trained, and every one that was not, with the reason."""
    found = _baselines(trainer, clock.part(BASELINE_SHARE), {}, always=True)
    started = time.monotonic()
    training_s = max((one.seconds for one in found.values() if one.log_loss is not None), default=0.0)
    try:
        searched = list(_searched(trainer, clock, training_s))
    except NasrecError as failure:
        searched = [Candidate("search", None, None, time.monotonic() - started, f"not searched: {failure}")]
    return [*_baselines(trainer, clock, found).values(), *searched]


def _baselines(
    trainer: Trainer, clock: Clock, known: dict[str, Candidate], *, always: bool = False
) -> dict[str, Candidate]:
    """Trains those that are not trained yet, until the first that takes too long: those behind it would too.

    Args:
        always: the first one in any case.
    """
    found, is_over = dict[str, Candidate](), False
    for name in BASELINES:
        before = known.get(name, Candidate(name, None, None, 0.0, NO_TIME))
        found[name] = before
        if before.log_loss is not None or is_over:
            continue
        try:
            tried = trainer.train_within(clock, name, name, name, always=always and not known and len(found) == 1)
        except NasrecError as failure:
            found[name] = dataclasses.replace(before, note=f"not trained: {failure}")
            continue
        found[name] = dataclasses.replace(tried, seconds=before.seconds + tried.seconds)
        is_over = tried.log_loss is None
    return found


def best_of(found: list[Candidate]) -> Candidate:
    """The one with the smallest log loss on the validation rows. Raises `EstimatorError` if none was trained."""
    trained = [(candidate.log_loss, number) for number, candidate in enumerate(found) if candidate.log_loss is not None]
    if not trained:
        raise EstimatorError(f"no model could be trained; {found[0].name}: {found[0].note}")
    return found[min(trained)[1]]


def _searched(trainer: Trainer, clock: Clock, training_s: float) -> Iterator[Candidate]:
    """The best genotypes of a search, trained from scratch; what was spent before counts for the first of them.

    Args:
        training_s: what one of these trainings takes at least, by that of the slowest baseline.
    """
    started = time.monotonic()
    place = trainer.folder / "search"
    shutil.rmtree(place, ignore_errors=True)  # of another time limit
    steps, why = _supernet_steps(trainer, clock, training_s)
    if steps is None:
        yield Candidate("search", None, None, time.monotonic() - started, why)
        return
    net = _train_supernet(trainer, "search/supernet", steps)
    evaluations = _evaluations(trainer, clock, net)
    found = _search(trainer, net, "search/found", evaluations)
    spent_s = time.monotonic() - started
    for trial in best_trials(found.goal, found.trials, net.features, _RETRAINED):
        name = f"search, trial {trial.number} of {len(found.trials)}"
        trained = trainer.train_within(clock, trial.candidate, name, f"search/trial-{trial.number}")
        yield dataclasses.replace(trained, seconds=trained.seconds + spent_s)
        spent_s = 0.0


def _supernet_steps(trainer: Trainer, clock: Clock, training_s: float) -> tuple[int | None, str]:
    """How many steps a supernet can be trained, or None and why it cannot: the time for these, or for what follows, is
    too short."""
    if clock.limit_s is None:
        return trainer.steps, ""
    if clock.left_s <= 0:
        return None, "not searched: no time left"
    if (needs_s := training_s / (1 - SUPERNET_SHARE - SEARCH_SHARE)) > clock.left_s:
        return None, f"not searched: {needs_s:.1f} s at least, {clock.left_s:.1f} s left"
    started = time.monotonic()
    trial = _train_supernet(trainer, "search/supernet-trial", PROBE_STEPS)
    step_s = float(trial.report["train_s"]) / max(1, trial.report["steps"])
    fixed_s = time.monotonic() - started - float(trial.report["train_s"])
    steps = int((clock.left_s * SUPERNET_SHARE * SLACK - fixed_s) / step_s)
    least = min(_LEAST_STEPS, trainer.steps)
    if steps >= least:
        return min(steps, trainer.steps), ""
    needs_s = (least * step_s + fixed_s) / SUPERNET_SHARE / SLACK
    return None, f"not searched: {needs_s:.1f} s at least, {max(0.0, clock.left_s):.1f} s left"


def _evaluations(trainer: Trainer, clock: Clock, net: runs.SupernetRun) -> int:
    """How many genotypes can be scored."""
    if clock.limit_s is None:
        return _MOST_EVALUATIONS
    started = time.monotonic()
    trial = _search(trainer, net, "search/found-trial", _TRIALS)
    evaluation_s = float(trial.report["evaluation_s"]) / _TRIALS
    fixed_s = time.monotonic() - started - float(trial.report["evaluation_s"])
    affordable = int((clock.left_s * SEARCH_SHARE / (1 - SUPERNET_SHARE) - fixed_s) / evaluation_s)
    return max(_TRIALS, min(_MOST_EVALUATIONS, affordable))


def _train_supernet(trainer: Trainer, folder: str, steps: int) -> runs.SupernetRun:
    own = trainer.options
    options = runs.SupernetOptions(
        **SPACE, epochs=own.epochs, max_steps=steps, batch_size=own.batch_size, embedding_dim=own.embedding_dim or 16,
        seed=own.seed, device=own.device,
    )  # fmt: skip
    found = runs.train_supernet(trainer.data, trainer.folder / folder, options, trainer.progress)
    if found.interrupted:
        raise KeyboardInterrupt
    return found


def _search(trainer: Trainer, net: runs.SupernetRun, folder: str, evaluations: int) -> runs.SearchRun:
    options = runs.SearchOptions(algorithm="random", evaluations=evaluations, finetune=0, seed=trainer.options.seed)
    if evaluations >= _EVOLUTION:
        population = evaluations // 4
        options = dataclasses.replace(
            options, algorithm="evolution", population=population, sample=max(2, population // 4), children=4,
            iterations=(evaluations - population) // 4,
        )  # fmt: skip
    found = runs.search(net.folder, trainer.data, trainer.folder / folder, options, trainer.progress)
    if found.interrupted:
        raise KeyboardInterrupt
    return found
