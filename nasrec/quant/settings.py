"""How the scales of a quantised model's activations are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.errors import QuantError

__all__ = ["METHODS", "Calibration"]

METHODS = ("max", "percentile", "mse")


@dataclass(frozen=True)
class Calibration:
    """How the range of a layer's operands is chosen. Raises `QuantError` naming the field on a value out of range.

    - `method`: "max": the largest magnitude met; "percentile": the magnitude that `percentile` per cent of the values
      do not exceed; "mse": the range at which rounding and clipping together make the least squared error.
    - `percentile`: above 0 to 100.
    - `rows`: of the log, spread evenly over it.
    - `batch_size`: of a pass; changes no result but that of rounding.
    """

    method: str = "mse"
    percentile: float = 99.99
    rows: int = 8192
    batch_size: int = 1024

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise QuantError(f"calibration must be one of {', '.join(METHODS)}, not {self.method!r:.40}")
        if not isinstance(self.percentile, (int, float)) or not 0 < self.percentile <= 100:
            raise QuantError(f"percentile must be above 0 and at most 100, not {self.percentile!r:.40}")
        for name in ("rows", "batch_size"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise QuantError(f"{name} must be a whole number of at least 1, not {value!r:.40}")
