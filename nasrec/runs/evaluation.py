"""What a search measures of a genotype, by names that another process can make it from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import SearchError
from nasrec.runs.data import DataSource, RunData
from nasrec.runs.hardware import load_hardware
from nasrec.search.objectives import Goal

if TYPE_CHECKING:
    from nasrec.genotype import Genotype
    from nasrec.search.evaluator import Evaluator
    from nasrec.supernet import Scorer, Supernet

__all__ = ["EvaluatorSpec"]


@dataclass(frozen=True)
class EvaluatorSpec:
    """Everything that measuring needs, by name.

    Attributes:
        supernet: path of the file.
        data: the rows; those that lie in memory are for this process alone.
        seed: of a synthetic log.
        goal: see `Goal`.
        hardware: preset or file, for in-memory values.
        finetune: steps of the last layer before a score is taken.
        finetune_rows: that they read, over and over.
        valid_rows: at most.
    """

    supernet: str
    data: DataSource | RunData
    seed: int
    goal: Goal
    hardware: str
    finetune: int
    finetune_rows: int
    valid_rows: int

    def load(self) -> tuple[Supernet, RunData]:
        """The supernet and the rows. Raises `SearchError` where they do not belong together."""
        from nasrec.supernet import load

        net = load(self.supernet)
        data = self.data if isinstance(self.data, RunData) else self.data.load(seed=self.seed)
        if data.splits.train.features(net.features.embedding_dim) != net.features:
            raise SearchError(
                f"{self.supernet}: was trained on {net.features.num_dense} dense and {net.features.num_sparse} "
                f"categorical columns of other sizes than those of {data.source}; give the data that it was trained on"
            )
        return net, data

    def make(self) -> Callable[[Genotype], Mapping[str, float]]:
        """What measures, in this process."""
        net, data = self.load()
        return self.evaluator(net, data)

    def evaluator(self, net: Supernet, data: RunData) -> Evaluator:
        """The same from a supernet and rows that are there already."""
        from nasrec.search.evaluator import SCORES, Evaluator

        scored = any(name in SCORES for name in self.goal.names)
        in_memory = any(name.startswith("pim.") for name in self.goal.names)
        return Evaluator(
            self.goal,
            net.features,
            scorer=self.scorer(net, data) if scored else None,
            hardware=load_hardware(self.hardware) if in_memory else None,
        )

    def scorer(self, net: Supernet, data: RunData) -> Scorer:
        """What scores a genotype on the validation rows."""
        from nasrec.supernet import FinetuneConfig, Scorer

        return Scorer(
            net,
            data.splits.valid,
            train_log=data.splits.train if self.finetune else None,
            tuning=FinetuneConfig(self.finetune, distinct_rows=self.finetune_rows) if self.finetune else None,
            most_rows=self.valid_rows,
        )

    def identity(self, net: Supernet, data: RunData) -> dict[str, Any]:
        """What the measured values follow from, as plain values."""
        with Path(self.supernet).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"supernet": digest, "space": net.space.to_dict(), "data": data.sha256}
