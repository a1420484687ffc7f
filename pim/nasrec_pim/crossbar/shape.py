"""How a matrix is cut over bit planes, crossbars, processing elements and tiles.

MNSIM 2.0's rules; arrays over matrices throughout, so that one pass serves one matrix or a whole population.
Symbols: K x N matrix, W and A bits of weights and activations, X crossbar side, U subarray rows, S = X/U, G groups,
a and d converters per subarray and group, P elements per tile, M elements of the matrix, m of them in a tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import Hardware

__all__ = ["Matrices", "Shape", "ceil_div", "ceil_log2", "shape_of", "summed"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matrices:
    """Stored matrices, one entry of each array a matrix.

    Attributes:
        inputs: features in, K (word lines).
        outputs: features out, N (bit lines).
        weight_bits, act_bits: precisions, sign included.
        copies: how often the matrix is stored, for vectors side by side.
    """

    inputs: Ints
    outputs: Ints
    weight_bits: Ints
    act_bits: Ints
    copies: Ints

    @classmethod
    def of(
        cls,
        inputs: ArrayLike,
        outputs: ArrayLike,
        weight_bits: ArrayLike = 8,
        act_bits: ArrayLike = 8,
        copies: ArrayLike = 1,
    ) -> Matrices:
        """Matrices from anything that broadcasts together.

        Raises:
            MappingError: an entry is no positive integer.
        """
        given = {
            "inputs (K)": inputs,
            "outputs (N)": outputs,
            "weight_bits": weight_bits,
            "act_bits": act_bits,
            "copies": copies,
        }
        arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in given.items()}
        for name, array in arrays.items():
            if array.dtype.kind not in "iu" or array.size == 0 or int(array.min()) < 1 or int(array.max()) > 2**31:
                raise MappingError(f"{name} = {given[name]!r:.60} must be integers from 1 to {2**31}")
            if name.endswith("bits") and int(array.max()) > 32:
                raise MappingError(
                    f"{name} = {int(array.max())} exceeds 32 bits, the most that a crossbar is costed for"
                )
        return cls(*(np.array(a, dtype=np.int64) for a in np.broadcast_arrays(*arrays.values())))

    def __len__(self) -> int:
        return len(self.inputs)

    def single_copies(self) -> Matrices:
        """The same matrices, each stored once."""
        return replace(self, copies=np.ones_like(self.copies))


@dataclass(frozen=True)
class Shape:
    """Where the matrices lie; arrays over matrices, names as in MNSIM's report where it has one.

    Attributes:
        planes: bit planes, W' (with the correction `cell_bits`: slices of as many bits as a cell holds).
        row_blocks, column_blocks: crossbars that K and N are cut over.
        plane_sets: elements that the planes of one block take, ceil(W'/G).
        pes: elements, M, copies included.
        tiles: tiles of the layer.
        pes_per_tile: m = min(M, P), charged in every tile.
        rows, columns: R = min(K, X) and C = min(N, X), charged in every crossbar.
        groups_used: g = min(W', G).
        steps: applications of the inputs, ceil(A / DAC bits).
        row_passes, column_passes: turns until all rows are driven and all columns converted, of a full block.
        input_bytes, output_bytes: sizes of an element's input buffer and a tile's output buffer.
    """

    matrices: Matrices
    planes: Ints
    row_blocks: Ints
    column_blocks: Ints
    plane_sets: Ints
    pes: Ints
    tiles: Ints
    pes_per_tile: Ints
    rows: Ints
    columns: Ints
    groups_used: Ints
    steps: Ints
    row_passes: Ints
    column_passes: Ints
    input_bytes: Floats
    output_bytes: Floats

    @property
    def cycles(self) -> Ints:
        """Conversions of a column's converter: n = steps x row passes x column passes."""
        return self.steps * self.row_passes * self.column_passes


def shape_of(matrices: Matrices, hardware: Hardware) -> Shape:
    """Cuts matrices over the hardware.

    Raises:
        MappingError: 1-bit weights on two polarities leave no magnitude to store (without correction `edge_cases`).
    """
    size, pe_count = hardware.crossbar.size, hardware.tile.pe_count
    planes = _planes(matrices, hardware)
    plane_sets = ceil_div(planes, hardware.pe.groups)
    row_blocks, column_blocks = ceil_div(matrices.inputs, size), ceil_div(matrices.outputs, size)
    pes = plane_sets * row_blocks * column_blocks * matrices.copies
    tiles = ceil_div(pes, pe_count)
    rows, columns = np.minimum(matrices.inputs, size), np.minimum(matrices.outputs, size)
    return Shape(
        matrices=matrices,
        planes=planes,
        row_blocks=row_blocks,
        column_blocks=column_blocks,
        plane_sets=plane_sets,
        pes=pes,
        tiles=tiles,
        pes_per_tile=np.minimum(pes, pe_count),
        rows=rows,
        columns=columns,
        groups_used=np.minimum(planes, hardware.pe.groups),
        steps=ceil_div(matrices.act_bits, hardware.dac.resolution_bits),
        row_passes=ceil_div(rows, driven_rows(hardware)),
        column_passes=column_passes(columns, hardware),
        input_bytes=2.0 ** ceil_log2(matrices.inputs * matrices.act_bits / 8 / pes),
        output_bytes=2.0 ** ceil_log2(2 * matrices.outputs * matrices.act_bits / 8 / tiles),
    )


def driven_rows(hardware: Hardware) -> int:
    """Rows driven at once in a crossbar: d in each of its subarrays."""
    return hardware.dacs_per_subarray * hardware.subarrays


def column_passes(columns: Ints, hardware: Hardware) -> Ints:
    """Turns of the converters over so many columns; both polarities have columns if subtraction is digital.

    MNSIM counts one polarity (correction `digital_subtraction`).
    """
    both = digital_subtraction(hardware) and hardware.corrects("digital_subtraction")
    return ceil_div(columns * (2 if both else 1), hardware.adc.per_subarray)


def digital_subtraction(hardware: Hardware) -> bool:
    """Whether columns of the negative crossbar are converted on their own."""
    return hardware.pe.polarity == 2 and hardware.pe.subtraction == "digital"


def mapping_figures(shape: Shape, hardware: Hardware) -> dict[str, Any]:
    """MNSIM's mapping report; arrays over matrices, or one number for all."""
    groups, polarity = hardware.pe.groups, hardware.pe.polarity
    return {
        "mx": shape.plane_sets * shape.column_blocks * shape.matrices.copies,
        "my": shape.row_blocks,
        "PEs": shape.pes,
        "tiles": shape.tiles,
        "max_PE_per_tile": shape.pes_per_tile,
        "max_row": shape.rows,
        "max_column": shape.columns,
        "max_group": shape.groups_used,
        "crossbars_used": shape.pes * shape.groups_used * polarity,
        "crossbars_allocated": shape.tiles * hardware.tile.pe_count * groups * polarity,
        "pe_inbuf_KB": shape.input_bytes / 1024,
        "tile_outbuf_KB": shape.output_bytes / 1024,
        "input_demux": input_demux(hardware),
        "output_mux": output_mux(hardware),
        "PE_ADC_num": groups * hardware.adc.per_subarray * hardware.subarrays,
        "PE_DAC_num": groups * hardware.dacs_per_subarray * hardware.subarrays,
        "cycles": shape.cycles,
    }


def input_demux(hardware: Hardware) -> int:
    """Rows that share a DAC: ceil(U / d)."""
    return -(-hardware.subarray_rows // hardware.dacs_per_subarray)


def output_mux(hardware: Hardware) -> int:
    """Columns that share an ADC: ceil(X / a), of both polarities if subtraction is digital."""
    columns = hardware.crossbar.size * (2 if digital_subtraction(hardware) else 1)
    return -(-columns // hardware.adc.per_subarray)


def ceil_div(numerator: Ints, denominator: int | Ints) -> Ints:
    """The quotient, rounded up."""
    return -(-numerator // denominator)


def ceil_log2(values: NDArray[Any]) -> Floats:
    """The logarithm to base 2, rounded up; exact at powers of two."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.where(mantissa == 0.5, exponent - 1, exponent), dtype=np.float64)


def summed(values: Iterable[Floats]) -> Floats:
    """The sum of arrays, first to last."""
    first, *others = values
    total = first
    for value in others:
        total = total + value
    return total


def _planes(matrices: Matrices, hardware: Hardware) -> Ints:
    magnitude_bits = matrices.weight_bits - (1 if hardware.pe.polarity == 2 else 0)
    if int(magnitude_bits.min()) < 1:
        if not hardware.corrects("edge_cases"):
            raise MappingError(
                "1-bit weights leave no magnitude beside their sign on crossbars of two polarities; "
                "use 2 bits, pe.polarity=1, or the correction edge_cases"
            )
        magnitude_bits = np.maximum(magnitude_bits, 1)
    return ceil_div(magnitude_bits, hardware.device.cell_bits if hardware.corrects("cell_bits") else 1)
