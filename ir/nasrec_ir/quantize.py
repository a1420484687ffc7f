"""Numbers as integers of few bits: the definition of every quantised product, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Quantized", "largest_integer", "quantize", "scale_of"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantized:
    """Integers, kept as floats, and the step between them.

    Attributes:
        integers: whole numbers from -q_max to q_max.
        step: what one stands for: a number, or an array that broadcasts.
    """

    integers: Array
    step: float | Array

    @property
    def values(self) -> Array:
        """What the integers stand for."""
        return np.asarray(self.integers * self.step)


def largest_integer(bits: int) -> int:
    """q_max = 2^(bits - 1) - 1, for a sign and bits - 1 of magnitude; with one bit there are only the signs."""
    return max(1, (1 << (bits - 1)) - 1)


def scale_of(values: npt.ArrayLike, bits: int, axis: int | None = None) -> Array:
    """The step at which the largest magnitude becomes q_max (MNSIM 2.0's rule), 1 where that leaves none.

    Args:
        values: what is to be quantised.
        bits: precision, sign included.
        axis: take the largest along this axis alone, which stays with size 1; default: of all, as a scalar.
    """
    largest = np.max(np.abs(values), axis=axis, initial=0.0, keepdims=axis is not None)
    scale = np.asarray(largest / largest_integer(bits))
    return np.where(scale == 0, np.ones_like(scale), scale)


def quantize(values: Array, bits: int, scale: float | Array | None = None) -> Quantized:
    """Symmetric uniform quantisation: q = clip(round(x / scale), -q_max, q_max), halves to even.

    Args:
        values: what to quantise.
        bits: precision, sign included.
        scale: the step; default: `scale_of` all the values.
    """
    top, step = largest_integer(bits), scale_of(values, bits) if scale is None else scale
    return Quantized(np.clip(np.rint(values / step), -top, top), step)
