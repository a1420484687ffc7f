"""Element-wise ops, and those that cut, pad, join or rename values."""

from __future__ import annotations

import math

from nasrec_ir.ops.table import Attr, Attrs, Listed, Op, Types, require
from nasrec_ir.types import TensorType


def _real(types: Types) -> None:
    for index, t in enumerate(types):
        require(t.dtype == "f32", "operand {} is {}, not real-valued", index, t)


def same_type(types: Types, attrs: Attrs) -> TensorType:
    """Zero stays zero."""
    _real(types)
    return types[0]


def _axis1(types: Types) -> None:
    _real(types)
    for index, t in enumerate(types):
        require(bool(t.shape), "operand {} is {}, which has no axis 1", index, t)


RELU = Op("relu", "max(x, 0).", (1, 1), same_type)
SIGMOID = Op("sigmoid", "1 / (1 + exp(-x)).", (1, 1), lambda types, attrs: TensorType(same_type(types, attrs).shape))
SCALE = Op("scale", "factor * x.", (1, 1), same_type, (Attr("factor", "float"),))


def _equal_shapes(types: Types) -> None:
    _real(types)
    require(len({t.shape for t in types}) == 1, "operands differ in shape: {}", Listed(types))


def _infer_add(types: Types, attrs: Attrs) -> TensorType:
    _equal_shapes(types)
    live = [t.live for t in types if t.live[0] < t.live[1]]
    hull = (min(low for low, _ in live), max(high for _, high in live)) if live else (0, 0)
    return TensorType(types[0].shape, live=hull)


def _infer_mul(types: Types, attrs: Attrs) -> TensorType:
    _equal_shapes(types)
    low, high = max(t.live[0] for t in types), min(t.live[1] for t in types)
    return TensorType(types[0].shape, live=(low, max(low, high)))


ADD = Op("add", "x_1 + ... + x_n, equal shapes.", (1, None), _infer_add)
MUL = Op("mul", "x_1 * x_2, element by element, equal shapes.", (2, 2), _infer_mul)


def _infer_mask(types: Types, attrs: Attrs) -> TensorType:
    _axis1(types)
    (t,) = types
    require(attrs["keep"] <= t.shape[0], "keep = {} exceeds the {} units of {}", attrs["keep"], t.shape[0], t)
    low, high = t.live
    return TensorType(t.shape, live=(min(low, attrs["keep"]), min(high, attrs["keep"])))


MASK = Op(
    "mask",
    "Zero behind the leading `keep` units or fields: a sampled width inside full-width weights, section 4.1.",
    (1, 1),
    _infer_mask,
    (Attr("keep", "size"),),
)


def _infer_slice(types: Types, attrs: Attrs) -> TensorType:
    _axis1(types)
    (t,) = types
    start, stop = attrs["start"], attrs["stop"]
    require(start <= stop <= t.shape[0], "{}:{} is not a range of the {} units of {}", start, stop, t.shape[0], t)
    low, high = max(t.live[0], start) - start, min(t.live[1], stop) - start
    return TensorType((stop - start, *t.shape[1:]), live=(low, high) if low < high else (0, 0))


SLICE = Op(
    "slice",
    "Units or fields start..stop-1.",
    (1, 1),
    _infer_slice,
    (Attr("start", "size", 0), Attr("stop", "size")),
    home="wire",
)


def _infer_take(types: Types, attrs: Attrs) -> TensorType:
    (t,) = types
    require(bool(t.shape), "operand 0 is {}, which has no axis 1", t)
    chosen = attrs["positions"]
    outside = [position for position in chosen if position >= t.shape[0]]
    require(not outside, "position {} lies outside of {}", outside[0] if outside else 0, t)
    low, high = t.live
    live = [place for place, position in enumerate(chosen) if low <= position < high]
    return TensorType((len(chosen), *t.shape[1:]), t.dtype, (live[0], live[-1] + 1) if live else (0, 0))


TAKE = Op(
    "take",
    "The units, fields or category ids at `positions`, in that order: what a pruned model reads of its features.",
    (1, 1),
    _infer_take,
    (Attr("positions", "positions"),),
    home="wire",
)


def _infer_pad(types: Types, attrs: Attrs) -> TensorType:
    _axis1(types)
    (t,) = types
    before, size = attrs["before"], attrs["size"]
    require(before + t.shape[0] <= size, "{} does not fit into {} units behind {} zeros", t, size, before)
    low, high = t.live
    return TensorType((size, *t.shape[1:]), live=(before + low, before + high) if low < high else (0, 0))


PAD = Op(
    "pad",
    "x behind `before` zeros and filled up with zeros to `size` units or fields.",
    (1, 1),
    _infer_pad,
    (Attr("before", "size", 0), Attr("size", "size")),
    home="wire",
)


def _infer_concat(types: Types, attrs: Attrs) -> TensorType:
    _axis1(types)
    require(len({t.shape[1:] for t in types}) == 1, "operands do not stack: {}", Listed(types))
    offset, ends = 0, []
    for t in types:
        if t.live[0] < t.live[1]:
            ends += [offset + t.live[0], offset + t.live[1]]
        offset += t.shape[0]
    return TensorType((offset, *types[0].shape[1:]), live=(ends[0], ends[-1]) if ends else (0, 0))


CONCAT = Op("concat", "x_1, ..., x_n joined along axis 1.", (1, None), _infer_concat, home="wire")


def _infer_zeros(types: Types, attrs: Attrs) -> TensorType:
    require(len(attrs["shape"]) >= 1, "shape = () has no axis 1")
    return TensorType(attrs["shape"], live=(0, 0))


ZEROS = Op("zeros", "Nothing but zeros.", (0, 0), _infer_zeros, (Attr("shape", "shape"),), home="wire")


def _infer_reshape(types: Types, attrs: Attrs) -> TensorType:
    _real(types)
    (t,) = types
    shape = attrs["shape"]
    require(
        t.elements == math.prod(shape),
        "{} holds {} entries, not the {} of {}",
        t,
        t.elements,
        math.prod(shape),
        shape,
    )
    if t.full or not shape:
        return TensorType(shape)
    before, after = (math.prod(s[1:]) for s in (t.shape, shape))
    if after == 0:  # no entries at all
        return TensorType(shape)
    low, high = t.live
    return TensorType(shape, live=(low * before // after, -(-high * before // after)))


RESHAPE = Op(
    "reshape",
    "The same entries, row-major, in another shape behind the batch axis.",
    (1, 1),
    _infer_reshape,
    (Attr("shape", "shape"),),
    home="wire",
)


def _infer_sum(types: Types, attrs: Attrs) -> TensorType:
    _real(types)
    (t,) = types
    require(len(t.shape) == 2, "operand 0 is {}, not fields [B, f, e]", t)
    if attrs["axis"] == 1:
        return TensorType((t.shape[1],), live=(0, t.shape[1] if t.live[0] < t.live[1] else 0))
    return TensorType((t.shape[0],), live=t.live)


SUM = Op(
    "sum",
    "Sum over the fields (axis 1: [B, f, e] -> [B, e]) or over the channels (axis 2: -> [B, f]).",
    (1, 1),
    _infer_sum,
    (Attr("axis", "axis"),),
)
