"""The graph IR of nasrec: types, op table, verifier, passes, text form, cost, code generation. No torch needed."""

from __future__ import annotations

from nasrec_ir.build import GraphBuilder
from nasrec_ir.cost import Cost, NodeCost, cost
from nasrec_ir.errors import InterpretError, NasrecError, ParseError, PassError, PruneError, VerifyError
from nasrec_ir.graph import Graph, Node
from nasrec_ir.interpret import interpret
from nasrec_ir.ops import OPS, Op
from nasrec_ir.text import dump, parse
from nasrec_ir.types import ParamRef, TensorType
from nasrec_ir.verify import verify

__all__ = [
    "OPS",
    "Cost",
    "Graph",
    "GraphBuilder",
    "InterpretError",
    "NasrecError",
    "Node",
    "NodeCost",
    "Op",
    "ParamRef",
    "ParseError",
    "PassError",
    "PruneError",
    "TensorType",
    "VerifyError",
    "cost",
    "dump",
    "interpret",
    "parse",
    "verify",
]
