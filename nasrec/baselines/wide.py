"""Models with first-order terms: logistic regression, Wide & Deep."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec.baselines.builder import ModelBuilder
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = ["logistic_regression", "wide_and_deep"]


def logistic_regression(features: FeatureSpec) -> Graph:
    """Logistic regression: logit = <w, x> + b over the numbers and the one-hot categories.

    The customary first model of click prediction: Richardson, Dominowska, Ragno (2007), "Predicting Clicks:
    Estimating the Click-Through Rate for New Ads". There is no bias where there are no numbers; the tables hold it.
    """
    b = ModelBuilder("logistic_regression", features)
    return b.model(b.first_order(biased=True))


def wide_and_deep(
    features: FeatureSpec,
    *,
    hidden: Sequence[int] = (1024, 512, 256),
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """Wide & Deep: a linear model and a perceptron trained together.

    Cheng et al. (2016), "Wide & Deep Learning for Recommender Systems", eq. (3): logit = <w_wide, x> + <w_deep, a> + b,
    where a is the last of ReLU layers, eq. (2), over the embeddings [B, num_sparse * E] and the numbers.

    The paper feeds its wide part cross-product transformations too, eq. (1), chosen by hand for one app store. Which
    to choose is a matter of the data, so here the wide part reads the plain features; add crossed columns to the data
    to have them.

    Args:
        features: the data's columns.
        hidden: units of the deep part's layers (the paper's by default).
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.
    """
    b = ModelBuilder("wide_and_deep", features)
    b.regularize(dropout, batch_norm)
    hidden = b.widths("hidden", hidden)
    deep = b.output(b.mlp("deep", b.raw(), hidden), id="deep.out")
    return b.model([*b.first_order(), deep])
