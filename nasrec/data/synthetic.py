"""Synthetic twins of the public click logs: same columns, planted interactions, a known best possible score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasrec.data.dataset import ClickLog, Schema
from nasrec.data.encode import squash
from nasrec.data.profiles import PROFILES, DenseColumn
from nasrec.data.teacher import Teacher
from nasrec.errors import DataError

if TYPE_CHECKING:
    from nasrec.train.metrics import Metrics

__all__ = ["Twin", "ceiling", "synthesize"]

_PROBE_ROWS = 20_000
_ZIPF = 1.5


@dataclass(frozen=True, eq=False)
class Twin:
    """A synthetic log, the score of the teacher that drew its labels (no model can beat it but by luck), and the
    integer counts behind its dense columns: `counts` float64 [N, num_dense], NaN = missing."""

    log: ClickLog
    ceiling: Metrics
    counts: NDArray[np.float64]


def synthesize(kind: str = "criteo", rows: int = 200_000, seed: int = 0, *, max_cardinality: int = 1000) -> Twin:
    """Draw `rows` impressions that look like `kind` ("criteo", "avazu", "kdd", "frappe") from outside.

    Columns, missing values and click rate follow the public data set; table sizes too, capped at `max_cardinality`
    ids (id 0 = missing among them), so that values come back often enough to be learnt from 100,000 rows. Ids follow a
    Zipf law and are ordered by popularity; columns are independent of each other. Labels are drawn from a hidden
    teacher with planted interactions (`nasrec.data.teacher`). Deterministic by `seed`; the teacher depends on `kind`,
    `seed` and `max_cardinality` but not on `rows`.
    """
    if kind not in PROFILES:
        raise DataError(f"kind {kind!r} is unknown; twins are made of {', '.join(PROFILES)}")
    if rows < 1 or max_cardinality < 8:
        raise DataError(f"rows must be at least 1 and max_cardinality at least 8, got {rows}, {max_cardinality}")
    if seed < 0:
        raise DataError(f"seed must be at least 0, got {seed}")
    profile = PROFILES[kind]
    cardinalities = tuple(min(column.cardinality + 1, max_cardinality) for column in profile.sparse)
    teacher_rng, probe_rng, row_rng, label_rng = np.random.default_rng(seed).spawn(4)

    probe_dense = squash(_draw_counts(probe_rng, profile.dense, _PROBE_ROWS)).astype(np.float64)
    popularity = [_popularity(column.missing, n) for column, n in zip(profile.sparse, cardinalities, strict=True)]
    probe_ids = _draw_ids(probe_rng, popularity, _PROBE_ROWS)
    mean, deviation = probe_dense.mean(axis=0), probe_dense.std(axis=0)
    teacher = Teacher.draw(teacher_rng, popularity, profile.click_rate, (probe_dense - mean) / deviation, probe_ids)

    counts = _draw_counts(row_rng, profile.dense, rows)
    ids = _draw_ids(row_rng, popularity, rows)
    dense = squash(counts)
    logits = teacher((dense - mean) / deviation, ids)
    clicks = label_rng.random(rows) < 1 / (1 + np.exp(-logits))
    log = ClickLog(
        Schema(tuple(c.name for c in profile.dense), tuple(c.name for c in profile.sparse), cardinalities),
        dense,
        ids,
        clicks.astype(np.float32),
        f"synthetic twin of {profile.title} ({rows:,} rows, seed {seed})",
        logits.astype(np.float32),
    )
    return Twin(log, ceiling(log), counts)


def ceiling(log: ClickLog) -> Metrics:
    """The teacher's own score on synthetic rows, such as one part of a split: what a perfect model would get."""
    from nasrec.train.metrics import score

    if log.true_logits is None:
        raise DataError(f"{log.source}: no teacher is known for these rows; only synthetic logs have a ceiling")
    return score(log.true_logits, log.label)


def _draw_counts(rng: np.random.Generator, columns: tuple[DenseColumn, ...], rows: int) -> NDArray[np.float64]:
    counts = np.empty((rows, len(columns)))
    for j, column in enumerate(columns):
        values = np.floor(np.exp(np.log(column.median + 0.5) + column.spread * rng.standard_normal(rows)))
        chance = rng.random(rows)
        if column.negative:
            values[chance < column.negative] = -1 - (rng.random(rows) < 0.2)[chance < column.negative]
        values[chance >= 1 - column.missing] = np.nan
        counts[:, j] = values
    return counts


def _popularity(missing: float, cardinality: int) -> NDArray[np.float64]:
    """Probability of every id: a Zipf law from id 1 on, and `missing` for id 0."""
    zipf = np.arange(1, cardinality) ** -_ZIPF
    return np.concatenate([[missing], (1 - missing) * zipf / zipf.sum()])


def _draw_ids(rng: np.random.Generator, popularity: list[NDArray[np.float64]], rows: int) -> NDArray[np.int32]:
    ids = np.empty((rows, len(popularity)), dtype=np.int32)
    for j, probability in enumerate(popularity):
        # Rounding may leave the sum below 1: the last id takes what is left.
        ids[:, j] = np.searchsorted(np.cumsum(probability)[:-1], rng.random(rows), side="right")
    return ids
