"""The state of a run besides weights and optimizer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasrec.errors import TrainError
from nasrec.metrics import Metrics
from nasrec.train.result import Evaluation, HistoryPoint

__all__ = ["State", "Window"]


@dataclass
class Window:
    """Sums since the last history point: of the steps' mean losses, of rows and seconds."""

    loss: float = 0.0
    steps: int = 0
    rows: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """Mean loss of a step; NaN before the first."""
        return self.loss / self.steps if self.steps else math.nan


@dataclass
class State:
    """The progress of a run after a whole number of steps.

    Attributes:
        steps: updates done; rows: rows read for them, by all ranks.
        train_s: seconds in steps.
        rate_cuts: how often a plateau has lowered the learning rate.
        evaluations_since_best: evaluations on the validation log since the best one.
        reader: position of the reader, see `Reader.state_dict`.
    """

    steps: int = 0
    rows: int = 0
    train_s: float = 0.0
    history: list[HistoryPoint] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    evaluations_since_best: int = 0
    rate_cuts: int = 0
    stopped_early: bool = False
    finished: bool = False
    window: Window = field(default_factory=Window)
    reader: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> State:
        """The inverse of `to_dict`. Raises `TrainError` where the values are not such a state."""
        try:
            known = dict(values)
            if "looks_since_best" in known:  # as versions before 0.2 wrote it
                known["evaluations_since_best"] = known.pop("looks_since_best")
            known["history"] = [HistoryPoint(**point) for point in known["history"]]
            known["evaluations"] = [_evaluation(values) for values in known["evaluations"]]
            known["best"] = None if known["best"] is None else _evaluation(known["best"])
            known["window"] = Window(**known["window"])
            return cls(**known)
        except (TypeError, KeyError) as error:
            raise TrainError(f"the state of the run is damaged or of another version: {error}") from None


def _evaluation(values: Mapping[str, Any]) -> Evaluation:
    return Evaluation(values["step"], values["epoch"], Metrics(**values["metrics"]))
