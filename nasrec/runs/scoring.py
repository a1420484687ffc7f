"""Scores of genotypes by the shared weights of a trained supernet."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nasrec.checks import format_value
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.metrics import Metrics
from nasrec.runs.data import DataLike
from nasrec.runs.model import ModelLike
from nasrec.runs.reporter import ProgressLike, reporter_of
from nasrec.runs.subnet import ExtractOptions
from nasrec.runs.supernet import SupernetLike
from nasrec.runs.supernet_inputs import genotype_of, label_of, open_supernet, rows_for
from nasrec.train.config import CHOICES

__all__ = ["GenotypeScore", "ScoreOptions", "SupernetScores", "score_genotypes"]


@dataclass(frozen=True)
class ScoreOptions(ExtractOptions):
    """How genotypes are scored: each with its last linear fine-tuned first, if `finetune` says so.

    Attributes:
        valid_rows: validation rows to score on, evenly spread; None: all.
        precision: of all but the last linear: "float32" or "bfloat16".
    """

    valid_rows: int | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.valid_rows is not None and (type(self.valid_rows) is not int or self.valid_rows < 1):
            raise TrainError(f"valid_rows must be a whole number of at least 1, not {format_value(self.valid_rows)}")
        if self.precision not in (known := CHOICES["precision"]):
            raise TrainError(f"precision {format_value(self.precision)} is unknown; use {' or '.join(known)}")


@dataclass(frozen=True)
class GenotypeScore:
    """One genotype by the shared weights: what it was named, its scores on the validation rows, and seconds taken."""

    label: str
    genotype: Genotype
    metrics: Metrics
    seconds: float


@dataclass(frozen=True)
class SupernetScores:
    """Scores of genotypes, in the order in which they were given.

    Attributes:
        data: the rows, as reports describe them.
        finetune: how the last linear of each was fine-tuned; None: not at all.
    """

    scores: tuple[GenotypeScore, ...]
    data: Mapping[str, Any]
    finetune: Mapping[str, Any] | None

    @property
    def best(self) -> GenotypeScore:
        """The one with the lowest log loss."""
        return min(self.scores, key=lambda score: score.metrics.log_loss)

    def to_dict(self) -> dict[str, Any]:
        """As the command prints it."""
        scores = [
            {"genotype": one.label, "name": one.genotype.name, **one.metrics.to_dict(), "seconds": one.seconds}
            for one in self.scores
        ]
        return {"command": "supernet score", "data": dict(self.data), "finetune": self.finetune, "scores": scores}


def score_genotypes(
    supernet: SupernetLike,
    genotypes: Sequence[ModelLike],
    data: DataLike | None = None,
    options: ScoreOptions | None = None,
    progress: ProgressLike = True,
) -> SupernetScores:
    """Scores genotypes by the shared weights on validation rows.

    Args:
        genotypes: each one of the supernet's space, or the name or file of one, or the folder of a run of one.
        data: the rows that the supernet was trained on; None: those that its run names.
        progress: see `nasrec.runs.train`.

    Raises:
        SpaceError: a genotype is not in the supernet's space.
        DataError: the rows have other columns than the supernet.
        NasrecError: a file cannot be read.
    """
    from nasrec.supernet import Scorer

    options = options or ScoreOptions()
    net = open_supernet(supernet, options.device)
    chosen = [(label_of(one), genotype_of(one, net)) for one in genotypes]
    rows, _ = rows_for(net, supernet, data, options.seed)
    train, valid, _ = rows.splits
    scorer = Scorer(
        net, valid, train_log=train, tuning=options.tuning, most_rows=options.valid_rows, precision=options.precision
    )
    found: list[GenotypeScore] = []
    meter = reporter_of(progress).meter()
    meter.begin("scores", len(chosen), "genotypes")
    try:
        for label, genotype in chosen:
            started = time.perf_counter()
            found.append(GenotypeScore(label, genotype, scorer(genotype), time.perf_counter() - started))
            meter.advance(len(found), f"last log loss {found[-1].metrics.log_loss:.4f}")
    finally:
        meter.end()
    tuning = options.tuning
    return SupernetScores(tuple(found), rows.summary(), None if tuning is None else asdict(tuning))
