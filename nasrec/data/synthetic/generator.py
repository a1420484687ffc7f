"""Synthetic logs in the manner of the public ones: same columns, planted interactions, a known best possible score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasrec.data.blocks import squash
from nasrec.data.dataset import ClickLog
from nasrec.data.schema import Schema
from nasrec.data.synthetic.profiles import PROFILES, DenseColumn, Profile
from nasrec.data.synthetic.teacher import Teacher
from nasrec.errors import DataError

if TYPE_CHECKING:
    from nasrec.metrics import Metrics

__all__ = ["BLOCK_ROWS", "Generator", "SyntheticLog", "synthesize", "teacher_score"]

BLOCK_ROWS = 1 << 14
"""Rows drawn at a time; part of what a synthetic log is, since each block has a random stream of its own."""

_PROBE_ROWS = 20_000
_ZIPF = 1.5


@dataclass(frozen=True, eq=False)
class SyntheticLog:
    """A synthetic log, the score of the teacher that drew its labels (no model can beat it but by luck), and the
    integer counts behind its dense columns: `counts` float64 [N, num_dense], NaN = missing."""

    log: ClickLog
    teacher_score: Metrics
    counts: NDArray[np.float64]


def synthesize(
    kind: str = "criteo", rows: int = 200_000, seed: int = 0, *, max_cardinality: int = 1000
) -> SyntheticLog:
    """Draws `rows` impressions with the columns and statistics of `kind`: "criteo", "avazu", "kdd" or "frappe".

    See `Generator`, whose first rows these are.
    """
    if rows < 1:
        raise DataError(f"rows must be at least 1, got {rows}")
    generator = Generator.build(kind, seed, max_cardinality)
    drawn = [generator.block(number) for number in range(-(-rows // BLOCK_ROWS))]
    counts, ids, logits, label = (
        np.concatenate([getattr(block, name) for block in drawn])[:rows]
        for name in ("counts", "ids", "logits", "label")
    )
    log = ClickLog(
        generator.schema,
        squash(counts, "signed-log"),
        ids,
        label.astype(np.float32),
        f"{generator.title} ({rows:,} rows, seed {seed})",
        logits.astype(np.float32),
    )
    return SyntheticLog(log, teacher_score(log), counts)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows of a synthetic log: `counts` float64 [K, num_dense] behind the dense columns, NaN = missing, `ids` int32
    [K, num_sparse], `logits` float64 [K] of the click probability, `label` uint8 [K]."""

    counts: NDArray[np.float64]
    ids: NDArray[np.int32]
    logits: NDArray[np.float64]
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Generator:
    """Endless rows of a synthetic log, in blocks that can be drawn in any order: row i depends on kind, seed, table
    size and i.

    Columns, missing values and click rate follow the public data set; table sizes too, capped at `max_cardinality`
    ids (id 0 = missing among them), so that values come back often enough to be learnt from 100,000 rows. Ids follow a
    Zipf law and are ordered by popularity; columns are independent of each other. Labels are drawn from a hidden
    teacher with planted interactions (`nasrec.data.synthetic.teacher`).
    """

    profile: Profile
    seed: int
    cardinalities: tuple[int, ...]
    teacher: Teacher
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    thresholds: tuple[NDArray[np.float64], ...]

    @classmethod
    def build(cls, kind: str, seed: int, max_cardinality: int) -> Generator:
        """Draws the teacher. Raises `DataError` on an unknown kind or values out of range."""
        if kind not in PROFILES:
            raise DataError(f"kind {kind!r} is unknown; synthetic logs are made of {', '.join(PROFILES)}")
        if max_cardinality < 8:
            raise DataError(f"max_cardinality must be at least 8, got {max_cardinality}")
        if seed < 0:
            raise DataError(f"seed must be at least 0, got {seed}")
        profile = PROFILES[kind]
        cardinalities = tuple(min(column.cardinality + 1, max_cardinality) for column in profile.sparse)
        teacher_rng, probe_rng = np.random.default_rng(seed).spawn(2)
        popularity = [_popularity(column.missing, n) for column, n in zip(profile.sparse, cardinalities, strict=True)]
        # Rounding may leave the sum below 1: the last id takes what is left.
        thresholds = tuple(np.cumsum(probability)[:-1] for probability in popularity)
        dense = squash(_draw_counts(probe_rng, profile.dense, _PROBE_ROWS), "signed-log").astype(np.float64)
        ids = _draw_ids(probe_rng, thresholds, _PROBE_ROWS)
        mean, deviation = dense.mean(axis=0), dense.std(axis=0)
        teacher = Teacher.draw(teacher_rng, popularity, profile.click_rate, (dense - mean) / deviation, ids)
        return cls(profile, seed, cardinalities, teacher, mean, deviation, thresholds)

    @property
    def schema(self) -> Schema:
        dense, sparse = ([column.name for column in columns] for columns in (self.profile.dense, self.profile.sparse))
        return Schema(tuple(dense), tuple(sparse), self.cardinalities)

    @property
    def title(self) -> str:
        return f"synthetic twin of {self.profile.title}"

    def block(self, number: int) -> Drawn:
        """Rows [number K, (number + 1) K) with K = `BLOCK_ROWS`."""
        # The first children of the seed draw teacher and probe; these are others.
        row_rng, label_rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(2, number))).spawn(2)
        counts = _draw_counts(row_rng, self.profile.dense, BLOCK_ROWS)
        ids = _draw_ids(row_rng, self.thresholds, BLOCK_ROWS)
        logits = self.teacher((squash(counts, "signed-log") - self.mean) / self.deviation, ids)
        label = label_rng.random(BLOCK_ROWS) < 1 / (1 + np.exp(-logits))
        return Drawn(counts, ids, logits, label.astype(np.uint8))


def teacher_score(log: ClickLog) -> Metrics:
    """The teacher's own score on synthetic rows, such as one part of a split: what a perfect model would get."""
    from nasrec.metrics import score

    if log.true_logits is None:
        raise DataError(f"{log.source}: no teacher is known for these rows; only synthetic logs have a teacher")
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


def _draw_ids(rng: np.random.Generator, thresholds: tuple[NDArray[np.float64], ...], rows: int) -> NDArray[np.int32]:
    ids = np.empty((rows, len(thresholds)), dtype=np.int32)
    for j, cumulative in enumerate(thresholds):
        ids[:, j] = np.searchsorted(cumulative, rng.random(rows), side="right")
    return ids
