"""Ops that turn raw features into fields of embeddings."""

from __future__ import annotations

from nasrec_ir.ops.table import Attr, Attrs, Op, ParamRule, Types, require, require_rank
from nasrec_ir.types import TensorType

MAX_TABLES = 65536
"""Most tables of one embedding: each is a parameter of its own, so this bounds the work on a hostile type."""


def _infer_embedding(types: Types, attrs: Attrs) -> TensorType:
    (t,) = types
    require(t.dtype == "i64" and len(t.shape) == 1, "operand 0 is {}, not category ids i64[B, n]", t)
    require(1 <= t.shape[0] <= MAX_TABLES, "{} categorical fields where 1 to {} are allowed", t.shape[0], MAX_TABLES)
    return TensorType((t.shape[0], attrs["dim"]))


def _tables(types: Types, attrs: Attrs) -> ParamRule:
    return {f"tables.{field}": ((None, attrs["dim"]), True) for field in range(types[0].shape[0])}


EMBEDDING = Op(
    name="embedding",
    doc="""Row id[b, j] of table j for every categorical field j: i64[B, n] -> [B, n, dim]. One table a field,
    each with as many rows as the field has categories. Section 3, input of the first block.""",
    arity=(1, 1),
    attrs=(Attr("dim", "count"),),
    infer=_infer_embedding,
    params=_tables,
    home="memory",
)


def _infer_numeric(types: Types, attrs: Attrs) -> TensorType:
    require_rank(types, 1)
    return TensorType((types[0].shape[0], attrs["dim"]), live=types[0].live)


NUMERIC_EMBEDDING = Op(
    name="numeric_embedding",
    doc="""x[b, j] * weight[j]: a field of its own for each dense feature, [B, n] -> [B, n, dim], as DeepFM and
    AutoInt treat numeric features (Song et al. 2019, eq. 3).""",
    arity=(1, 1),
    attrs=(Attr("dim", "count"),),
    infer=_infer_numeric,
    params=lambda types, attrs: {"weight": ((types[0].shape[0], attrs["dim"]), True)},
)
