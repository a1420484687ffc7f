"""DCN-V2: a cross network before or beside a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nasrec.baselines.builder import MAX_LAYERS, MAX_WIDTH, ModelBuilder
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = ["dcn_v2"]


def dcn_v2(
    features: FeatureSpec,
    *,
    layers: int = 3,
    rank: int | None = None,
    structure: Literal["stacked", "parallel"] = "stacked",
    hidden: Sequence[int] = (512, 256),
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """DCN-V2: cross layers of full or low rank, and a perceptron.

    Wang et al. (2021), "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
    Systems". x_0 [B, d] is the embeddings and the numbers side by side; a cross layer, eq. (1), gives x_{l+1} =
    x_0 * (W_l x_l + b_l) + x_l. With a rank r, W_l = U_l V_l^T with U_l, V_l [d, r]. Stacked, the perceptron reads the
    last cross layer and gives the logit; parallel, it reads x_0 and the logit is linear in both (section 3.4). The
    paper's mixture of low-rank experts is not built.

    Args:
        features: the data's columns.
        layers: cross layers.
        rank: r; None for full-rank W_l.
        structure: `"stacked"` or `"parallel"`.
        hidden: units of the perceptron's layers.
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.
    """
    b = ModelBuilder("dcn_v2", features)
    b.regularize(dropout, batch_norm)
    layers, hidden = b.count("layers", layers, MAX_LAYERS), b.widths("hidden", hidden)
    rank = None if rank is None else b.count("rank", rank, MAX_WIDTH)
    b.choice("structure", structure, ("stacked", "parallel"))
    raw = b.raw()
    first = x = raw[0] if len(raw) == 1 else b.add("concat", raw, id="x0")
    for index in range(layers):
        x = _cross(b, f"cross.{index}", first, x, rank)
    if structure == "stacked":
        return b.model([b.output(b.mlp("deep", [x], hidden))])
    return b.model([b.output([x, *b.mlp("deep", [first], hidden)])])


def _cross(b: ModelBuilder, scope: str, first: str, x: str, rank: int | None) -> str:
    size = b.type(first).elements
    inner = x if rank is None else b.add("linear", [x], id=f"{scope}.down", out=rank)
    weighed = b.add("linear", [inner], id=f"{scope}.up" if rank else f"{scope}.linear", biased=True, out=size)
    crossed = b.add("mul", [first, weighed], id=f"{scope}.mul")
    return b.add("add", [crossed, x], id=scope)
