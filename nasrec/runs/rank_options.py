"""The options of a ranking study."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasrec.checks import format_value, number
from nasrec.errors import SearchError
from nasrec.runs.space import SpaceOptions
from nasrec.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from nasrec.runs.supernet import SupernetLike

__all__ = ["ComparisonOptions", "RankOptions"]


@dataclass(frozen=True)
class RankOptions(SpaceOptions):
    """Which supernets are examined, and on which architectures. The space (see `SpaceOptions`) and `embedding_dim`
    follow from `supernet` where one is given; what is said of them beside it must agree.

    Attributes:
        supernet: a trained one; None: supernets are trained.
        matrix: train one for each strategy of path sampling and each masking.
        unbalanced: with `matrix`, without operator-balanced dot-product too.
        finetune: score without and with so many steps of fine-tuning the last layer (the paper takes 500).
        finetune_rows: that these steps read over and over: the fewer, the faster.
        valid_rows: validation rows to score on; None: all.
        supernet_seeds: supernets of each kind.
        supernet_epochs: passes over the rows.
        supernet_lr: peak learning rate.
        supernet_batch_size: rows of a step.
        embedding_dim: E, channels of an embedding; None: those of `supernet`, else 16.
        architectures: to train from scratch, drawn at random.
        all_architectures: train every one of the space instead, for a tabular benchmark.
        truth: the table of trained architectures, shared between studies; None: truth.jsonl in the folder.
        recipe: how architectures are trained from scratch; None: the defaults.
        truth_seeds: trainings of each.
        seed: of all draws.

    Raises:
        SearchError: a value is out of range, or options do not go together; the message names the field.
    """

    supernet: SupernetLike | None = None
    matrix: bool = False
    unbalanced: bool = False
    finetune: int = 500
    finetune_rows: int = 32_768
    valid_rows: int | None = None
    supernet_seeds: int = 1
    supernet_epochs: int = 1
    supernet_lr: float = 0.12
    supernet_batch_size: int = 512
    embedding_dim: int | None = None
    architectures: int = 60
    all_architectures: bool = False
    truth: str | os.PathLike[str] | None = None
    recipe: TrainingRecipe | None = None
    truth_seeds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_counts(self, _LEAST, ("valid_rows", "embedding_dim"))
        if not (number(self.supernet_lr) or 0) > 0:
            raise SearchError(f"supernet_lr must be a positive number, not {format_value(self.supernet_lr)}")
        if self.matrix and self.supernet is not None:
            raise SearchError("matrix trains supernets; leave out --supernet (supernet=)")


_LEAST = {
    "finetune": 1, "finetune_rows": 1, "valid_rows": 1, "supernet_seeds": 1, "supernet_epochs": 1,
    "supernet_batch_size": 1, "embedding_dim": 1, "architectures": 3, "truth_seeds": 1, "seed": 0,
}  # fmt: skip
"""Of each number, the smallest that makes sense."""


@dataclass(frozen=True)
class ComparisonOptions:
    """How search algorithms are compared.

    Attributes:
        budget: architectures that a search may ask for; None: a quarter of the table's.
        seeds: searches of each algorithm.

    Raises:
        SearchError: a value is out of range; the message names the field.
    """

    budget: int | None = None
    seeds: int = 100

    def __post_init__(self) -> None:
        _require_counts(self, {"budget": 1, "seeds": 2}, ("budget",))


def _require_counts(options: object, least: dict[str, int], optional: tuple[str, ...]) -> None:
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is None and name in optional:
            continue
        if type(value) is not int or value < smallest:
            raise SearchError(f"{name} must be a whole number of at least {smallest}, not {format_value(value)}")
