"""Ops that multiply with a stored matrix, along each of the axes a value can have, and the layer norm that follows."""

from __future__ import annotations

from nasrec_ir.ops.table import Attr, Attrs, Listed, MatVec, Op, ParamRule, Types, require, require_rank
from nasrec_ir.types import TensorType

# Bits of the stored matrix and of what it multiplies; without, they are floats. Both are quantised symmetrically, see
# `nasrec_ir.quantize`: the matrix by a scale for each row (output), or by one for all of it; the operands together by
# the scale that the buffer `act_scale` holds, or where there is none by the largest magnitude of the batch.
PRECISION = (Attr("weight_bits", "bits", None), Attr("act_bits", "bits", None), Attr("per_tensor", "flag", False))
SCALES = frozenset({"act_scale"})


def require_scales(attrs: Attrs) -> None:
    """There is something that `per_tensor` can speak of."""
    require(not attrs["per_tensor"] or attrs["weight_bits"] is not None, "per_tensor is for weights with weight_bits")


def _scales(attrs: Attrs) -> ParamRule:
    require_scales(attrs)
    return {"act_scale": ((1,), False)} if attrs["act_bits"] else {}


# What may follow the product inside the same node. Lowering writes each step as a node of its own; the fusion pass
# folds them in, so that a kernel can do all of it while the result is in cache.
EPILOGUE = (
    Attr("norm", "flag", False),
    Attr("eps", "positive", 1e-5),
    Attr("activation", "activation", "none"),
    Attr("keep", "size", None),
    *PRECISION,
)


def _width(types: Types) -> int:
    return sum(t.shape[0] for t in types)


def _rows(attrs: Attrs) -> int:
    """Units behind the epilogue: only the leading `keep` of them are written, where that is set."""
    out, keep = attrs["out"], attrs["keep"]
    if keep is None:
        return int(out)
    require(attrs["norm"], "keep without norm: select rows of the weight instead")
    require(keep <= out, "keep = {} exceeds out = {}", keep, out)
    return int(keep)


def _params(types: Types, attrs: Attrs) -> ParamRule:
    out = attrs["out"]
    norm = {"norm_weight": ((out,), True), "norm_bias": ((out,), True)} if attrs["norm"] else {}
    return {"weight": ((out, _width(types)), True), "bias": ((out,), False), **norm, **_scales(attrs)}


def _infer_linear(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 1)
    return TensorType((_rows(attrs),))


def _infer_field_linear(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    channels = {t.shape[1] for t in types}
    require(len(channels) == 1, "operands differ in their channels: {}", Listed(types))
    return TensorType((_rows(attrs), types[0].shape[1]))


LINEAR = Op(
    name="linear",
    doc="""y = act(norm(W [x_1; ...; x_n] + b)): a fully connected layer over dense units, its operands joined
    without being copied. [B, n_j]... -> [B, out]. FC, eq. (1) in section 3.1; also every dense projection.""",
    arity=(1, None),
    attrs=(Attr("out", "size"), *EPILOGUE),
    infer=_infer_linear,
    params=_params,
    buffers=SCALES,
    home="crossbar",
    matvec=lambda types, attrs: MatVec(_width(types), attrs["out"], 1),
)

FIELD_LINEAR = Op(
    name="field_linear",
    doc="""The same along the field axis, for each embedding channel: [B, f_j, e]... -> [B, out, e]. Embedded FC
    (EFC), section 3.1, and the projections of fields in dot-product and attention.""",
    arity=(1, None),
    attrs=(Attr("out", "size"), *EPILOGUE),
    infer=_infer_field_linear,
    params=_params,
    buffers=SCALES,
    home="crossbar",
    matvec=lambda types, attrs: MatVec(_width(types), attrs["out"], types[0].shape[1]),
)


def _infer_channel_linear(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    return TensorType((types[0].shape[0], attrs["out"]))


CHANNEL_LINEAR = Op(
    name="channel_linear",
    doc="""y[b, f] = act(W x[b, f] + b): a linear layer over the channels of every field, [B, f, e] ->
    [B, f, out]. The projections and the feed-forward pair inside attention, section 3.1.""",
    arity=(1, 1),
    attrs=(
        Attr("out", "count"),
        Attr("activation", "activation", "none"),
        *PRECISION,
    ),
    infer=_infer_channel_linear,
    params=lambda types, attrs: {
        "weight": ((attrs["out"], types[0].shape[1]), True),
        "bias": ((attrs["out"],), False),
        **_scales(attrs),
    },
    buffers=SCALES,
    home="crossbar",
    matvec=lambda types, attrs: MatVec(types[0].shape[1], attrs["out"], types[0].shape[0]),
)


def norm_type(types: Types, attrs: Attrs) -> TensorType:
    """Of a norm along one axis of dense units or fields."""
    (t,) = types
    require(t.dtype == "f32" and len(t.shape) in (1, 2), "operand 0 is {}, not dense units or fields", t)
    require(attrs["axis"] <= len(t.shape), "axis = {} does not exist in {}", attrs["axis"], t)
    return TensorType(t.shape)


def norm_params(types: Types, attrs: Attrs) -> ParamRule:
    """Gain and offset of each position of that axis."""
    size = types[0].shape[attrs["axis"] - 1]
    return {"weight": ((size,), True), "bias": ((size,), True)}


LAYER_NORM = Op(
    name="layer_norm",
    doc="""(x - mean) / sqrt(var + eps) * weight + bias along one axis, biased variance (Ba et al. 2016): axis 1
    the units or the fields (for each channel), axis 2 the channels of each field. Shape unchanged.""",
    arity=(1, 1),
    attrs=(Attr("axis", "axis", 1), Attr("eps", "positive", 1e-5)),
    infer=norm_type,
    params=norm_params,
)
