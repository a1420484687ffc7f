"""What each op asks of the digital unit: a row an op, and an error for an op without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nasrec_ir import TensorType
from nasrec_pim.errors import MappingError
from nasrec_pim.hardware import Hardware

__all__ = ["NO_WORK", "Work", "digital_work", "epilogue_work", "matrix_work", "work_energy_nJ", "work_ns"]


class Work(NamedTuple):
    """Operations on the digital unit, per sample.

    Attributes:
        multiplies: multiplications.
        adds: additions, comparisons, selections.
        specials: roots, quotients, exponentials.
        passes: times that the data goes through the unit's pipeline.
        moved: values read and written.
    """

    multiplies: int
    adds: int
    specials: int
    passes: int
    moved: int


NO_WORK = Work(0, 0, 0, 0, 0)

Types = Sequence[TensorType]
Rule = Callable[[Types, TensorType, Mapping[str, Any]], Work]


def digital_work(op: str, operands: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    """What a node of the digital unit asks of it.

    Raises:
        MappingError: the op has no row, so that it would be free.
    """
    rule = RULES.get(op)
    if rule is None:
        raise MappingError(
            f"op {op} has no cost on the digital unit; map a graph of plain ops, before ops were fused with each other"
        )
    return rule(operands, result, attrs)


def epilogue_work(values: int, groups: int, attrs: Mapping[str, Any], bias: bool) -> Work:
    """What follows a stored product: rescaling to the activations' precision, bias, norm, activation.

    Args:
        values: results of the product per sample.
        groups: normalisations per sample.
        attrs: attributes of the node.
        bias: whether a bias is added.
    """
    work = Work(values, values * (2 if bias else 1), 0, 1, 2 * values)
    if attrs.get("norm"):
        work = _together(work, _norm(values, groups))
    if attrs.get("activation", "none") == "relu":
        work = _together(work, Work(0, values, 0, 0, 0))
    elif attrs.get("activation", "none") == "sigmoid":
        work = _together(work, Work(0, values, 2 * values, 1, 2 * values))
    return work


def matrix_work(inputs: int, outputs: int, vectors: int) -> Work:
    """A product with a stored matrix, for hardware without crossbars."""
    macs = inputs * outputs * vectors
    return Work(macs, macs, 0, 1, (inputs + outputs) * vectors)


def work_ns(work: Work, hardware: Hardware) -> float:
    """Time on one unit: multiplications beside additions, specials behind, and the pipeline's depth once a pass."""
    if work == NO_WORK or "digital" in hardware.ideal:
        return 0.0
    unit = hardware.digital
    clocks = -(-max(work.multiplies, work.adds) // unit.lanes) - (-work.specials // unit.special_lanes)
    return (clocks + work.passes * unit.depth_clocks) * 1e3 / unit.clock_MHz


def work_energy_nJ(work: Work, hardware: Hardware) -> dict[str, float]:
    """Energy of the operations, and of reading and writing their values."""
    unit = hardware.digital
    if "digital" in hardware.ideal:
        return {"arithmetic": 0.0, "registers": 0.0}
    arithmetic = work.multiplies * unit.multiply_pJ + work.adds * unit.add_pJ + work.specials * unit.special_pJ
    moved = work.moved * hardware.mapping.act_bits / 8 * unit.register_pJ_per_byte
    return {"arithmetic": arithmetic * 1e-3, "registers": moved * 1e-3}


def _together(*works: Work) -> Work:
    return Work(*(sum(column) for column in zip(*works, strict=True)))


def _norm(values: int, groups: int) -> Work:
    """Mean; centred squares; root and scaling: three passes."""
    return Work(3 * values + 2 * groups, 4 * values, groups, 3, 4 * values)


def _elements(types: Types) -> int:
    return sum(t.elements for t in types)


def _pointwise(multiplies: int = 0, adds: int = 0, specials: int = 0) -> Rule:
    """So many operations for each value of the result."""

    def rule(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
        n = result.elements
        return Work(multiplies * n, adds * n, specials * n, 1, _elements(types) + n)

    return rule


def _add(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    return Work(0, (len(types) - 1) * result.elements, 0, 1, _elements(types) + result.elements)


def _layer_norm(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    size = types[0].shape[attrs["axis"] - 1]
    return _norm(result.elements, result.elements // size if size else 0)


def _sum(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    return Work(0, _elements(types), 0, 1, _elements(types) + result.elements)


def _pairwise_dot(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    """Only the triangle that is kept."""
    macs = result.elements * types[0].shape[1]
    return Work(macs, macs, 0, 1, _elements(types) + result.elements)


def _factorization_machine(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    n, channels = types[0].elements, result.elements
    return Work(n + channels, 2 * n + channels, 0, 2, n + channels)


def _self_attention(types: Types, result: TensorType, attrs: Mapping[str, Any]) -> Work:
    """Q K^T, scaling, softmax (largest, difference, exponential, sum, quotient), and the product with V."""
    fields, channels = result.shape
    scores = fields * fields * attrs["heads"]
    macs = 2 * fields * fields * channels
    return Work(
        multiplies=macs + 2 * scores,
        adds=macs + 3 * scores,
        specials=scores + fields * attrs["heads"],
        passes=5,
        moved=_elements(types) + result.elements + 4 * scores,
    )


RULES: Mapping[str, Rule] = {
    "add": _add,
    "batch_norm": _pointwise(multiplies=1, adds=1),  # its statistics are constants: a factor and an offset a position
    "factorization_machine": _factorization_machine,
    "hadamard_pairs": _pointwise(multiplies=1),
    "layer_norm": _layer_norm,
    "mask": _pointwise(adds=1),
    "mul": _pointwise(multiplies=1),
    "numeric_embedding": _pointwise(multiplies=1),
    "pairwise_dot": _pairwise_dot,
    "relu": _pointwise(adds=1),
    "scale": _pointwise(multiplies=1),
    "self_attention": _self_attention,
    "sigmoid": _pointwise(adds=1, specials=2),
    "sum": _sum,
}
"""Work by op."""
