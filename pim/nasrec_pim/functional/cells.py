"""What a programmed cell really holds: variation, stuck cells, drift, and the voltage that wires leave it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import Hardware

__all__ = ["IDEAL", "Nonideal", "Position", "effective_levels"]

Levels = NDArray[np.float32]

REFERENCE_S = 1.0
"""Time after programming at which a cell has its nominal conductance."""


@dataclass(frozen=True)
class Nonideal:
    """What is taken into account; the hardware's device and converters say how large it is.

    Attributes:
        variation: spread of the cells' resistances.
        stuck: cells stuck at the highest or lowest resistance.
        read_noise: noise of every read.
        drift_s: seconds since programming; 0: no drift.
        ir_drop: voltage lost along wires, to first order.
        adc: the converters' resolution; False: sums are read exactly.
        adc_range: what the largest code stands for: `"clip"`, as many steps as there are codes, larger sums clipped;
            `"full"`, the largest possible sum, so that steps are coarse; `"calibrated"`, the largest sum met in
            calibration, a step never finer than one.
    """

    variation: bool = True
    stuck: bool = True
    read_noise: bool = True
    drift_s: float = 0.0
    ir_drop: bool = False
    adc: bool = True
    adc_range: str = "calibrated"

    def __post_init__(self) -> None:
        if self.adc_range not in ("clip", "full", "calibrated"):
            raise MappingError(f"adc_range = {self.adc_range!r:.40} must be clip, full or calibrated")
        if not 0 <= self.drift_s < np.inf:
            raise MappingError(f"drift_s = {self.drift_s!r:.40} must be a number of seconds, at least 0")

    @property
    def exact_cells(self) -> bool:
        """Whether cells hold what was written."""
        return not (self.variation or self.stuck or self.ir_drop or self.drift_s > 0)


IDEAL = Nonideal(variation=False, stuck=False, read_noise=False, adc=False)
"""Cells hold what was written, sums are read exactly: a quantised model."""


@dataclass(frozen=True)
class Position:
    """Where a block lies in its array, for the length of wires."""

    top: int
    left: int


def effective_levels(
    digits: Levels, base: int, hardware: Hardware, nonideal: Nonideal, position: Position, rng: np.random.Generator
) -> Levels:
    """Levels that cells really stand for, in units of the difference of neighbouring levels.

    Resistances vary with a normal distribution, stuck cells have the highest or lowest one whatever was written, drift
    multiplies conductances by (t / 1 s)^-exponent. A cell's level is its conductance above that of level 0: what the
    lowest conductance adds to a sum is the same in the arrays of both polarities, or is subtracted as a reference.

    Args:
        digits: levels written, `[..., rows, columns]`.
        base: number of levels in use.
        hardware: the chip.
        nonideal: effects to take into account.
        position: place of the block in its array.
        rng: random numbers.
    """
    device = hardware.device
    nominal = _conductances(base, hardware)
    step = (nominal[-1] - nominal[0]) / (base - 1)
    level = digits.astype(np.int64)
    conductance = nominal[level]
    if nonideal.variation and device.variation_percent > 0:
        spread = device.variation_percent / 100
        if hardware.corrects("cell_variation"):
            factor = 1 + spread * rng.standard_normal(digits.shape, dtype=np.float32)
        else:  # MNSIM draws one number for all cells of a level
            factor = (1 + spread * rng.standard_normal(base))[level]
        conductance = conductance / np.maximum(factor, 0.05)
    if nonideal.stuck:
        draw = rng.random(digits.shape, dtype=np.float32) * 100
        low, high = device.stuck_hrs_percent, device.stuck_lrs_percent
        conductance = np.where(draw < low, nominal[0], np.where(draw < low + high, nominal[-1], conductance))
    if nonideal.drift_s > 0:
        conductance = conductance * max(nonideal.drift_s, REFERENCE_S) ** -device.drift_exponent
    above = conductance - nominal[0]
    if nonideal.ir_drop:
        above = conductance * _wire_factor(conductance, hardware, position) - nominal[0]
    return np.asarray(above / step, dtype=np.float32)


def _conductances(base: int, hardware: Hardware) -> NDArray[np.float64]:
    """Conductance of each level, siemens: the device's own, or evenly spaced between its ends."""
    own = 1 / np.array(hardware.device.resistances_ohm)
    return own if len(own) == base else np.linspace(own[0], own[-1], base)


def _wire_factor(conductance: NDArray[np.float64], hardware: Hardware, position: Position) -> NDArray[np.float64]:
    """Share of the voltage that reaches each cell.

    First order: currents are those of an array without wire resistance at the mean input; the voltage lost is theirs
    along the row from its driver (left) and along the column to its converter (bottom). A large loss is bounded by
    1 / (1 + loss).
    """
    segment = hardware.crossbar.wire_resistance_ohm
    active = hardware.device.high_input_fraction
    below = hardware.crossbar.size - position.top - conductance.shape[-2]
    # Through the wire left of column j flows what all columns from j on take.
    row_current = np.cumsum(conductance[..., ::-1], axis=-1)[..., ::-1]
    row_loss = np.cumsum(row_current, axis=-1) + position.left * row_current[..., :1]
    # Through the wire below row i flows what all rows down to i give.
    column_current = active * np.cumsum(conductance, axis=-2)
    column_loss = np.cumsum(column_current[..., ::-1, :], axis=-2)[..., ::-1, :]
    column_loss = column_loss + below * column_current[..., -1:, :]
    return np.asarray(1 / (1 + segment * (row_loss + column_loss)))
