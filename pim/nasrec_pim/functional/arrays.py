"""A stored matrix as arrays of cells, and products with it: digit by digit, through converters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nasrec_ir.quantize import Quantized, largest_integer
from nasrec_pim.functional.cells import Nonideal, Position, effective_levels
from nasrec_pim.functional.digits import digits_of
from nasrec_pim.hardware import Hardware
from nasrec_pim.mapping.cost_cache import Key

__all__ = ["StoredMatrix", "store"]

Floats = NDArray[np.float64]
Levels = NDArray[np.float32]

CHUNK_VALUES = 1 << 18
"""Column sums that are converted at once: enough to amortise the calls, few enough to stay in cache."""


@dataclass
class StoredMatrix:
    """One copy of a matrix on crossbars.

    Attributes:
        weights: integers `[K, N]` and their step.
        groups: for each set of rows that is driven at once, its rows and the levels of their cells, `[rows, planes N]`,
            of the positive array less those of the negative one.
        planes: bit planes; `plane_bits` bits each.
        offset: what every stored weight has been raised by (one polarity).
        nonideal: effects in force.
        adc_step: levels that one step of the converters stands for; None: sums are read exactly.
        largest_sum: largest column sum met, for calibration.
    """

    hardware: Hardware
    weights: Quantized
    groups: list[tuple[slice, Levels]]
    planes: int
    plane_bits: int
    offset: int
    act_bits: int
    nonideal: Nonideal
    rng: np.random.Generator
    adc_step: float | None = None
    largest_sum: float = field(default=0.0)

    def multiply(self, inputs: Floats) -> Floats:
        """Integer products `[n, N]` of integer inputs `[n, K]`, as the converters give them.

        Inputs are applied `dac.resolution_bits` bits of magnitude at a time, sign included; each group of rows is
        converted on its own; digits are shifted and added exactly.
        """
        outputs = self.weights.integers.shape[1]
        dac_bits = self.hardware.dac.resolution_bits
        steps = -(-max(self.act_bits - 1, 1) // dac_bits)
        rows_at_once = max(1, CHUNK_VALUES // (steps * self.planes * outputs))
        out = np.empty((len(inputs), outputs))
        for start in range(0, len(inputs), rows_at_once):
            chunk = inputs[start : start + rows_at_once]
            digits = np.sign(chunk).astype(np.float32) * digits_of(np.abs(chunk), dac_bits, steps)
            out[start : start + len(chunk)] = self._sums(digits, steps, dac_bits)
            if self.offset:
                out[start : start + len(chunk)] -= self.offset * chunk.sum(axis=1, keepdims=True)
        return out

    def effective_weights(self) -> Floats:
        """The weights `[K, N]` that the cells stand for, in steps of the integers: these, where cells are exact."""
        factors = 2.0 ** (self.plane_bits * np.arange(self.planes))
        parts = [levels.reshape(len(levels), self.planes, -1) for _, levels in self.groups]
        return np.asarray(np.einsum("p,kpn->kn", factors, np.concatenate(parts))) - self.offset

    def _sums(self, digits: Levels, steps: int, dac_bits: int) -> Floats:
        """Sum over input steps, groups of rows and planes, for digits `[steps, n, K]`."""
        count = digits.shape[1]
        total = np.zeros((steps, count * self.planes * self.weights.integers.shape[1]))
        for rows, levels in self.groups:
            sums = digits[:, :, rows].reshape(steps * count, -1) @ levels
            total += self._converted(sums).reshape(steps, -1)
        of_step = (2.0 ** (dac_bits * np.arange(steps))) @ total
        planes = of_step.reshape(count, self.planes, -1)
        weights = 2.0 ** (self.plane_bits * np.arange(self.planes))
        return np.asarray(np.einsum("p,bpn->bn", weights, planes))

    def _converted(self, sums: Levels) -> Levels:
        if self.nonideal.read_noise and self.hardware.device.read_noise_percent > 0:
            noise = self.rng.standard_normal(sums.shape, dtype=np.float32)
            noise *= np.float32(self.hardware.device.read_noise_percent / 100)
            noise += 1
            sums *= noise
        if not self.nonideal.adc:
            return sums
        if self.adc_step is None:  # calibrating
            self.largest_sum = max(self.largest_sum, float(np.max(np.abs(sums), initial=0.0)))
            return sums
        codes = largest_integer(self.hardware.adc.resolution_bits)
        sums *= np.float32(1 / self.adc_step)
        np.rint(sums, out=sums)
        np.clip(sums, -codes, codes, out=sums)
        sums *= np.float32(self.adc_step)
        return sums

    def set_converters(self) -> None:
        """Fixes the converters' step, from the largest sum met since the matrix was stored where it is calibrated."""
        codes = largest_integer(self.hardware.adc.resolution_bits)
        if self.nonideal.adc_range == "clip":
            self.adc_step = 1.0
        elif self.nonideal.adc_range == "full":
            rows = max(len(levels) for _, levels in self.groups)
            largest = rows * (2**self.hardware.dac.resolution_bits - 1) * (2**self.plane_bits - 1)
            self.adc_step = max(1.0, largest / codes)
        else:
            self.adc_step = max(1.0, self.largest_sum / codes)


def store(
    weights: Quantized,
    key: Key,
    planes: int,
    positions: Sequence[tuple[slice, slice, Position]],
    hardware: Hardware,
    nonideal: Nonideal,
    rng: np.random.Generator,
) -> StoredMatrix:
    """Programs one copy of a matrix.

    Args:
        weights: integers `[K, N]`.
        key: the matrix with its precisions.
        planes: bit planes it was costed with.
        positions: its blocks: rows, columns, and where the block lies in its array.
        hardware: the chip.
        nonideal: effects in force.
        rng: random numbers for this copy.
    """
    plane_bits = hardware.device.cell_bits if hardware.corrects("cell_bits") else 1
    both = hardware.pe.polarity == 2
    offset = 0 if both else 2 ** (key.weight_bits - 1)
    integers = weights.integers + offset
    signs = (1, -1) if both else (1,)
    held = np.zeros((planes, *integers.shape), dtype=np.float32)
    for sign in signs:
        digits = digits_of(np.maximum(sign * integers, 0), plane_bits, planes)
        if nonideal.exact_cells:
            held += sign * digits
            continue
        for rows, columns, position in positions:
            block = digits[:, rows, columns]
            held[:, rows, columns] += sign * effective_levels(block, 2**plane_bits, hardware, nonideal, position, rng)
    groups = []
    for rows in driven_groups(key.inputs, hardware):
        levels = np.ascontiguousarray(held[:, rows].transpose(1, 0, 2).reshape(rows.stop - rows.start, -1))
        groups.append((rows, levels))
    stored = StoredMatrix(hardware, weights, groups, planes, plane_bits, offset, key.act_bits, nonideal, rng)
    if nonideal.adc and nonideal.adc_range != "calibrated":
        stored.set_converters()
    return stored


def driven_groups(inputs: int, hardware: Hardware) -> list[slice]:
    """Rows whose currents are summed in one conversion: d at a time, within a subarray of a crossbar."""
    size, subarray, at_once = hardware.crossbar.size, hardware.subarray_rows, hardware.dacs_per_subarray
    edges = {inputs, *range(0, inputs, size)}
    for block in range(0, inputs, size):
        for first in range(block, min(block + size, inputs), subarray):
            edges.update(range(first, min(first + subarray, inputs), at_once))
    ordered = sorted(edges)
    return [slice(a, b) for a, b in pairwise(ordered)]
