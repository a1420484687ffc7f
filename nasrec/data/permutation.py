"""A random order of n things that needs no memory: any place of it can be asked for at any time.

Splits and epochs are orders of rows. As a shuffled list they would take 8 bytes a row and could not be continued in
the middle; as a keyed bijection of 0..n-1 they take none, and a run that stopped goes on at the very row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Permutation"]

_ROUNDS = 8
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Permutation:
    """The permutation of 0..n-1 that the integers `key` name; call it with places [K], get numbers [K].

    A Feistel network of eight rounds over the next power of two, with the finaliser of SplitMix64 (Steele et al.,
    OOPSLA 2014) as its round function; numbers beyond n are sent through again until they fall inside (cycle walking,
    Black and Rogaway, CT-RSA 2002).
    """

    def __init__(self, n: int, *key: int) -> None:
        self.n = n
        bits = max(2, (n - 1).bit_length())
        self._widths = (bits - bits // 2, bits // 2)  # of the high and the low half
        self._keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = self._once(places.astype(np.uint64))
        outside = np.flatnonzero(numbers >= self.n)
        while len(outside):
            again = self._once(numbers[outside])
            numbers[outside] = again
            outside = outside[again >= self.n]
        return numbers.astype(np.int64)

    def _once(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        high_bits, low_bits = self._widths
        high, low = numbers >> np.uint64(low_bits), numbers & _mask(low_bits)
        for key in self._keys:
            mixed = (low ^ key) * _FIRST
            mixed ^= mixed >> np.uint64(32)
            mixed *= _SECOND
            # The upper bits of a product are the well mixed ones.
            mixed >>= np.uint64(64 - high_bits)
            high, low = low, high ^ mixed
            high_bits, low_bits = low_bits, high_bits
        joined: NDArray[np.uint64] = (high << np.uint64(low_bits)) | low
        return joined


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)
