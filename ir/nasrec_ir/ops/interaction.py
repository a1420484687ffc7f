"""Ops that multiply features with features."""

from __future__ import annotations

from nasrec_ir.ops.table import Attr, Attrs, Listed, Op, Types, require, require_rank
from nasrec_ir.types import TensorType


def _infer_pairwise_dot(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    require(len({t.shape[1] for t in types}) == 1, "operands differ in their channels: {}", Listed(types))
    rows = _rows(types)
    low, high = _live_rows(types)
    live = (low * (low + 1) // 2 + low, high * (high - 1) // 2)
    return TensorType((rows * (rows - 1) // 2,), live=live if live[0] < live[1] else (0, 0))


def _rows(types: Types) -> int:
    return sum(t.shape[0] for t in types)


def _live_rows(types: Types) -> tuple[int, int]:
    """The hull of the operands' live rows, one below the other."""
    starts = [sum(t.shape[0] for t in types[:i]) for i in range(len(types))]
    live = [
        (start + t.live[0], start + t.live[1]) for start, t in zip(starts, types, strict=True) if t.live[0] < t.live[1]
    ]
    return (live[0][0], live[-1][1]) if live else (0, 0)


def _gram_macs(types: Types, attrs: Attrs) -> int:
    return _rows(types) ** 2 * types[0].shape[1]


PAIRWISE_DOT = Op(
    name="pairwise_dot",
    doc="""<x_i, x_j> for all i > j, row-major: the strictly lower triangle of the Gram matrix X X^T, where the
    operands' rows stand below each other: [B, r_p, e]... -> [B, r(r-1)/2]. Dot-product, section 3.1;
    operator-balanced by projecting the fields first, section 4.2.""",
    arity=(1, None),
    infer=_infer_pairwise_dot,
    # Counted as the full square, as the paper's figures are.
    products=_gram_macs,
)


def _infer_fm(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    channels = types[0].shape[1]
    return TensorType((channels,), live=(0, channels if types[0].live[0] < types[0].live[1] else 0))


FACTORIZATION_MACHINE = Op(
    name="factorization_machine",
    doc="""(sum_f x_f)^2 - sum_f x_f^2 per channel, [B, f, e] -> [B, e] (Rendle 2010, without the factor 1/2):
    the sparse-to-dense merger, section 3.1.""",
    arity=(1, 1),
    infer=_infer_fm,
)


def _infer_attention(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    fields, packed = types[0].shape
    heads = attrs["heads"]
    require(
        packed % (3 * heads) == 0,
        "{} channels are not queries, keys and values of {} equal heads",
        packed,
        heads,
    )
    return TensorType((fields, packed // 3))


def _attention_macs(types: Types, attrs: Attrs) -> int:
    fields, packed = types[0].shape
    return 2 * fields * fields * (packed // 3)


SELF_ATTENTION = Op(
    name="self_attention",
    doc="""softmax(Q K^T / sqrt(e / heads)) V over the fields, head by head: packed queries, keys and values
    [B, f, 3e] -> [B, f, e] (Vaswani et al. 2017, eq. 1). Attention, section 3.1; its projections are
    `channel_linear` nodes. Training drops out softmax weights at the rate `dropout`.""",
    arity=(1, 1),
    attrs=(Attr("heads", "count"), Attr("dropout", "share", 0.0)),
    infer=_infer_attention,
    products=_attention_macs,
)


def _infer_hadamard(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 2)
    left, right = types
    require(left.shape[1] == right.shape[1], "operands differ in their channels: {}", Listed(types))
    low, high = left.live
    return TensorType(
        (left.shape[0] * right.shape[0], left.shape[1]), live=(low * right.shape[0], high * right.shape[0])
    )


HADAMARD_PAIRS = Op(
    name="hadamard_pairs",
    doc="""x_i * y_j channel by channel for all i, j, row-major: [B, m, e], [B, n, e] -> [B, mn, e]. The outer
    product inside xDeepFM's compressed interaction network (Lian et al. 2018, eq. 6).""",
    arity=(2, 2),
    infer=_infer_hadamard,
)
