"""The options of a supernet's training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

from nasrec.checks import format_value
from nasrec.errors import TrainError
from nasrec.runs.options import CHANNELS
from nasrec.runs.space import SpaceOptions
from nasrec.train.config import TrainConfig

if TYPE_CHECKING:
    from nasrec.space.choices import Counts
    from nasrec.supernet import PathSampling

__all__ = ["SupernetOptions"]


@dataclass(frozen=True)
class SupernetOptions(SpaceOptions, TrainConfig):
    """How `train_supernet` trains: the space (see `SpaceOptions`), the loop's settings (see `nasrec.train.TrainConfig`;
    the optimizer is Adagrad, and tables have no decay), and these.

    Attributes:
        lr: peak learning rate, the paper's (section 5.1).
        strategy: how the path of a step is drawn: "single-operator-single-connection", "any-operator-any-connection" or
            "single-operator-any-connection".
        counts: the number of connections: "binomial", with probability 1/2, or "uniform".
        warmup_share: of the steps over which the full supernet is taken ever less often; 0 for never.
        masking: see `nasrec.supernet.Supernet`.
        embedding_dim: E, channels of an embedding.
        device: "cpu", "cuda", or "auto" for a card where there is one.
        checkpoint_every: steps between checkpoints; None: about once a minute.
        tensorboard: write event files too.
        fresh: remove what earlier runs left in the folder, and begin anew.

    Raises:
        SpaceError, TrainError: a value is out of range; the message names the field.
    """

    lr: float | None = 0.12
    strategy: str = "single-operator-any-connection"
    counts: str = "binomial"
    warmup_share: float = 0.2
    masking: str = "full_width"
    embedding_dim: int = CHANNELS
    device: str = "auto"
    checkpoint_every: int | None = None
    tensorboard: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        TrainConfig.__post_init__(self)
        SpaceOptions.__post_init__(self)
        for name in ("embedding_dim", "checkpoint_every"):
            value = getattr(self, name)
            if value is None and name != "embedding_dim":
                continue
            if type(value) is not int or value < 1:
                raise TrainError(f"{name} must be a whole number of at least 1, not {format_value(value)}")

    @property
    def config(self) -> TrainConfig:
        """The loop's settings alone."""
        return TrainConfig(**{one.name: getattr(self, one.name) for one in fields(TrainConfig)})

    @property
    def sampling(self) -> PathSampling:
        """How paths are drawn. Raises `TrainError` naming the field on a value out of range."""
        from nasrec.supernet import PathSampling

        return PathSampling(self.strategy, cast("Counts", self.counts), self.warmup_share)
