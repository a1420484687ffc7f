"""The op table: one row an op, read by verifier, cost, code generation, executors and hardware mapping.

`catalog.py` lists the rows, `table.py` says what a row is; the rows themselves stand by kind in the other files.
"""

from __future__ import annotations

from nasrec_ir.ops.catalog import OPS, attributes
from nasrec_ir.ops.table import Attr, Home, MatVec, Op, RuleError

__all__ = ["OPS", "Attr", "Home", "MatVec", "Op", "RuleError", "attributes"]
