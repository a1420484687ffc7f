"""The choice blocks' operators and mergers as fine-grained nodes, the way the published release computes them.

Parameter names are the release's: `_blocks.{b}._nodes.{a}.…`, where `a` indexes the operators of its space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nasrec.errors import FeatureError
from nasrec.genotype import Precision
from nasrec.lowering.layout import MERGER_FIELDS, Joined, Width, matrix, vector
from nasrec_ir import GraphBuilder, ParamRef
from nasrec_ir.types import merge

__all__ = ["BlockLowering"]

ATTENTION_HEADS = 8
"""Heads of the attention operator (the release's constant)."""


@dataclass(frozen=True)
class BlockLowering:
    """Emits the nodes of one block.

    Attributes:
        b: where nodes go.
        scope: prefix of node ids, `b{k}`.
        prefix: prefix of parameter names, `_blocks.{k}`.
        dense, sparse: widths of the block's two outputs.
        channels: embedding dimension E.
        layer_norm: whether the block's operators normalise; without it their projections carry a bias instead.
        balanced_dot: whether the dot-product projects its fields first.
        sliced: whether parameters are slices of a store that just fit the path.
        every_projection: project even where widths agree: how a store learns of all parameters that paths may need.
        precision: bits of the weights of the operator being emitted, and of what they multiply.
    """

    b: GraphBuilder
    scope: str
    prefix: str
    dense: Width
    sparse: Width
    channels: int
    layer_norm: bool
    balanced_dot: bool
    sliced: bool
    every_projection: bool = False
    precision: Precision = (None, None)

    def fc(self, node: str, x: Joined) -> str:
        """Fully connected layer, section 3.1: mask(relu(norm(W x)))."""
        y = self._project("fc", x, self.dense, f"{node}._linear", f"{node}._layernorm")
        return self._mask("fc", self.b.add("relu", [y], id=f"{self.scope}.fc.relu"), self.dense)

    def sigmoid_gating(self, node: str, left: Joined, right: Joined) -> str:
        """Sigmoid gating, section 3.1: mask(norm(P (sigmoid(W left + c) * right))), P only where widths differ.

        The narrower side is filled up with zeros to the wider one's width g, W is g x g. A slice of a store has no
        place for that padding; there only the entries that meet no zero are named: rows at the right side's
        columns, columns at the left side's.
        """
        b, scope = self.b, f"{self.scope}.gating"
        g = max(left.width, right.width)
        stored_g = max(left.stored_width, right.stored_width)
        if not self.sliced:
            left, right = self._padded(scope, left, g), self._padded(scope, right, g)
        params = {
            "weight": ParamRef(
                f"{node}._left_self_linear._linear.weight", (stored_g, stored_g), right.columns, left.columns
            ),
            "bias": ParamRef(f"{node}._left_self_linear._linear.bias", (stored_g,), right.columns),
        }
        gate = b.add("linear", [left.id], id=scope, params=params, out=right.width, **self._bits())
        gate = b.add("sigmoid", [gate], id=f"{scope}.sigmoid")
        product = b.add("mul", [gate, right.id], id=f"{scope}.mul")
        gated = Joined(product, right.width, stored_g, right.columns)
        return self._combine("gating", node, gated, g, biased=True)

    def sum(self, node: str, left: Joined, right: Joined) -> str:
        """Sum, section 3.1: mask(norm(P (left + right))), the narrower side filled up with zeros.

        In a store, the sum's columns are those of the wider side (the left one where both are as wide).
        """
        b, scope = self.b, f"{self.scope}.sum"
        g = max(left.width, right.width)
        stored_g = max(left.stored_width, right.stored_width)
        columns = left.columns if left.width >= right.width else right.columns
        operands = [self._padded(scope, x, g).id for x in (left, right)]
        added = b.add("add", operands, id=f"{scope}.add")
        return self._combine("sum", node, Joined(added, g, stored_g, columns), g)

    def _padded(self, scope: str, x: Joined, size: int) -> Joined:
        if x.width == size:
            return x
        padded = self.b.add("pad", [x.id], id=f"{scope}.pad", size=size)
        return Joined(padded, size, size, merge([(0, size)]))

    def _combine(self, what: str, node: str, x: Joined, g: int, *, biased: bool = False) -> str:
        """Brings the gated product or the sum, meant to be g wide, to the block's width; norm; mask."""
        b, scope = self.b, f"{self.scope}.{what}"
        if self._differ(g, self.dense.value):
            y = self._linear("linear", f"{scope}.proj", x, self.dense, f"{node}._linear_proj", biased=biased)
        else:
            y = x.id if x.width == g else b.add("pad", [x.id], id=f"{scope}.pad", size=g)
        y = self._norm(f"{scope}.norm", y, f"{node}._layernorm", self.dense)
        return self._mask(what, y, self.dense)

    def dot_product(self, node: str, dense: Joined, sparse: Joined) -> str:
        """Dot-product, section 3.1, its fields projected to k = round(sqrt(2 D)) rows where it is operator-balanced
        (section 4.2).

        The dense row is prepended, and the strictly lower triangle of the Gram matrix projected to D units.
        """
        b, scope, channels = self.b, f"{self.scope}.dot", self.channels
        row = dense.id
        if self._differ(dense.width, channels):
            width = Width(channels, channels, None)
            row = self._linear("linear", f"{scope}.dense", dense, width, f"{node}._dense_proj")
            row = self._norm(f"{scope}.dense.norm", row, f"{node}._dense_layernorm", width)
        fields = self._balanced(node, sparse) if self.balanced_dot else sparse
        row = b.add("reshape", [row], id=f"{scope}.row", shape=(1, channels))
        stacked = b.add("concat", [row, fields.id], id=f"{scope}.rows")
        y = b.add("pairwise_dot", [stacked], id=f"{scope}.pairs")
        pairs = _pairs_of(y, fields)
        if self._differ(pairs.width, self.dense.value):
            y = self._linear("linear", f"{scope}.proj", pairs, self.dense, f"{node}._linear_proj")
        y = self._norm(f"{scope}.norm", y, f"{node}._linear_layernorm", self.dense)
        return self._mask("dot", y, self.dense)

    def _balanced(self, node: str, sparse: Joined) -> Joined:
        """The dot-product's fields, projected to so many rows that there are about as many pairs as units."""
        rows = Width(balanced_rows(self.dense.value), balanced_rows(self.dense.stored), None)
        fields = sparse.id
        if self._differ(sparse.width, rows.value):
            scope, name = f"{self.scope}.dot.fields", f"{node}._sparse_inp_proj"
            fields = self._linear("field_linear", scope, sparse, rows, name)
            fields = self._norm(f"{scope}.norm", fields, f"{name}_layernorm", rows)
        return Joined(fields, rows.value, rows.stored, merge([(0, rows.value)]))

    def efc(self, node: str, x: Joined) -> str:
        """Embedded FC, section 3.1: mask(relu(norm(W X))) along the fields, for each channel."""
        y = self._project("efc", x, self.sparse, f"{node}._linear", f"{node}._layernorm", op="field_linear")
        return self._mask("efc", self.b.add("relu", [y], id=f"{self.scope}.efc.relu"), self.sparse)

    def attention(self, node: str, x: Joined) -> str:
        """Attention, section 3.1: fields projected to S, self-attention over them, feed-forward pair, two norms.

        Raises:
            FeatureError: the embedding dimension does not divide into the heads.
        """
        b, scope, channels = self.b, f"{self.scope}.attn", self.channels
        if channels % ATTENTION_HEADS:
            raise FeatureError(
                f"block {self.scope[1:]}: attention splits embeddings into {ATTENTION_HEADS} heads, so embedding_dim"
                f" must be a multiple of {ATTENTION_HEADS}, not {channels}"
            )
        y = self._project("attn", x, self.sparse, f"{node}._linear_proj", f"{node}._proj_ln", op="field_linear")
        y = self._mask("attn", y, self.sparse)
        qkv = self._channels(f"{scope}.qkv", y, 3 * channels, f"{node}._mha.in_proj_", joint="")
        mixed = b.add("self_attention", [qkv], id=f"{scope}.mix", heads=ATTENTION_HEADS)
        out = self._channels(f"{scope}.out", mixed, channels, f"{node}._mha.out_proj")
        y = self._residual(f"{scope}.add", y, out, f"{node}._attn_ln")
        hidden = self._channels(f"{scope}.fc1", y, channels, f"{node}.attn_fc1")
        hidden = b.add("relu", [hidden], id=f"{scope}.fc1.relu")
        hidden = self._channels(f"{scope}.fc2", hidden, channels, f"{node}.attn_fc2")
        y = self._residual(f"{scope}.fc.add", y, hidden, f"{node}._attn_fc_ln")
        return self._mask("attn.out", y, self.sparse)

    def factorization_machine(self, name: str, fields: str) -> str:
        """Sparse-to-dense merger, section 3.1: mask(norm(W fm(X))); raw where the block is E wide already."""
        y = self.b.add("factorization_machine", [fields], id=f"{self.scope}.fm")
        if not self._differ(self.dense.value, self.channels):
            return y
        x = Joined(y, self.channels, self.channels, merge([(0, self.channels)]))
        y = self._project("fm.proj", x, self.dense, f"{name}._linear_proj", f"{name}._linear_layernorm")
        return self._mask("fm.proj", y, self.dense)

    def dense_to_sparse(self, name: str, dense: str) -> str:
        """Dense-to-sparse merger, section 3.1: the dense output as 8 more fields, by a linear where D is not 8E."""
        units = MERGER_FIELDS * self.channels
        y = dense
        if self._differ(self.dense.value, units):
            x = Joined(y, self.dense.value, self.dense.stored, merge([(0, self.dense.value)]))
            y = self._project("d2s", x, Width(units, units, None), name, f"{name}_layernorm")
        return self.b.add("reshape", [y], id=f"{self.scope}.d2s.fields", shape=(MERGER_FIELDS, self.channels))

    def _bits(self) -> dict[str, Any]:
        """Attributes of the operator's stored products."""
        return dict(zip(("weight_bits", "act_bits"), self.precision, strict=True))

    def _differ(self, have: int, want: int) -> bool:
        return self.every_projection or have != want

    def _project(self, what: str, x: Joined, out: Width, linear: str, norm: str, op: str = "linear") -> str:
        y = self._linear(op, f"{self.scope}.{what}", x, out, linear)
        return self._norm(f"{self.scope}.{what}.norm", y, norm, out)

    def _linear(self, op: str, node_id: str, x: Joined, out: Width, name: str, *, biased: bool = False) -> str:
        params = {"weight": matrix(name, out, x.stored_width, x.columns)}
        if biased or not self.layer_norm:
            params["bias"] = vector(f"{name}.bias", out)
        return self.b.add(op, [x.id], id=node_id, params=params, out=out.value, **self._bits())

    def _norm(self, node_id: str, x: str, name: str, size: Width, *, axis: int = 1, always: bool = False) -> str:
        if not (self.layer_norm or always):
            return x
        params = {"weight": vector(f"{name}.weight", size), "bias": vector(f"{name}.bias", size)}
        return self.b.add("layer_norm", [x], id=node_id, params=params, axis=axis)

    def _residual(self, node_id: str, x: str, y: str, norm: str) -> str:
        """norm(x + y) over the channels; stays where layer norm is off."""
        size = Width(self.channels, self.channels, None)
        added = self.b.add("add", [x, y], id=node_id)
        return self._norm(f"{node_id}.norm", added, norm, size, axis=2, always=True)

    def _channels(self, node_id: str, x: str, out: int, name: str, joint: str = ".") -> str:
        params = {
            "weight": ParamRef(f"{name}{joint}weight", (out, self.channels)),
            "bias": ParamRef(f"{name}{joint}bias", (out,)),
        }
        return self.b.add("channel_linear", [x], id=node_id, params=params, out=out, **self._bits())

    def _mask(self, what: str, x: str, width: Width) -> str:
        if width.keep is None:
            return x
        return self.b.add("mask", [x], id=f"{self.scope}.{what}.mask", keep=width.keep)


def balanced_rows(width: int) -> int:
    """k = round(sqrt(2 D)): with the dense row, k(k+1)/2 pairs, about D of them (section 4.2)."""
    return round(math.sqrt(2 * width))


def _pairs_of(node_id: str, fields: Joined) -> Joined:
    """The pairs of the dense row and some fields. A stored weight has a column for every pair of all rows, row-major:
    pair (i, j) of rows i > j is column i (i - 1) / 2 + j, where row 0 is the dense one."""
    rows = merge([(0, 1), *((start + 1, stop + 1) for start, stop in fields.columns)])
    columns = merge(
        (i * (i - 1) // 2 + start, i * (i - 1) // 2 + min(stop, i))
        for low, high in rows
        for i in range(low, high)
        for start, stop in rows
        if start < i
    )
    return Joined(node_id, _pairs(fields.width + 1), _pairs(fields.stored_width + 1), columns)


def _pairs(rows: int) -> int:
    return rows * (rows - 1) // 2
