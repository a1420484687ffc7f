"""Numbers as crossbars see them: integers of few bits, cut into digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quantised", "digits_of", "largest_integer", "quantise"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantised:
    """Integers and the step between them: `value = integers * step`."""

    integers: Floats
    step: float


def largest_integer(bits: int) -> int:
    """2^(bits - 1) - 1, for a sign and bits - 1 of magnitude; with one bit there are only the signs."""
    return max(1, (1 << (bits - 1)) - 1)


def quantise(values: Floats, bits: int, largest: float | None = None) -> Quantised:
    """Symmetric uniform quantisation: q = clip(round(x / s), -q_max, q_max), s = largest / q_max (MNSIM 2.0's rule).

    Args:
        values: what to quantise.
        bits: precision, sign included.
        largest: magnitude that the largest integer stands for; default: that of the values.
    """
    top = largest_integer(bits)
    bound = float(np.max(np.abs(values), initial=0.0)) if largest is None else largest
    step = bound / top if bound > 0 else 1.0
    return Quantised(np.clip(np.rint(values / step), -top, top), step)


def digits_of(magnitudes: Floats, base_bits: int, count: int) -> NDArray[np.float32]:
    """Digits of non-negative integers to base 2^base_bits, lowest first: shape `(count, ...)`."""
    whole = magnitudes.astype(np.int64)
    base = 1 << base_bits
    return np.stack([(whole >> (base_bits * i)) % base for i in range(count)]).astype(np.float32)
