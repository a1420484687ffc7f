"""Every op there is, in one list: an op that does not stand here does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasrec_ir.graph import Node
from nasrec_ir.ops import embedding, fused, interaction, linear, pointwise, training
from nasrec_ir.ops.table import Op

__all__ = ["OPS", "attributes"]

ROWS: tuple[Op, ...] = (
    embedding.EMBEDDING,
    embedding.NUMERIC_EMBEDDING,
    linear.LINEAR,
    linear.FIELD_LINEAR,
    linear.CHANNEL_LINEAR,
    linear.LAYER_NORM,
    fused.FIELD_ATTENTION,
    interaction.PAIRWISE_DOT,
    interaction.FACTORIZATION_MACHINE,
    interaction.SELF_ATTENTION,
    interaction.HADAMARD_PAIRS,
    pointwise.RELU,
    pointwise.SIGMOID,
    pointwise.SCALE,
    pointwise.ADD,
    pointwise.MUL,
    pointwise.MASK,
    pointwise.SLICE,
    pointwise.TAKE,
    pointwise.PAD,
    pointwise.CONCAT,
    pointwise.ZEROS,
    pointwise.RESHAPE,
    pointwise.SUM,
    training.BATCH_NORM,
    training.DROPOUT,
)

OPS: Mapping[str, Op] = {op.name: op for op in ROWS}
"""The op table: rows by the name under which nodes have them."""


def attributes(node: Node) -> dict[str, Any]:
    """All attributes of a node, defaults filled in."""
    return OPS[node.op].attributes(node)
