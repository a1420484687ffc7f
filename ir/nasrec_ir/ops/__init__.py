"""The op table: one row an op, read by verifier, cost, code generation, executors and hardware mapping."""

from __future__ import annotations

from nasrec_ir.ops import embedding, fused, interaction, linear, pointwise, training  # noqa: F401  (each registers its rows)
from nasrec_ir.ops.table import OPS, Attr, Home, MatVec, Op, RuleError, attributes

__all__ = ["OPS", "Attr", "Home", "MatVec", "Op", "RuleError", "attributes"]
