"""The options of a training run; those of other workflows hold these where they train."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasrec.checks import format_value, integer, number
from nasrec.errors import TrainError
from nasrec.train.config import TrainConfig

__all__ = ["CHANNELS", "TrainOptions", "TuneOptions", "resolved"]

CHANNELS = 16
"""Of an embedding, where nothing says how many."""

_RESOLVED = {"lr": "peak_lr", "eps": "denominator_eps", "embedding_decay": "table_decay"}
"""Settings whose default follows from others."""


@dataclass(frozen=True)
class TuneOptions:
    """Peak learning rates to choose from: `trials` of them from `low` to `high`, equal ratios between neighbours.

    The default range is the paper's (section 5.1). Raises `TrainError` where the range is none.
    """

    low: float = 0.1
    high: float = 0.2
    trials: int = 5

    def __post_init__(self) -> None:
        low, high = number(self.low), number(self.high)
        if low is None or high is None or not 0 < low <= high:
            raise TrainError(
                f"the range of learning rates must be 0 < LOW <= HIGH, not {format_value(self.low)} to "
                f"{format_value(self.high)}"
            )
        if (integer(self.trials) or 0) < 1:
            raise TrainError(f"trials must be a whole number of at least 1, not {format_value(self.trials)}")

    @property
    def rates(self) -> list[float]:
        """The learning rates, to four digits."""
        steps = max(1, self.trials - 1)
        found = [self.low * (self.high / self.low) ** (i / steps) for i in range(self.trials)]
        return list(dict.fromkeys(float(f"{rate:.4g}") for rate in found))


@dataclass(frozen=True)
class TrainOptions(TrainConfig):
    """How `nasrec.runs.train` trains: the loop's settings (see `nasrec.train.TrainConfig`), and these.

    Attributes:
        seeds: runs, each with a seed of its own, from `seed` on.
        embedding_dim: E, channels of an embedding; None: those of a graph or run, else 16.
        embedding_std: standard deviation of the tables' initial values; None: Xavier's, by rows and channels.
        model_options: of a baseline, such as `{"hidden": (400, 400)}`; a genotype takes `dropout`.
        weights: a state dict to start from, a file or the folder of a run.
        tune: choose the peak learning rate by mean validation log loss over the seeds first.
        device: "cpu", "cuda", or "auto" for a card where there is one.
        shard_tables: "table" or "row": of several processes each holds a part of the embedding tables.
        checkpoint_every: steps between checkpoints; None: about once a minute.
        tensorboard: write event files too.
        fresh: remove what earlier runs left in the folder, and begin anew.

    Raises:
        TrainError: a value is out of range; the message names the field.
    """

    seeds: int = 1
    embedding_dim: int | None = None
    embedding_std: float | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    tune: TuneOptions | None = None
    device: str = "auto"
    shard_tables: str | None = None
    checkpoint_every: int | None = None
    tensorboard: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("seeds", "embedding_dim", "checkpoint_every"):
            value = getattr(self, name)
            if value is None and name != "seeds":
                continue
            if type(value) is not int or value < 1:
                raise TrainError(f"{name} must be a whole number of at least 1, not {format_value(value)}")
        if self.embedding_std is not None and not (number(self.embedding_std) or 0) > 0:
            raise TrainError(f"embedding_std must be a positive number, not {format_value(self.embedding_std)}")

    @property
    def config(self) -> TrainConfig:
        """The loop's settings alone, defaults that follow from others written out."""
        own = {one.name: getattr(self, one.name) for one in dataclasses.fields(TrainConfig)}
        return resolved(TrainConfig(**own))


def resolved(config: TrainConfig) -> TrainConfig:
    """With defaults that follow from other settings written out."""
    return dataclasses.replace(config, **{name: getattr(config, of) for name, of in _RESOLVED.items()})
