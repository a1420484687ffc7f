"""Ops that training and inference run differently: a graph means inference, a module goes by its mode."""

from __future__ import annotations

from nasrec_ir.graph import Node
from nasrec_ir.ops.linear import norm_params, norm_type
from nasrec_ir.ops.pointwise import same_type
from nasrec_ir.ops.table import Attr, Attrs, Op, ParamRule, Types

__all__ = ["BATCH_NORM", "DROPOUT", "is_stochastic"]

RUNNING = ("running_mean", "running_var")


def is_stochastic(node: Node) -> bool:
    """Whether training draws random numbers in a node, so that its equal is another node."""
    return node.op == "dropout" or bool(dict(node.attrs).get("dropout"))


def _batch_norm_params(types: Types, attrs: Attrs) -> ParamRule:
    rule = norm_params(types, attrs)
    return rule | dict.fromkeys(RUNNING, rule["weight"])


BATCH_NORM = Op(
    name="batch_norm",
    doc="""(x - running_mean) / sqrt(running_var + eps) * weight + bias for each position of one axis (Ioffe and
    Szegedy 2015): axis 1 the units or the fields, axis 2 the channels. Training takes mean and biased variance of
    the batch (and of the other axis) instead, and moves the running ones by `momentum` towards its mean and its
    unbiased variance. Shape unchanged.""",
    arity=(1, 1),
    attrs=(Attr("axis", "axis", 1), Attr("eps", "positive", 1e-5), Attr("momentum", "share", 0.1)),
    infer=norm_type,
    params=_batch_norm_params,
    buffers=frozenset(RUNNING),
)

DROPOUT = Op(
    name="dropout",
    doc="""x. Training sets each entry to zero with probability `rate` and divides the others by 1 - rate
    (Srivastava et al. 2014).""",
    arity=(1, 1),
    attrs=(Attr("rate", "share"),),
    infer=same_type,
    home="wire",
)
