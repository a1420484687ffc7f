"""Ops that stand for a small graph of plain ones: kernels run them as one, everything else reads their expansion."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec_ir.graph import Node
from nasrec_ir.ops.builder import Builder
from nasrec_ir.ops.linear import require_scales
from nasrec_ir.ops.table import Attr, Attrs, Op, ParamRule, Types, require, require_rank
from nasrec_ir.types import ParamRef, TensorType


def _infer(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    channels, heads = types[0].shape[1], attrs["heads"]
    require(channels > 0 and channels % heads == 0, "{} channels do not divide into {} heads", channels, heads)
    return TensorType(types[0].shape)


def _params(types: Types, attrs: Attrs) -> ParamRule:
    require_scales(attrs)
    channels = types[0].shape[1]
    rule: ParamRule = {}
    for part, rows in (("qkv", 3 * channels), ("out", channels), ("norm1", 0), ("fc1", channels), ("fc2", channels)):
        rule[f"{part}_weight"] = ((rows, channels) if rows else (channels,), True)
        rule[f"{part}_bias"] = ((rows or channels,), True)
    return rule | {"norm2_weight": ((channels,), True), "norm2_bias": ((channels,), True)}


def _expand(b: Builder, node: Node, operands: Sequence[str]) -> str:
    """The nodes that lowering makes of the operator, and the passes of a masked one."""
    attrs, refs, (x,) = FIELD_ATTENTION.attributes(node), dict(node.params), operands
    fields, channels = b.type(x).shape
    padded = attrs["padded"]

    def linear(part: str, operand: str, out: int, activation: str = "none") -> str:
        params = _of(refs, part)
        precision = {key: attrs[key] for key in ("weight_bits", "per_tensor")}
        name = f"{node.id}.{part}"
        return b.add("channel_linear", [operand], id=name, params=params, out=out, activation=activation, **precision)

    def residual(number: int, left: str, right: str) -> str:
        added = b.add("add", [left, right], id=f"{node.id}.add{number}")
        params = _of(refs, f"norm{number}")
        return b.add("layer_norm", [added], id=f"{node.id}.norm{number}", params=params, axis=2, eps=attrs["eps"])

    seen = b.add("pad", [x], id=f"{node.id}.pad", size=fields + padded) if padded else x
    mixed = b.add("self_attention", [linear("qkv", seen, 3 * channels)], id=node.id, heads=attrs["heads"])
    h = residual(1, seen, linear("out", mixed, channels))
    if padded:
        h = b.add("slice", [h], id=f"{node.id}.part", stop=fields)
    return residual(2, h, linear("fc2", linear("fc1", h, channels, "relu"), channels))


def _of(refs: dict[str, ParamRef], part: str) -> dict[str, ParamRef]:
    return {"weight": refs[f"{part}_weight"], "bias": refs[f"{part}_bias"]}


FIELD_ATTENTION = Op(
    name="field_attention",
    doc="""norm2(h + W_fc2 relu(W_fc1 h + b_fc1) + b_fc2), h = norm1(x + W_out attention(W_qkv x + b_qkv) + b_out),
    norms over the channels: attention, section 3.1, behind its projection of the fields, [B, f, e] -> [B, f, e].
    `padded` more fields, all zero, are attended to but give no output: the masked fields of a supernet.""",
    arity=(1, 1),
    attrs=(
        Attr("heads", "count"),
        Attr("padded", "size", 0),
        Attr("eps", "positive", 1e-5),
        Attr("weight_bits", "bits", None),
        Attr("per_tensor", "flag", False),
    ),
    infer=_infer,
    params=_params,
    home="crossbar",
    expand=_expand,
)
