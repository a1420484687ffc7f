"""AutoInt+: self-attention over the fields beside a perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec.baselines.builder import MAX_LAYERS, MAX_WIDTH, ModelBuilder
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = ["autoint_plus"]


def autoint_plus(
    features: FeatureSpec,
    *,
    layers: int = 3,
    heads: int = 2,
    head_width: int = 32,
    hidden: Sequence[int] = (400, 400),
    layer_norm: bool = False,
    project_residual: bool = True,
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Graph:
    """AutoInt+: interacting layers with residual connections, and a perceptron over the same embeddings.

    Song et al. (2019), "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks". An
    interacting layer (section 4.4) maps the f = num_dense + num_sparse fields e [B, f, c] to relu(attention(W_Q e, W_K
    e, W_V e) + W_Res e) [B, f, heads * head_width], without biases; a number scales the embedding of its field (section
    4.3). The logit is linear in the last layer's fields, side by side, and in the last hidden layer of the perceptron,
    which the "+" stands for.

    Scores are divided by sqrt(head_width), which the paper does not do: the same models with W_Q that many times
    larger, but more even at the start of training.

    Args:
        features: the data's columns.
        layers: interacting layers (the paper's 3 by default).
        heads: heads of each (the paper's 2).
        head_width: channels of a head (the paper's 32).
        hidden: units of the perceptron's layers.
        layer_norm: whether an interacting layer normalises each field's channels before its ReLU.
        project_residual: whether W_Res is there in every layer, as in the paper; else only where it must change the
            channels, and the identity elsewhere.
        attention_dropout: share of the attention's softmax weights that training drops.
        dropout: share of a hidden layer's units that training drops.
        batch_norm: whether hidden layers have batch norm before their ReLU.
    """
    b = ModelBuilder("autoint_plus", features)
    b.regularize(dropout, batch_norm)
    attention_dropout = b.rate("attention_dropout", attention_dropout)
    b.flag("layer_norm", layer_norm)
    b.flag("project_residual", project_residual)
    layers, heads = b.count("layers", layers, MAX_LAYERS), b.count("heads", heads, MAX_WIDTH)
    channels = heads * b.count("head_width", head_width, MAX_WIDTH)
    b.count("heads * head_width", channels, MAX_WIDTH)
    hidden = b.widths("hidden", hidden)
    fields = b.all_fields()
    deep = b.mlp("deep", [b.flat(fields)], hidden)
    for index in range(layers):
        scope = f"attention.{index}"
        packed = b.add("channel_linear", [fields], id=f"{scope}.qkv", out=3 * channels)
        mixed = b.add("self_attention", [packed], id=scope, heads=heads, dropout=attention_dropout)
        residual = fields
        if project_residual or b.type(fields).shape[1] != channels:
            residual = b.add("channel_linear", [fields], id=f"{scope}.residual", out=channels)
        y = b.add("add", [mixed, residual], id=f"{scope}.add")
        if layer_norm:
            y = b.add("layer_norm", [y], id=f"{scope}.norm", axis=2)
        fields = b.add("relu", [y], id=f"{scope}.relu")
    return b.model([b.output([b.flat(fields), *deep])])
