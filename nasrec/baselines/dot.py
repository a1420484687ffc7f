"""DLRM: dot products of all pairs of embeddings between two perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nasrec.baselines.builder import ModelBuilder
from nasrec.errors import FeatureError
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = ["dlrm"]


def dlrm(
    features: FeatureSpec,
    *,
    bottom: Sequence[int] = (512, 256, 64),
    hidden: Sequence[int] = (512, 256),
    interaction: Literal["dot", "cat"] = "dot",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """DLRM: bottom perceptron, pairwise dot products, top perceptron.

    Naumov et al. (2019), "Deep Learning Recommendation Model for Personalization and Recommendation Systems", section
    2. The bottom perceptron maps the numbers to one more row [B, E]; the dot products of all r(r-1)/2 pairs of the r =
    num_sparse + 1 rows, a row with itself left out, follow it into the top perceptron. All layers but the logit have a
    ReLU. Without numbers there is no bottom perceptron, r = num_sparse, and the dot products alone go to the top.

    Args:
        features: the data's columns.
        bottom: units of the bottom perceptron's layers before the last, which has E. The defaults of both perceptrons
            are those that the authors use on Criteo's Kaggle data with E = 16.
        hidden: units of the top perceptron's layers before the logit.
        interaction: `"dot"`, or `"cat"`: the top perceptron reads the rows side by side instead, as the authors'
            program offers too.
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.

    Raises:
        FeatureError: there is a single column, so that there are no pairs.
    """
    b = ModelBuilder("dlrm", features)
    b.regularize(dropout, batch_norm)
    b.choice("interaction", interaction, ("dot", "cat"))
    bottom, hidden = b.widths("bottom", bottom), b.widths("hidden", hidden)
    if interaction == "dot" and not features.num_dense and features.num_sparse < 2:
        raise FeatureError("dlrm multiplies pairs of columns, but the data have one; take logistic_regression")
    rows, into_top = b.fields(), []
    if features.num_dense:
        last = f"bottom.{len(bottom)}"
        y = b.add("linear", b.mlp("bottom", [b.dense], bottom), id=last, biased=True, out=features.embedding_dim)
        into_top = [b.add("relu", [y], id=f"{last}.relu")]
        row = b.add("reshape", into_top, id="bottom.row", shape=(1, features.embedding_dim))
        rows = b.add("concat", [row, rows], id="rows")
    into_top = [b.flat(rows)] if interaction == "cat" else [*into_top, b.add("pairwise_dot", [rows], id="pairs")]
    return b.model([b.output(b.mlp("top", into_top, hidden), id="top.out")])
