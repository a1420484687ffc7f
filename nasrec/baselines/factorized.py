"""Models grown from factorization machines: DeepFM, xDeepFM."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec.baselines.builder import ModelBuilder
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = ["deepfm", "xdeepfm"]


def deepfm(
    features: FeatureSpec,
    *,
    hidden: Sequence[int] = (400, 400, 400),
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """DeepFM: a factorization machine and a perceptron over the same embeddings.

    Guo et al. (2017), "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", eq. (1): logit =
    y_FM + y_DNN. y_FM = <w, x> + sum over pairs of <v_i, v_j> x_i x_j, eq. (2), over the f = num_dense + num_sparse
    fields [B, f, E], where a number scales the embedding of its field; computed as half of (square of the sum - sum of
    the squares). y_DNN: ReLU layers over the same fields side by side, eq. (3) and (4).

    Args:
        features: the data's columns.
        hidden: units of the deep part's layers (the paper's by default).
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.
    """
    b = ModelBuilder("deepfm", features)
    b.regularize(dropout, batch_norm)
    hidden = b.widths("hidden", hidden)
    fields = b.all_fields()
    pairs = b.add("factorization_machine", [fields], id="fm")
    row = b.add("reshape", [pairs], id="fm.row", shape=(1, features.embedding_dim))
    second_order = b.add("sum", [row], id="fm.sum", axis=2)
    second_order = b.add("scale", [second_order], id="fm.half", factor=0.5)
    deep = b.output(b.mlp("deep", [b.flat(fields)], hidden), id="deep.out")
    return b.model([*b.first_order(), second_order, deep])


def xdeepfm(
    features: FeatureSpec,
    *,
    cin: Sequence[int] = (100, 100),
    hidden: Sequence[int] = (400, 400),
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """xDeepFM: a compressed interaction network (CIN), a perceptron and a linear model.

    Lian et al. (2018), "xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems". CIN
    layer k, eq. (6): X^k_h = sum over i, j of W^{k,h}_ij (X^{k-1}_i * X^0_j), channel by channel, with X^0 the f =
    num_dense + num_sparse fields [B, f, E] and X^k [B, cin[k-1], E]. All layers are summed over their channels and
    joined; the logit is linear in them, in the last hidden layer and in the raw features.

    The CIN has the identity as its activation, which the paper finds best, and every feature map goes both to the next
    layer and to the output. Numbers scale an embedding of their own, where the paper sorts them into bins.

    Args:
        features: the data's columns.
        cin: feature maps of each CIN layer. The paper's study of Criteo reaches 3 layers of 200, its other data sets
            use 100. Work and memory grow with the product of neighbouring layers and with f.
        hidden: units of the deep part's layers.
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.
    """
    b = ModelBuilder("xdeepfm", features)
    b.regularize(dropout, batch_norm)
    cin, hidden = b.widths("cin", cin, least=1), b.widths("hidden", hidden)
    first = layer = b.all_fields()
    pooled = []
    for index, maps in enumerate(cin):
        pairs = b.add("hadamard_pairs", [layer, first], id=f"cin.{index}.pairs")
        layer = b.add("field_linear", [pairs], id=f"cin.{index}", out=maps)
        pooled.append(b.add("sum", [layer], id=f"cin.{index}.pool", axis=2))
    deep = b.mlp("deep", [b.flat(first)], hidden)
    return b.model([*b.first_order(), b.output([*deep, *pooled])])
