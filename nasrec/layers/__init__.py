"""The layers that generated models are made of: parameters, their initial values, and a call into `nasrec.kernels`.

Initial values follow the published release: Xavier-uniform weights, zero biases, norms at identity, Xavier-normal
embedding tables.
"""

from __future__ import annotations

from nasrec.layers.norms import BatchNorm, Embedding, LayerNorm, NumericEmbedding, SelfAttention, Take
from nasrec.layers.products import ChannelLinear, FieldAttention, FieldLinear, Linear, Quantizable

__all__ = [
    "BatchNorm",
    "ChannelLinear",
    "Embedding",
    "FieldAttention",
    "FieldLinear",
    "LayerNorm",
    "Linear",
    "NumericEmbedding",
    "Quantizable",
    "SelfAttention",
    "Take",
]
