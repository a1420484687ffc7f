"""Integers as crossbars hold them: cut into digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["digits_of"]


def digits_of(magnitudes: NDArray[np.float64], base_bits: int, count: int) -> NDArray[np.float32]:
    """Digits of non-negative integers to base 2^base_bits, lowest first: shape `(count, ...)`."""
    whole = magnitudes.astype(np.int64)
    base = 1 << base_bits
    return np.stack([(whole >> (base_bits * i)) % base for i in range(count)]).astype(np.float32)
